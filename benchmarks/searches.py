"""How good the models are that each optimizer finds with the same number of candidates.

    python benchmarks/searches.py [--merge dare_ties ...] [--optimizer cma_es random_search ...]
                                  [--budget 200] [--seeds 5] [--folder FOLDER] [OPTION=VALUE ...]

Searches the bundled models with every optimizer, merger and seed; the finalists answer the select
problems, and the winner 512 unseen ones. Prints the mean over the seeds, and how each search stands
beside random search: a paired t-test over seeds, which share their items. An optimizer may be
followed by options of its own: `"cma_es optimizer.sigma=0.3"`. Counts candidates, not seconds, so
other work on the machine does not matter; two searches run at a time, of one thread each. Goes on
where it was stopped if a folder is given.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

REFERENCE = "random_search"


def search(options: list[str]) -> dict[str, float]:
    """Do one search in this process; return what it asked and how its winner did."""
    import hydra
    from omegaconf import OmegaConf

    from evoforge import config
    from evoforge.assembly import assemble
    from evoforge.evolve import Evolution
    from evoforge.journal import Journal

    OmegaConf.register_new_resolver("run_folder", lambda a, b: a or b, replace=True)
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = config.resolved(hydra.compose("config", overrides=[*options, "tracker=console"]))
    parts = assemble(cfg)
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.create(Path(folder) / "run", {"config": "{}"})
        journal.start_session(0.0, 0.0)
        evolution = Evolution(journal, parts.task, parts.executor)
        winner = None
        for stage in parts.stages:
            if winner is not None:
                stage = replace(stage, merger=stage.merger.over(winner))
            evolution.search(stage)
            winner = evolution.select(stage, cfg["finalists"], also=winner)
        asked = journal.record.count("items")
        test = evolution.role("winner", "test", winner).score
        journal.close()
    return {"asked": asked, "test": test}


def process(options: list[str]) -> dict[str, float]:
    """Do one search in a process of one thread."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        sys.exit(f"{' '.join(options)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def results(given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return every search's outcome by `merge|optimizer|seed`, remembering each in a file."""
    kept = given.folder and given.folder / "searches.json"
    found = json.loads(kept.read_text()) if kept and kept.is_file() else {}
    jobs = {}
    for seed in range(given.seeds):
        for merge in given.merge:
            for optimizer in given.optimizer:
                name, *own = optimizer.split()
                jobs[f"{merge}|{optimizer}|{seed}"] = [
                    f"merge={merge}",
                    f"optimizer={name}",
                    f"budget.evaluations={given.budget}",
                    f"seed={seed}",
                    *given.options,
                    *own,
                ]
    waiting = [key for key in jobs if key not in found]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(lambda key: process(jobs[key]), waiting)
        for key, outcome in zip(waiting, done, strict=True):
            found[key] = outcome
            print(f"{key}: {outcome}", file=sys.stderr, flush=True)
            if kept:
                kept.write_text(json.dumps(found))
    return found


def lines(given: argparse.Namespace, found: dict[str, dict[str, float]]) -> Iterator[str]:
    """Yield the table."""
    from scipy.stats import ttest_rel

    seeds = range(given.seeds)
    yield f"{'merge':16} {'optimizer':34} {'test':>12}  {'minus random':>13} {'p':>7}"
    for merge in given.merge:
        for optimizer in given.optimizer:
            own = [100 * found[f"{merge}|{optimizer}|{seed}"]["test"] for seed in seeds]
            error = statistics.stdev(own) / len(own) ** 0.5 if len(own) > 1 else float("nan")
            line = f"{merge:16} {optimizer:34} {statistics.fmean(own):6.1f} ±{error:4.1f}"
            if optimizer != REFERENCE and REFERENCE in given.optimizer and len(own) > 1:
                other = [100 * found[f"{merge}|{REFERENCE}|{seed}"]["test"] for seed in seeds]
                p = ttest_rel(own, other).pvalue
                line += f"  {statistics.fmean(own) - statistics.fmean(other):+13.1f} {p:7.4f}"
            yield line


def main() -> None:
    """Print a line for each merger and optimizer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--merge", nargs="+", default=["dare_ties", "dfs", "ties_dfs"])
    parser.add_argument("--optimizer", nargs="+", default=["cma_es", REFERENCE])
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given, options = parser.parse_known_args()
    given.options = options
    if given.one:
        print(json.dumps(search(options)))
        return
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
    print("\n".join(lines(given, results(given))))


if __name__ == "__main__":
    main()

"""How many answers each fitness policy spends until its winner is as good as full evaluation's.

    python benchmarks/policies.py [--seeds 5] [--folder FOLDER]

Searches the bundled models, with one set of six numbers for all layers, with every policy and seed.
The reference lets every candidate answer all 512 search problems. Every other policy searches with
growing budgets of its own; what counts is the smallest one whose winner, chosen on the select
problems, is on average as good on 512 unseen ones. Counts answers, not seconds, so that other work
on the machine does not matter. Goes on where it was stopped if a folder is given.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

REFERENCE = "full"
# What each policy is, and how many candidates it may try: every number is a run of its own, from
# nothing.
POLICIES = {
    "full": (["fitness=full"], (90,)),
    "subset of 128": (["fitness=subset", "fitness.size=128"], (45, 90)),
    "subset of 64": (["fitness=subset", "fitness.size=64"], (90, 144)),
    "subset of 32": (["fitness=subset", "fitness.size=32"], (180,)),
    "racing, 16 to 64": (["fitness=racing", "fitness.size=64"], (90, 180)),
    "proxy of 32, then 64": (
        ["fitness=proxy_then_full", "fitness.size=64", "fitness.screen=32"],
        (90, 180),
    ),
}


def search(policy: str, budget: int, seed: int) -> dict[str, float]:
    """Return what one search cost and found.

    `asked`: items answered or looked at by a proxy in the search and in selection; `test`: the
    winner's score on the test items.
    """
    import hydra
    from omegaconf import OmegaConf

    from evoforge import config
    from evoforge.assembly import assemble
    from evoforge.evolve import Evolution
    from evoforge.journal import Journal

    OmegaConf.register_new_resolver("run_folder", lambda a, b: a or b, replace=True)
    given = [
        *POLICIES[policy][0],
        f"budget.evaluations={budget}",
        f"seed={seed}",
        "merge.granularity=whole",
        "tracker=console",
    ]
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = config.resolved(hydra.compose("config", overrides=given))
    parts = assemble(cfg)
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.create(Path(folder) / "run", {"config": "{}"})
        journal.start_session(0.0, 0.0)
        evolution = Evolution(journal, parts.task, parts.executor)
        stage = parts.stages[0]
        evolution.search(stage)
        winner = evolution.select(stage, cfg["finalists"])
        asked = journal.record.count("items")
        test = evolution.role("winner", "test", winner).score
        journal.close()
    assert test is not None
    return {"asked": asked, "test": test}


def results(seeds: int, kept: Path | None) -> dict[str, dict[str, float]]:
    """Return every search's outcome by `policy|budget|seed`, remembering each in a file."""
    found = json.loads(kept.read_text()) if kept and kept.is_file() else {}
    for policy, (_, budgets) in POLICIES.items():
        for budget in budgets:
            for seed in range(seeds):
                key = f"{policy}|{budget}|{seed}"
                if key not in found:
                    found[key] = search(policy, budget, seed)
                    print(f"{key}: {found[key]}", file=sys.stderr, flush=True)
                    if kept:
                        kept.write_text(json.dumps(found))
    return found


def main() -> None:
    """Print a line for each policy and budget, with the ratio to the reference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
    found = results(given.seeds, given.folder and given.folder / "policies.json")

    def of(policy: str, budget: int) -> tuple[float, float, float]:
        runs = [found[f"{policy}|{budget}|{seed}"] for seed in range(given.seeds)]
        tests = [run["test"] for run in runs]
        error = statistics.stdev(tests) / len(tests) ** 0.5 if len(tests) > 1 else float("nan")
        return statistics.fmean(run["asked"] for run in runs), statistics.fmean(tests), error

    whole, wanted, _ = of(REFERENCE, POLICIES[REFERENCE][1][0])
    print(f"{'policy':28} {'candidates':>10} {'answers':>9} {'share':>6} {'test':>12}  as good")
    for policy, (_, budgets) in POLICIES.items():
        for budget in budgets:
            asked, test, error = of(policy, budget)
            print(
                f"{policy:28} {budget:10} {asked:9.0f} {asked / whole:6.2f} "
                f"{100 * test:6.1f} ±{100 * error:4.1f}  {'yes' if test >= wanted else 'no'}"
            )


if __name__ == "__main__":
    main()

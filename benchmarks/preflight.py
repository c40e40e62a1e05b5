"""How near `preflight=true` comes: what it says of memory and seconds, and what is measured.

    python benchmarks/preflight.py                 # the bundled models, and one of 0.35e9 weights
    python benchmarks/preflight.py --only bundled

The merge and the answers of one candidate, in a process of its own; memory is anonymous memory,
because pages of mapped files are the page cache's. Seconds are the processor's (one thread), so
that whatever else the machine does is not counted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hydra
import numpy as np

from benchmarks.memory import Peak, make_sources
from evoforge.config import resolved
from evoforge.demand.needs import parts, total
from evoforge.demand.times import times

ROOT = Path(__file__).parents[1]
ITEMS = 8


def bundled():
    """Return the options of a run of the bundled models."""
    return None, ["fitness.size=32", "evaluator.batch_size=32"]


def made_up(folder):
    """Write a larger model; return its sources, and the options of a run."""
    make_sources(folder, layers=10, hidden=1536, vocab=16000)
    rows = [
        {"question": " ".join(f"w{3 + (7 * i + j) % 900}" for j in range(100))} for i in range(48)
    ]
    text = "".join(json.dumps({**row, "answer": "3"}) + "\n" for row in rows)
    (folder / "items.jsonl").write_text(text)
    given = {n: {"path": str(folder / n)} for n in ("base", "a", "b")}
    given["base"]["role"] = "base"
    return given, [
        "task=jsonl",
        f"task.file={folder}/items.jsonl",
        "task.prompt='{question}'",
        "task.options={max_new_tokens: 8}",
        f"fitness.size={ITEMS}",
        f"evaluator.batch_size={ITEMS}",
    ]


def measure(sources, overrides):
    """Return what is said and what is measured, for one candidate."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = resolved(hydra.compose("config", overrides=overrides))
    if sources:
        cfg["models"]["sources"] = sources
    from evoforge.assembly import assemble
    from evoforge.preflight import prospect

    found = prospect(cfg, Path.cwd())
    every = parts(found.shape, found.setup, found.work)
    took = times(found.shape, found.setup, found.work, found.machine)
    said = {phase: total(every, "memory", phase) for phase in ("merge", "answer")}
    built = assemble(cfg)
    evaluator, merger = built.evaluator.get(), built.merger
    items = built.stages[0].fitness.all[: found.work.search.items]
    with Peak() as peak:
        for gene in (0.3, 0.6):  # the first merge looks at what is kept for all others
            genome = np.full(merger.space.dim, gene)
            candidate = merger.build(merger.recipe(genome))
            start = time.process_time()
            evaluator.load(candidate)
            merged = time.process_time() - start
        start = time.process_time()
        done = evaluator.evaluate(candidate, items)
        answered = time.process_time() - start
        assert done.status == "ok", done.reason
        wrote = sum(result.tokens for result in done.results)
    return {
        "weights": found.shape.weights,
        "said memory": max(said.values()),
        "measured memory": peak.most,
        "before": peak.before,
        "said merge": took.merge,
        "measured merge": merged,
        "said answer": took.search,
        "measured answer": answered,
        "tokens written, of those allowed": wrote / (found.work.search.written * len(items)),
    }


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("bundled", "made_up"))
    parser.add_argument("--overrides")
    given = parser.parse_args()
    if given.overrides:
        print(json.dumps(measure(*json.loads(given.overrides))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in (given.only,) if given.only else ("bundled", "made_up"):
            overrides = bundled() if name == "bundled" else made_up(Path(folder))
            start = time.time()
            command = [sys.executable, "-m", "benchmarks.preflight", "--overrides"]
            done = subprocess.run(
                [*command, json.dumps(overrides)], capture_output=True, text=True, cwd=ROOT
            )
            if done.returncode:
                print(name, done.stderr[-2000:])
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            print(name, json.dumps(found, indent=1), f"{time.time() - start:.0f} s")


if __name__ == "__main__":
    main()

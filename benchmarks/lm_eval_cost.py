"""What lm-eval costs an item beyond the model: ours beside lm-eval's own ways.

    python benchmarks/lm_eval_cost.py

First with a model that answers at once, so that only the harness is measured; then with a bundled
model, where reading shared contexts once pays. Measure with nothing else running.
"""

import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ITEMS = 250
ROUNDS = 3


def specs(folder: Path) -> dict[str, dict[str, Any]]:
    """Return three tasks on the same sums: written answers, five choices, choices after shots."""
    rows = [
        {
            "question": f"{i} + {j}",
            "answer": str(i + j),
            "choices": [str(i + j + k) for k in range(5)],
        }
        for i in range(25)
        for j in range(10)
    ]
    path = folder / "sums.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    shared = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}},
        "test_split": "test",
        "fewshot_split": "test",
        "doc_to_text": "質問: {{question}}\n答え:",
        "num_fewshot": 0,
    }
    written = {
        "output_type": "generate_until",
        "doc_to_target": "answer",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 16, "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    chosen = {
        "output_type": "multiple_choice",
        "doc_to_target": "0",
        "doc_to_choice": "choices",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    return {
        "written": {"task": "written", **shared, **written},
        "5 choices": {"task": "choices", **shared, **chosen},
        "5 choices, 3 shots": {"task": "shots", **shared, **chosen, "num_fewshot": 3},
    }


def ms_an_item(work: Callable[[], object]) -> float:
    """Return the best of several runs after a first one, in milliseconds an item."""
    work()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times) / ITEMS


def at_once(lm: Any) -> None:
    """Make a model answer every request without looking at it."""

    def generate_until(requests: Any, disable_tqdm: bool = False) -> list[str]:
        del disable_tqdm
        return ["7"] * len(requests)

    def loglikelihood(requests: Any, disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        del disable_tqdm
        return [(-float(place % 7), False) for place in range(len(requests))]

    lm.generate_until, lm.loglikelihood = generate_until, loglikelihood


def ways(spec: dict[str, Any], pool: Any, candidate: Any, *, stub: bool) -> dict[str, float]:
    """Return what each way of asking all items costs one of them."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    from evoforge.evaluator._harness_lm import PlainLm
    from evoforge.evaluator.lm_eval import BACK_ENDS, LmEval
    from evoforge.task.base import PARTS
    from evoforge.task.lm_eval import LmEval as HarnessTask

    task = HarnessTask(tasks=[spec])
    items = [item for part in PARTS for item in task.items(part)]
    found = {}
    for back_end in BACK_ENDS:
        evaluator = LmEval(task, pool, device="cpu", attention="eager", back_end=back_end)
        if stub:
            at_once(evaluator._lm)
        found[f"ours, {back_end}"] = ms_an_item(lambda: evaluator.evaluate(candidate, items))  # noqa: B023
    lm = PlainLm(evaluator.live.model, pool.tokenizer, batch_size=64)
    if stub:
        at_once(lm)
    manager = TaskManager(include_defaults=False)
    loaded = manager.load([spec])
    for each in loaded["tasks"].values():
        each.set_fewshot_seed(1234)
    found["lm_eval.evaluate"] = ms_an_item(lambda: lm_eval.evaluate(lm, loaded, bootstrap_iters=0))
    found["simple_evaluate"] = ms_an_item(
        lambda: lm_eval.simple_evaluate(lm, tasks=[spec], task_manager=manager, bootstrap_iters=0)
    )
    return found


def main() -> None:
    """Print a table for a model that answers at once, and one for a bundled model."""
    from evoforge.baseline import baselines
    from evoforge.merge.base import Mergers
    from evoforge.merge.linear import Linear
    from evoforge.models.pool import open_pool

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    roles = {"base": "base", "ja": "source", "math_a": "source"}
    pool = open_pool(sources={n: {"path": f"bundled:{n}", "role": r} for n, r in roles.items()})
    candidate = Mergers(pool).build(baselines(Linear(pool, weight={"low": 0, "high": 1}))["ja"])
    with tempfile.TemporaryDirectory() as folder:
        for stub in (True, False):
            print("a model that answers at once" if stub else "a bundled model")
            for name, spec in specs(Path(folder)).items():
                costs = ways(spec, pool, candidate, stub=stub)
                print(f"  {name:20}", *(f"{way} {ms:.2f}" for way, ms in costs.items()), sep="  ")
    print("milliseconds an item, best of", ROUNDS, "runs of", ITEMS, "items")


if __name__ == "__main__":
    main()

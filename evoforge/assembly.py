"""The parts of a run, built from its configuration and checked against each other.

Beside the session the only module that knows the configuration. Workers build what they need by
it, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from evoforge import config
from evoforge.baseline import baselines
from evoforge.building import shown
from evoforge.errors import ConfigError
from evoforge.evaluator._later import Later
from evoforge.evaluator.base import Evaluator
from evoforge.executor.base import Executor, Job, Place
from evoforge.judging import asking
from evoforge.merge.base import Merger, Mergers, Phase
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe
from evoforge.record import Evaluation
from evoforge.stage import Stage, check_options, options_of
from evoforge.start import Start, Starts, starts
from evoforge.task.base import Task
from evoforge.tracker.base import Trackers

SCHEDULES = ("generational", "steady_state")
# What every configuration has.
WHOLE = ("seed", "schedule", "finalists", "baseline_items", "examples", "start", "stages", "budget")
PARTS = ("models", "merge", "task", "fitness", "evaluator", "optimizer", "executor")


@dataclass(frozen=True)
class Parts:
    """The objects of a run, built and checked against each other."""

    task: Task
    merger: Merger
    pool: Pool
    stages: tuple[Stage, ...]
    baselines: Mapping[str, Recipe]
    executor: Executor
    trackers: Trackers
    evaluator: Later
    starts: Starts


def assemble(cfg: Mapping[str, Any], known: Starts | None = None) -> Parts:
    """Build every part of a run; nothing is written.

    Args:
        cfg: the whole configuration.
        known: where the searches start, of a run that goes on; None to find it.

    Raises:
        ConfigError: an option or a source is not usable.
    """
    _check_there(cfg)
    for option, least in (("seed", 0), ("finalists", 1), ("baseline_items", 1), ("examples", 0)):
        _check_whole(cfg, option, least)
    if cfg["schedule"] not in SCHEDULES:
        raise ConfigError(
            f"schedule must be one of {', '.join(SCHEDULES)}, got {shown(cfg['schedule'])}; set "
            "schedule"
        )
    limits = cfg["budget"]
    if not isinstance(limits, Mapping):
        raise ConfigError(
            f"budget must be {{evaluations, minutes}}, got {shown(limits)}; set budget"
        )
    trackers = [config.build(n, f"tracker.{k}") for k, n in (cfg.get("tracker") or {}).items()]
    task = config.build(cfg["task"], "task")
    merger = config.build(cfg["merge"], "merge", pool=config.build(cfg["models"], "models"))
    pool = merger.pool
    check_options(cfg["stages"], [phase.name for phase in merger.phases])
    begin = starts(cfg["start"], merger, cfg["seed"]) if known is None else known
    stages = tuple(
        _stage(cfg, phase, task, limits, begin.get(phase.name, ())) for phase in merger.phases
    )
    evaluator = Later(partial(config.build, cfg["evaluator"], "evaluator", task=task, pool=pool))
    executor: Executor = config.build(
        cfg["executor"],
        "executor",
        evaluate=_evaluate(pool, evaluator.get),
        make=partial(workplace, cfg),
        protocol=partial(_protocol, task),
    )
    if executor.here:
        evaluator.get()  # so that what it refuses is known before the run begins
    else:
        for each in filter(None, (task, task.proxy)):
            each.prepare(pool.tokenizer)  # as evaluators do; a chat's protocol depends on it
    return Parts(
        task=task,
        merger=merger,
        pool=pool,
        stages=stages,
        baselines=baselines(merger, cfg["seed"], stages[0].optimizer.space.init),
        executor=executor,
        trackers=Trackers(trackers),
        evaluator=evaluator,
        starts=begin,
    )


def workplace(cfg: Mapping[str, Any], place: Place) -> Callable[[Job], Evaluation]:
    """Return what does jobs in a process of its own, built there from the configuration alone.

    Args:
        cfg: the whole configuration.
        place: where that is.

    Raises:
        ConfigError: an option or a source is not usable there.
    """
    task = config.build(cfg["task"], "task")
    # Its pool and not that of the models: a path's is led by the first of its own models.
    pool = config.build(cfg["merge"], "merge", pool=config.build(cfg["models"], "models")).pool
    node = cfg["evaluator"]
    # Who says `cpu` means it: vLLM takes a GPU, and candidates can be merged beside it. A map of
    # devices speaks of those that the worker sees.
    mapped = node.get("device_map") is not None
    if place.device is not None and node.get("device", "cpu") != "cpu" and not mapped:
        node = {**node, "device": place.device}
    evaluator = config.build(node, "evaluator", task=task, pool=pool)
    return _evaluate(pool, lambda: evaluator)


def _evaluate(pool: Pool, evaluator: Callable[[], Evaluator]) -> Callable[[Job], Evaluation]:
    mergers = Mergers(pool)

    def evaluate(job: Job) -> Evaluation:
        return evaluator().evaluate(mergers.build(job.recipe), job.items, proxy=job.proxy)

    return evaluate


def _protocol(task: Task, job: Job) -> str:
    """Return the hash of the protocol that a job is done by."""
    return asking(task, proxy=job.proxy).protocol_hash(job.items[0].part)


def _stage(
    cfg: Mapping[str, Any],
    phase: Phase,
    task: Task,
    limits: Mapping[str, Any],
    begin: Sequence[Start],
) -> Stage:
    """Build one search with its share of the budget."""
    budget = config.build({"_target_": "evoforge.stage.Budget", **limits}, "budget")
    facts = {
        "merge": phase.merger.method,
        "optimizer": _option(cfg["optimizer"]),
        "metric": task.metric,
        "direction": "max" if task.higher_is_better else "min",
        "run": dict(limits),
        **({"starts": [start.text for start in begin]} if begin else {}),
    }
    own = options_of(cfg, phase.name, "fitness")
    fitness = config.build(own, "fitness", items=task.items("search"))
    if fitness.uses_proxy and task.proxy is None:
        raise ConfigError(
            f"this fitness asks a cheaper proxy first, and {task.name} has none; set task.proxy, "
            "or another fitness"
        )
    space = phase.merger.space
    if begin:
        space = space.starting(np.stack([start.genome for start in begin]))
    return Stage(
        phase.name,
        phase.merger,
        config.build(options_of(cfg, phase.name, "optimizer"), "optimizer", space=space),
        fitness,
        budget.part(phase.done, phase.share),
        facts,
        steady=cfg["schedule"] == "steady_state",
    )


def _check_there(cfg: Mapping[str, Any]) -> None:
    """Refuse a configuration without a part, or with a part that is none."""
    for option in (*WHOLE, *PARTS):
        if option not in cfg:
            raise ConfigError(f"there is no {option}; set {option}, see --help")
    for option in PARTS:
        if not isinstance(cfg[option], Mapping):
            raise ConfigError(
                f"{option} must be an option with its settings, got {shown(cfg[option])}; choose "
                f"one with {option}=NAME, see --help"
            )
    if not isinstance(cfg.get("tracker") or {}, Mapping):
        raise ConfigError(
            f"tracker must be some of its options, got {shown(cfg['tracker'])}; set "
            "tracker=[console] or tracker=[]"
        )


def _check_whole(cfg: Mapping[str, Any], option: str, least: int) -> None:
    value = cfg[option]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(
            f"{option} must be a whole number from {least} on, got {shown(value)}; set {option}"
        )


def _option(node: Mapping[str, Any]) -> str:
    """Return the name of an option: the module of its target."""
    return str(node.get("_target_")).rpartition(".")[0].rpartition(".")[2]

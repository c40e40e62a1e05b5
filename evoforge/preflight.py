"""What a run would need, told before anything is read or written: `preflight=true`.

Builds the parts of a run of names and shapes alone, counts what they will do, and measures the
machine for about a second.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evoforge import config
from evoforge.baseline import baselines
from evoforge.demand.machine import probe
from evoforge.demand.prospect import Prospect
from evoforge.demand.shape import Shape, shape_of
from evoforge.demand.work import Asked, Setup, Work
from evoforge.evaluator.auto import why_not_vllm
from evoforge.evaluator.base import lengths
from evoforge.executor.base import Job
from evoforge.executor.local import Local
from evoforge.executor.processes import Processes
from evoforge.fitness.base import Fitness
from evoforge.merge.base import Merger, Phase, TensorMerger, Whole
from evoforge.models.forecast import on_hub, size
from evoforge.models.pool import Pool
from evoforge.record import Evaluation, ItemResult
from evoforge.stage import check_options, options_of
from evoforge.task.base import Item, Task

# Items of a part whose tokens are counted; the others are taken to be alike.
LOOKED_AT = 64
# Rows and columns of the matrix that is merged to see how long merging takes.
SIDE = 1024


def prospect(cfg: Mapping[str, Any], folder: Path) -> Prospect:
    """Return what a run would need; nothing is written, and no weights are read or fetched.

    Args:
        cfg: the whole configuration.
        folder: where the run would be written.

    Raises:
        ConfigError: an option or a source is not usable.
    """
    task = config.build(cfg["task"], "task")
    pool = config.build(cfg["models"], "models", plan=True)
    merger = config.build(cfg["merge"], "merge", pool=pool)
    pool = merger.pool
    check_options(cfg["stages"], [phase.name for phase in merger.phases])
    work = _work(cfg, task, merger)
    setup = _setup(cfg, pool, merger)
    device = torch.device(setup.device)
    place = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    machine = probe(device, pool.dtype, shutil.disk_usage(place).free)
    return Prospect(
        shape=_shape(pool),
        setup=setup,
        work=work,
        machine=machine,
        genes=sum(phase.merger.space.dim for phase in merger.phases),
    )


def _shape(pool: Pool) -> Shape:
    tensors = pool.tensors(pool.reference.name)
    frozen = () if pool.vision is None else pool.vision.frozen.values()
    sizes = {name: tensors.shape(name) for name in tensors}
    return shape_of(pool.model_config(), sizes, [tensor.shape for tensor in frozen], pool.dtype)


def _work(cfg: Mapping[str, Any], task: Task, merger: Merger) -> Work:
    known = {part: _asked(task, merger.pool, task.items(part)) for part in ("select", "test")}
    searched = task.items("search")
    found = [_of_phase(cfg, phase, task, merger.pool) for phase in merger.phases]
    counts = [count for _, count in found]
    begin = baselines(merger, cfg["seed"])
    return Work(
        search=_together([asked for asked, _ in found], counts),
        select=known["select"],
        test=known["test"],
        candidates=None if None in counts else sum(count or 0 for count in counts),
        baselines=len(begin),
        baseline_items=min(cfg["baseline_items"], len(searched)),
        finalists=cfg["finalists"] * len(merger.phases),
    )


def _of_phase(
    cfg: Mapping[str, Any], phase: Phase, task: Task, pool: Pool
) -> tuple[Asked, int | None]:
    """Return what a candidate of one search is asked, and how many of them there will be."""
    own = options_of(cfg, phase.name, "optimizer")
    optimizer = config.build(own, "optimizer", space=phase.merger.space)
    own = options_of(cfg, phase.name, "fitness")
    fitness = config.build(own, "fitness", items=task.items("search"))
    population = optimizer.population
    asked = [
        _asked(task if not proxy else task.proxy or task, pool, items, count / population)
        for items, count, proxy in rounds(fitness, population)
    ]
    limit = cfg["budget"]["evaluations"]
    if limit is None:
        return _joined(asked), None
    # Whole generations only, one at least.
    return _joined(asked), max(1, int(limit * phase.share) // population) * population


def rounds(fitness: Fitness, population: int) -> list[tuple[tuple[Item, ...], int, bool]]:
    """Return the rounds of a generation in which no candidate is better than another.

    Returns:
        For each the items that were not asked before, how many candidates answer, and whether the
        proxy is asked.
    """
    course = fitness.course(0, population)
    found: list[tuple[tuple[Item, ...], int, bool]] = []
    known: dict[bool, set[str]] = {True: set(), False: set()}
    try:
        now = next(course)
        while True:
            items = next(iter(now.items.values()))
            new = tuple(item for item in items if item.id not in known[now.proxy])
            known[now.proxy] |= {item.id for item in items}
            found.append((new, len(now.items), now.proxy))
            now = course.send({place: _alike(given) for place, given in now.items.items()})
    except StopIteration:
        return found


def _alike(items: Sequence[Item]) -> Evaluation:
    results = tuple(ItemResult(item.id, 0.0, {}, "", 0) for item in items)
    return Evaluation(
        recipe="",
        protocol="",
        item_set="",
        status="ok",
        fitness=0.0,
        score=0.0,
        metrics={},
        seconds={},
        results=results,
    )


def _asked(task: Task, pool: Pool, items: Sequence[Item], share: float = 1.0) -> Asked:
    """Return what items are, as far as some of them tell; a share of candidates is asked them."""
    step = max(1, len(items) // LOOKED_AT)
    found = lengths(task, pool, list(items)[::step][: 2 * LOOKED_AT])
    if not found:
        return Asked(0, 0.0, 0, 0.0)
    return Asked(
        items=round(len(items) * share),
        read=float(np.mean([length.read for length in found])),
        longest=max(length.read + length.written for length in found),
        written=float(np.mean([length.written for length in found])),
    )


def _joined(asked: Sequence[Asked]) -> Asked:
    """Return what is asked one after the other as one."""
    items = sum(one.items for one in asked)
    return Asked(
        items=items,
        read=sum(one.read * one.items for one in asked) / max(1, items),
        longest=max((one.longest for one in asked), default=0),
        written=sum(one.written * one.items for one in asked) / max(1, items),
    )


def _together(asked: Sequence[Asked], counts: Sequence[int | None]) -> Asked:
    """Return what a candidate of any of several searches is asked, on average."""
    weights = [count or 1 for count in counts]
    joined = _joined(asked)
    items = sum(one.items * w for one, w in zip(asked, weights, strict=True)) / sum(weights)
    return Asked(round(items), joined.read, joined.longest, joined.written)


def _setup(cfg: Mapping[str, Any], pool: Pool, merger: Merger) -> Setup:
    node = cfg["evaluator"]
    kind = str(node["_target_"]).split(".")[-2]
    device = "cuda" if node["device"] == "auto" and torch.cuda.is_available() else node["device"]
    device = "cpu" if device == "auto" else device
    vllm = kind == "vllm" or (kind == "auto" and why_not_vllm(pool, node["device"]) is None)
    tensors = merger.merges
    gib = node.get("kv_cache_gib")
    gpus = node.get("tensor_parallel_size", 1) * node.get("pipeline_parallel_size", 1)
    return Setup(
        engine="vllm" if vllm else "hf",
        device=device,
        batch=node["batch_size"],
        models=merger.num_models,
        stored=[_stored(pool, source.name) for source in pool.members],
        merged=0 if tensors is None else len(pool.members),
        depth=merger.num_layers,
        expands=any(source.adapter is not None for source in pool.members),
        spread=node.get("device_map") is not None,
        packs=_packs(pool, device) and not vllm,
        workers=_workers(cfg["executor"]),
        share=node.get("gpu_memory_utilization", 0.7),
        gpus=gpus,
        cache=int((1.0 if gib is None else gib) * 2**30),
        element=None if tensors is None or device != "cpu" else _element(tensors),
        fetched=sum(_missing(source.spec) for source in pool.members),
        names=[source.name for source in pool.members],
    )


def _stored(pool: Pool, name: str) -> int:
    source = pool.member(name)
    given = source.stored if source.adapter is not None else source.weights
    return sum(tensor.nbytes for tensor in given.values())


def _missing(spec: Any) -> int:
    found = size(spec) if on_hub(spec) else None
    return 0 if found is None else found.missing


def _packs(pool: Pool, device: str) -> bool:
    """Whether the CPU answers by reordered copies of the weights, if there is room for them."""
    if device != "cpu" or not torch._C._has_mkldnn:
        return False
    if pool.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return pool.dtype == torch.float32


def _workers(node: Mapping[str, Any]) -> int:
    """Return how many workers this machine has; how many a cluster has is not asked."""
    executor = config.build(node, "executor", evaluate=_idle, make=lambda _: _idle)
    if isinstance(executor, Local | Processes):
        return executor.workers
    workers = node.get("workers")
    return int(workers) if workers else max(1, torch.cuda.device_count())


def _idle(job: Job) -> Evaluation:
    raise AssertionError(f"preflight evaluates nothing, got {job.recipe.hash}")


def _element(merger: Merger) -> float | None:
    """Return the seconds that this method takes for an element on this machine, measured."""
    if not isinstance(merger, TensorMerger):
        return None
    recipe = merger.recipe(merger.space.init).content
    name = next(n for n in merger.pool.names if len(merger.pool.tensors(_first(recipe)).shape(n)))
    values = recipe["values"][merger.group(name)]
    sources = [source["name"] for source in recipe["sources"]]
    torch.manual_seed(0)
    base = torch.randn(SIDE, SIDE).to(merger.pool.dtype)
    whole = Whole(
        name="made up",
        base=None if recipe["base"] is None else base,
        tensors=[base + 0.01 * torch.randn_like(base) for _ in sources],
        sources=sources,
        values=[values.get(source, {}) for source in sources],
        shared=values.get("*", {}),
    )
    out = torch.empty_like(base)
    found = []
    for _ in range(3):  # the first looks at what is kept for all further ones
        start = time.perf_counter()
        merger.write(whole, out)
        found.append(time.perf_counter() - start)
    return min(found[1:]) / out.numel()


def _first(recipe: Mapping[str, Any]) -> str:
    return str(recipe["sources"][0]["name"])

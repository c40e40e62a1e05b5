"""What models of known shapes take: the table of docs/large-models.md.

    python -m evoforge.demand.sizes
    python -m evoforge.demand.sizes --config my/model/config.json --sources 4

Only settings are read; the machines are those of their data sheets.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from evoforge.demand.machine import GIB, KNOWN
from evoforge.demand.needs import SIZES, on_gpus, parts, peak
from evoforge.demand.shape import Shape, shape_of
from evoforge.demand.times import answering, merging
from evoforge.demand.work import Asked, Engine, Setup, Work
from evoforge.models.blueprint import of_config

FOLDER = Path(__file__).parent / "known"
NAMES = {
    "mistral_7b": "Mistral 7B",
    "llama_2_13b": "Llama 2 13B",
    "llama_2_70b": "Llama 2 70B",
}
# Grade-school problems in Japanese, with examples before them.
ASKED = Asked(items=128, read=300, longest=812, written=256)
SETUPS: tuple[tuple[Engine, int], ...] = (("hf", 16), ("hf", 128), ("vllm", 256))
GPU = "H100 80 GB"


def shape_of_file(path: Path) -> Shape:
    """Return the shape of a model whose config.json is all there is of it.

    Args:
        path: of the config.json.
    """
    from transformers import AutoConfig

    settings: dict[str, Any] = json.loads(path.read_text("utf-8"))
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    sizes = {name: tensor.shape for name, tensor in of_config(config).items()}
    return shape_of(config, sizes, (), torch.bfloat16)


def table(shapes: dict[str, Shape], sources: int = 2) -> str:
    """Return the table in Markdown.

    Args:
        shapes: by the name of each model.
        sources: that are merged, beside the base.
    """
    head = ["model", "weights", "sources on disk", "evaluator", "batch", "memory with sources"]
    head += [f"{size} GiB GPUs" for size in SIZES]
    head += ["merge", "answer", "export"]
    rows = [head, ["---"] * len(head)]
    for name, shape in shapes.items():
        rows += [_row(name, shape, engine, batch, sources) for engine, batch in SETUPS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(name: str, shape: Shape, engine: Engine, batch: int, sources: int) -> list[str]:
    work = Work(ASKED, ASKED, ASKED, 180, 7, ASKED.items, 5)
    stored = [shape.bytes] * (sources + 1)
    setup = Setup(engine, "cuda", batch, 1, stored, sources + 1)
    counts = {size: on_gpus(shape, setup, work, size * GIB) for size in SIZES}
    machine, gpus = KNOWN[GPU], counts[SIZES[-1]] or 1
    there = replace(setup, gpus=gpus)
    memory = peak(parts(shape, there, work), "memory") + sum(stored)
    return [
        name,
        f"{shape.weights / 1e9:.1f}e9",
        f"{sum(stored) / GIB:.0f} GiB",
        engine,
        str(batch),
        f"{memory / GIB:.0f} GiB",
        *("-" if count is None else str(count) for count in counts.values()),
        f"{merging(shape, there, machine):.2f} s",
        f"{answering(shape, there, ASKED, machine):.0f} s",
        f"{shape.bytes / GIB:.0f} GiB",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m evoforge.demand.sizes", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--config", type=Path, action="append", help="config.json of a model")
    parser.add_argument("--sources", type=int, default=2, help="merged beside the base (2)")
    given = parser.parse_args(arguments)
    paths = given.config or [FOLDER / f"{name}.json" for name in NAMES]
    shapes = {
        NAMES.get(path.stem, path.resolve().parent.name): shape_of_file(path) for path in paths
    }
    sys.stdout.write(table(shapes, given.sources) + "\n")


if __name__ == "__main__":
    main()

"""Print how the models of pictures and their plain merges score: run this module with `-m`.

Reads the model folders and the items; knows nothing of how they were made.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console
from rich.table import Table
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from evoforge.errors import ConfigError
from evoforge.zoo.baselines import State, task_arithmetic, ties
from evoforge.zoo.pictures.items import Pictures
from evoforge.zoo.pictures.scoring import Score, score
from evoforge.zoo.pictures.vlm import in_frame
from evoforge.zoo.pictures.words import KINDS

FOLDER: Final = Path(__file__).parent
# What is added of the vision-language model and of the Japanese one.
WEIGHTS: Final = ((0.5, 0.5), (0.7, 1.0), (0.85, 1.0), (0.6, 1.0), (1.0, 1.0), (1.0, 1.5))


def load(name: str, folder: Path = FOLDER) -> Any:
    """Load one bundled model in float32."""
    path = folder / name
    if not (path / "model.safetensors").exists():
        raise ConfigError(
            f"{path} must hold a model, found none; run python -m evoforge.zoo.pictures.build"
        )
    kind = AutoModelForImageTextToText if name == "vlm" else AutoModelForCausalLM
    return kind.from_pretrained(path, dtype=torch.float32).eval()


def load_frame(folder: Path = FOLDER) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Load the vision-language model and what feeds it."""
    return load("vlm", folder), AutoProcessor.from_pretrained(folder / "vlm")


def states(folder: Path = FOLDER) -> Iterator[tuple[str, State]]:
    """Yield names and language weights of the parents and of merges that need no search."""
    base, ja = (in_frame(load(name, folder).state_dict()) for name in ("base", "ja"))
    frame = load("vlm", folder).state_dict()
    vlm = {name: frame[name] for name in base}
    yield "base", base
    yield "ja", ja
    yield "vlm", vlm
    for weights in WEIGHTS:
        name = "linear {:g}, {:g}".format(*weights)
        yield name, task_arithmetic(base, [vlm, ja], weights)
    halves = [0.5, 0.5]
    yield "TIES 1, 1, density 0.5", ties(base, [vlm, ja], weights=[1, 1], densities=halves)


def scores(num_items: int, folder: Path = FOLDER) -> Iterator[tuple[str, Score]]:
    """Score every model and plain merge, in the frame, on Japanese items of the test part."""
    frame, processor = load_frame(folder)
    rows = Pictures(language="ja", test=num_items).rows("test")
    for name, state in states(folder):
        frame.load_state_dict(state, strict=False)
        yield name, score(frame, processor, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evoforge.zoo.pictures.check", description=__doc__
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder of the model folders")
    parser.add_argument("--items", type=int, default=300, help="number of test items")
    options = parser.parse_args(arguments)
    table = Table(
        title=f"{options.items} unseen pictures, asked in Japanese; score: in Japanese, ROUGE-L"
    )
    table.add_column("language weights", no_wrap=True)
    for column in ("score", "ROUGE-L", "% ja", *KINDS):
        table.add_column(column, justify="right")
    for name, result in scores(options.items, options.folder):
        figures = (result.both, result.rouge, result.same, *result.kinds.values())
        table.add_row(name, *(f"{figure:.1f}" for figure in figures))
    Console().print(table)


if __name__ == "__main__":
    main()

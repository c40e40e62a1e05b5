"""Print how the bundled models and their plain merges score: `python -m evoforge.zoo.check`.

Reads the model folders and the problems; knows nothing of how they were made.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer, MistralForCausalLM, PreTrainedTokenizerBase

from evoforge.errors import ConfigError
from evoforge.zoo.baselines import State, dare_ties, soup, ties
from evoforge.zoo.problems import Problems
from evoforge.zoo.scoring import Score, score

FOLDER: Final = Path(__file__).parent
SOURCES: Final = ("ja", "math_a", "math_b")


def load(name: str, folder: Path = FOLDER) -> MistralForCausalLM:
    """Load one bundled model in float32."""
    path = folder / name
    if not (path / "model.safetensors").exists():
        raise ConfigError(f"{path} must hold a model, found none; run python -m evoforge.zoo.build")
    return MistralForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def load_tokenizer(folder: Path = FOLDER) -> PreTrainedTokenizerBase:
    """Load the tokenizer that all bundled models share."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder / "base")
    return tokenizer


def states(folder: Path = FOLDER) -> Iterator[tuple[str, State]]:
    """Yield the name and the weights of every model and of every merge that needs no search."""
    base = load("base", folder).state_dict()
    models = [load(name, folder).state_dict() for name in SOURCES]
    yield "base", base
    yield from zip(SOURCES, models, strict=True)
    yield "uniform soup", soup(base, models)
    ones, halves = [1.0] * len(models), [0.5] * len(models)
    yield "TIES, weights 1, density 0.5", ties(base, models, weights=ones, densities=halves)
    for seed in range(3):
        merged = dare_ties(base, models, weights=ones, densities=halves, seed=seed)
        yield f"DARE-TIES, weights 1, density 0.5, seed {seed}", merged


def scores(num_problems: int, folder: Path = FOLDER) -> Iterator[tuple[str, Score]]:
    """Score every model and plain merge on problems of the test part."""
    tokenizer, body = load_tokenizer(folder), load("base", folder)
    rows = Problems(language="ja", test=num_problems).rows("test")
    for name, state in states(folder):
        body.load_state_dict(state)
        yield name, score(body, tokenizer, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m evoforge.zoo.check", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder of the model folders")
    parser.add_argument("--problems", type=int, default=510, help="number of test problems")
    options = parser.parse_args(arguments)
    table = Table(title=f"percent of {options.problems} unseen Japanese problems")
    table.add_column("model")
    for column in ("right and Japanese", "right", "Japanese"):
        table.add_column(column, justify="right")
    for name, result in scores(options.problems, options.folder):
        table.add_row(name, f"{result.both:.1f}", f"{result.number:.1f}", f"{result.japanese:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()

"""The command line: `python -m evoforge.zoo.smollm2 train`, then `... check`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from evoforge.zoo.smollm2.base import FOLDER
from evoforge.zoo.smollm2.build import build
from evoforge.zoo.smollm2.check import results
from evoforge.zoo.smollm2.recipes import RECIPES
from evoforge.zoo.words import OPERATIONS


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m evoforge.zoo.smollm2", description=__doc__)
    parser.add_argument("--base", type=Path, help="GGUF file or model folder; else the package's")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the adapter folders")
    commands = parser.add_subparsers(dest="command", required=True)
    trainer = commands.add_parser("train", help="make the adapters that are not there yet")
    trainer.add_argument("names", nargs="*", help=f"which of {', '.join(RECIPES)}; all if none")
    trainer.add_argument("--steps-scale", type=float, default=1.0, help="factor on training steps")
    checker = commands.add_parser("check", help="ask every adapter and merge unseen problems")
    checker.add_argument("--problems", type=int, default=64, help="problems for each language")
    options = parser.parse_args(arguments)
    if options.command == "train":
        _train(options)
    else:
        _check(options)


def _train(options: argparse.Namespace) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn()) as progress:
        made = build(
            options.out,
            options.names or list(RECIPES),
            base=options.base,
            steps_scale=options.steps_scale,
            progress=progress,
        )
        progress.console.print(f"made {', '.join(made) or 'nothing'} in {options.out}")


def _check(options: argparse.Namespace) -> None:
    table = Table(title=f"percent of {options.problems} unseen problems in each language")
    for column in ("model", "asked in"):
        table.add_column(column)
    for column in ("right and same language", "same language", *OPERATIONS):
        table.add_column(column, justify="right")
    console = Console()
    for name, language, result in results(options.problems, folder=options.out, base=options.base):
        figures = (result.both, result.same, *(result.right[name] for name in OPERATIONS))
        table.add_row(name, language, *(f"{figure:.1f}" for figure in figures))
        console.print(f"{name} ({language}): {result.example!r}", markup=False, highlight=False)
    console.print(table)


if __name__ == "__main__":
    main()

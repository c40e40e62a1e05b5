"""What the scripts that make bundled models have in common: options, progress, whole folders.

Knows folders and plans; what is trained is the scripts' affair.
"""

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from transformers import GenerationConfig, PreTrainedTokenizerFast

from evoforge.errors import ConfigError
from evoforge.zoo.train import Plan

# Told the loss of each step.
Report = Callable[[float], None]


class Build(Protocol):
    """Makes all models of a family."""

    def __call__(self, out: Path, *, steps_scale: float, progress: Progress) -> None:
        """Write the models' folders."""
        ...


def command(
    build: Build, *, name: str, about: str | None, out: Path, arguments: Sequence[str] | None
) -> None:
    """Run a script's command line.

    Args:
        build: makes the models.
        name: of the module, as it is run.
        about: what `--help` says.
        out: where folders go if nothing is said.
        arguments: of the command line; None for the process's own.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=about)
    parser.add_argument("--out", type=Path, default=out, help="where to write")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="factor on training steps")
    options = parser.parse_args(arguments)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn()) as progress:
        build(options.out, steps_scale=options.steps_scale, progress=progress)
        progress.console.print(f"wrote the models to {options.out}")


def reporting(progress: Progress, task: TaskID, name: str) -> Report:
    """Return what moves a bar on by a step of a model's training, and shows the loss."""
    return lambda loss: progress.update(task, advance=1, description=f"{name}: loss {loss:.3f}")


def scaled(plan: Plan, scale: float) -> Plan:
    """Return a plan of so many times the steps.

    Raises:
        ConfigError: the factor is not above 0.
    """
    if not scale > 0:
        raise ConfigError(f"steps_scale must be above 0, got {scale:g}; set --steps-scale")
    return replace(plan, steps=max(1, round(plan.steps * scale)))


@contextmanager
def whole_folder(out: Path, name: str) -> Iterator[Path]:
    """Give a folder to write into that takes its place only when all is written.

    Args:
        out: the folder that it will be in.
        name: of the folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out, prefix=".building-") as scratch:
        folder = Path(scratch) / name
        yield folder
        (folder / "model.safetensors").chmod(0o644)
        if (out / name).exists():
            shutil.rmtree(out / name)
        folder.replace(out / name)


def greedy(tokenizer: PreTrainedTokenizerFast, max_new_tokens: int) -> GenerationConfig:
    """Return how a bundled model generates, unless it is told otherwise."""
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=max_new_tokens,
        do_sample=False,
    )

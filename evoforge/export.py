"""Export: a recipe becomes a model folder that any Hugging Face tool can load.

The tensors are made from the recipe as they were for scoring, so the folder holds bit for bit the
model that was scored.
"""

import inspect
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict

from evoforge.candidate import Candidate
from evoforge.errors import JournalError
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe

PARTIAL = ".partial"


def export(
    candidate: Candidate,
    recipe: Recipe,
    pool: Pool,
    folder: Path,
    *,
    card: str,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a model folder: weights, settings, tokenizer, recipe and model card.

    Everything is written beside the folder first; a folder that is there is complete.

    Args:
        candidate: what to export.
        recipe: its recipe.
        pool: the sources, which say settings, tokenizer and type.
        folder: what to make; replaced if it exists.
        card: the text of README.md.
        progress: told after each tensor how many of how many are merged.

    Raises:
        JournalError: the folder cannot be written.
        MergeError: a tensor is not finite.
    """
    partial = folder.with_name(folder.name + PARTIAL)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write(candidate, recipe, pool, partial, card, progress)
        for path in partial.iterdir():
            _settle(path)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        raise JournalError(
            f"cannot write {folder}: {error.strerror or error}; free the disk and go on with "
            f"resume={folder.parent}"
        ) from error


def _write(
    candidate: Candidate,
    recipe: Recipe,
    pool: Pool,
    folder: Path,
    card: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    from transformers import AutoConfig

    reference = pool.reference
    state: dict[str, torch.Tensor] = {}
    for done, name in enumerate(candidate.names, start=1):
        state[name] = candidate.tensor(name).to(pool.dtype).contiguous()
        if progress:
            progress(done, len(candidate.names))
    # The hub's library announces the folder that is not final yet; its logger has no proper name.
    logging.getLogger(inspect.getfile(save_torch_state_dict)).setLevel(logging.WARNING)
    save_torch_state_dict(state, folder, metadata={"format": "pt"})
    config = AutoConfig.from_pretrained(
        reference.folder, trust_remote_code=reference.spec.trust_remote_code
    )
    config.dtype = pool.dtype
    config.save_pretrained(folder)
    generation = reference.folder / "generation_config.json"
    if generation.is_file():
        shutil.copyfile(generation, folder / generation.name)
    pool.tokenizer.save_pretrained(folder)
    (folder / "recipe.json").write_text(recipe.text + "\n", "utf-8")
    (folder / "README.md").write_text(card, "utf-8")


def _settle(path: Path) -> None:
    """Make a file durable, and as readable as the user's other files."""
    # safetensors writes files for their owner alone, which a shared cluster cannot use.
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
    with path.open("rb") as file:
        os.fsync(file.fileno())

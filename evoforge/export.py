"""Export: a recipe becomes a model folder that any Hugging Face tool can load.

The tensors of a merge are made from the recipe as they were for scoring, so the folder holds bit
for bit the model that was scored. A path is scored over layers that its sources share and written
as a plain model with a layer for each hop; whether that one says the same is measured.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from evoforge import checksums
from evoforge.candidate import Candidate
from evoforge.errors import JournalError, MergeError
from evoforge.mergekit_writer.files import mergekit_config
from evoforge.models.pool import Pool
from evoforge.models.settings import adapt
from evoforge.models.writing import write_tensors
from evoforge.recipe import Recipe

PARTIAL = ".partial"
# What a model says of the next tokens of some prompts: (tokens, vocabulary) float32 for each.
Logits = Sequence[torch.Tensor]
# The largest mean divergence (nats a token) of a written path from the scored one, which has the
# same type and rounds too. Scales between 0.5 and 1.5 give 1e-13 in float32, 1e-4 in bfloat16.
LIMITS = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 2e-2}


def export(
    candidate: Candidate,
    recipe: Recipe,
    pool: Pool,
    folder: Path,
    *,
    card: str,
    rounding: Mapping[str, Any] | None = None,
    scored: Callable[[], Logits] | None = None,
    written: Callable[[Path], Logits] | None = None,
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
        rounding: what storing the model takes, for `rounding.json`.
        scored: what the model that was scored says of some prompts.
        written: what a model folder says of them; both are asked if the candidate is a path.
        progress: told after each tensor how many of how many are merged.

    Raises:
        JournalError: the folder cannot be written.
        MergeError: a tensor is not finite, or the written model does not say what the scored one
            does.
    """
    partial = folder.with_name(folder.name + PARTIAL)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write(candidate, recipe, pool, partial, card, progress)
        if rounding is not None:
            text = json.dumps(rounding, indent=2)
            (partial / "rounding.json").write_text(text + "\n", "utf-8")
        if candidate.walk is not None and scored is not None and written is not None:
            _check(scored(), written(partial), partial, pool.dtype_name)
        checksums.write(partial)
        for path in filter(Path.is_file, partial.rglob("*")):
            _settle(path)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise JournalError(
            f"cannot write {folder}: {reason}; free the disk and go on with resume={folder.parent}"
        ) from error


def _write(
    candidate: Candidate,
    recipe: Recipe,
    pool: Pool,
    folder: Path,
    card: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    _write_weights(candidate, pool, folder, progress)
    config = pool.model_config()
    adapt(config, candidate.settings)
    for part in (config, *_parts(config)):
        part.dtype = pool.dtype
    config.save_pretrained(folder)
    generation = pool.generation_settings()
    if generation is not None:
        text = json.dumps(generation, indent=2, ensure_ascii=False)
        (folder / "generation_config.json").write_text(text + "\n", "utf-8")
    if pool.vision is None:
        pool.tokenizer.save_pretrained(folder)
    else:
        pool.vision.save_processor(pool.tokenizer, folder)
    (folder / "recipe.json").write_text(recipe.text + "\n", "utf-8")
    (folder / "README.md").write_text(card, "utf-8")
    if (adapter := candidate.adapter()) is not None:
        adapter.save(folder / "adapter")
    if config_text := mergekit_config(candidate, recipe, pool):
        (folder / "mergekit_config.yml").write_text(config_text, "utf-8")


def _write_weights(
    candidate: Candidate,
    pool: Pool,
    folder: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write all tensors by their stored names, one at a time, what is never merged included."""
    vision = pool.vision
    merged = {name if vision is None else vision.stored(name): name for name in candidate.names}
    frozen: Mapping[str, torch.Tensor] = {} if vision is None else vision.frozen
    done = 0

    def tensor(stored: str) -> torch.Tensor:
        nonlocal done
        if stored in frozen:
            return frozen[stored].to(pool.dtype)
        out = torch.empty(candidate.shape(merged[stored]), dtype=pool.dtype)
        candidate.write(merged[stored], out)
        done += 1
        if progress:
            progress(done, len(merged))
        return out

    shapes = {stored: candidate.shape(name) for stored, name in merged.items()}
    shapes |= {name: frozen[name].shape for name in frozen}
    write_tensors(folder, shapes, pool.dtype, tensor)


def _parts(config: Any) -> list[Any]:
    """Return the configurations of a model's parts, of which a text model has none."""
    return [part for key in config.sub_configs if (part := getattr(config, key, None)) is not None]


def _check(scored: Logits, written: Logits, folder: Path, dtype: str) -> None:
    """Refuse a folder that does not say what was scored; note how near it comes."""
    found = divergence(scored, written)
    limit = LIMITS[dtype]
    if not found["divergence"] <= limit:
        raise MergeError(
            f"the exported path says something else than the scored one: {found['divergence']:.2g} "
            f"nats a token apart, at most {limit:g} are allowed in {dtype}; start a new run with "
            "scales nearer to 1 (scale_range of the paths), or with models.dtype=float32"
        )
    text = json.dumps({**found, "limit": limit, "dtype": dtype}, indent=2)
    (folder / "fidelity.json").write_text(text + "\n", "utf-8")


def divergence(first: Logits, second: Logits) -> dict[str, float]:
    """Return how far two models are apart on the same tokens.

    Args:
        first: (tokens, vocabulary) float32 for each prompt.
        second: likewise.

    Returns:
        `divergence`: mean Kullback-Leibler divergence of the second from the first, in nats a
        token; `largest_difference`: of any logit; `same_token`: the share of tokens after which
        both find the same next one likeliest; `tokens`.
    """
    mine, other = torch.cat(list(first)), torch.cat(list(second))
    logs = mine.double().log_softmax(-1), other.double().log_softmax(-1)
    apart = (logs[0].exp() * (logs[0] - logs[1])).sum(-1)
    return {
        "divergence": float(apart.mean().clamp_min(0)),
        "largest_difference": float((mine - other).abs().max()),
        "same_token": float((mine.argmax(-1) == other.argmax(-1)).double().mean()),
        "tokens": len(mine),
    }


def _settle(path: Path) -> None:
    """Make a file durable, and as readable as the user's other files."""
    # safetensors writes files for their owner alone, which a shared cluster cannot use.
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
    with path.open("rb") as file:
        os.fsync(file.fileno())

"""Makes the merge that a mergekit file describes, as `mergekit-yaml` does.

    python -m evoforge.mergekit recipe.yml FOLDER
    python -m evoforge.mergekit recipe.yml FOLDER --dtype bfloat16 --seed 1

To search from there: python run.py models=mergekit models.file=recipe.yml merge=mergekit
"""

import argparse
import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from evoforge.errors import ConfigError, EvoforgeError, JournalError, MergeError
from evoforge.export import export
from evoforge.merge.mergekit import fixed
from evoforge.mergekit_yaml.document import DTYPES, read
from evoforge.models.mergekit import open_mergekit
from evoforge.models.pool import Pool

log = logging.getLogger(__name__)


def make(
    file: Path,
    folder: Path,
    *,
    dtype: str | None = None,
    truncate: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Merge what a mergekit file says, and write the model.

    Args:
        file: the mergekit file.
        folder: where the model goes; it must be new or empty.
        dtype: of the merged model; None for what the file says.
        truncate: whether to cut embeddings to the rows that all models have.
        seed: of the masks of DARE and DELLA.
        progress: told after each tensor how many of how many are merged.

    Raises:
        ConfigError: the file, a model or the folder cannot be used.
        MergeError: a tensor is not finite.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ConfigError(f"--dtype must be one of {', '.join(DTYPES)}, got {dtype}")
    _check_folder(folder)
    document = read(file)
    pool = open_mergekit(file=str(file), dtype=dtype, truncate=truncate)
    recipe, candidate, pool = fixed(document, pool, seed)
    card = _card(file, document.name, pool)
    try:
        export(candidate, recipe, pool, folder.resolve(), card=card, progress=progress)
    except JournalError as error:
        # There is no run to go on with.
        text = re.sub(r"; free the disk .*$", "; free the disk or give another FOLDER", str(error))
        raise ConfigError(text) from error
    except MergeError as error:
        raise MergeError(str(error).replace("set models.dtype", "set --dtype")) from error


def _check_folder(folder: Path) -> None:
    try:
        used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise ConfigError(f"cannot use {folder}: {error.strerror}; give another FOLDER") from error
    if used:
        raise ConfigError(f"{folder} must be a new or empty folder; give another one")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the merge of a file; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evoforge.mergekit", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", type=Path, help="a mergekit file")
    parser.add_argument("folder", type=Path, help="where the model goes, new or empty")
    parser.add_argument("--dtype", help="float32, float16 or bfloat16; by default the file's")
    parser.add_argument("--seed", type=int, default=0, help="of the masks of DARE and DELLA")
    parser.add_argument(
        "--truncate", action="store_true", help="cut embeddings to the rows that all models have"
    )
    given = vars(parser.parse_args(arguments))
    try:
        quiet = not sys.stderr.isatty()
        with Progress(console=Console(stderr=True), transient=True, disable=quiet) as bar:
            task = bar.add_task("merging", total=None)

            def progress(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            make(**given, progress=progress)
    except EvoforgeError as error:
        log.error("%s", error)
        return 2 if isinstance(error, ConfigError) else 1
    log.info("%s", given["folder"])
    return 0


def _card(file: Path, method: str, pool: Pool) -> str:
    """Return a model card: what was merged, and under which licences."""
    models = [
        f"- `{source.spec.path}` ({source.license or 'no licence given'})"
        for source in pool.members
    ]
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "tags: [merge, mergekit, evoforge]",
            "---",
            "",
            f"# {method} merge of {file.name}",
            "",
            "Made by evoforge from a mergekit file, of these models:",
            "",
            *models,
            "",
            "`recipe.json` holds the numbers and the hashes of all weights that went in.",
            "",
        ]
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.exit(main())

"""Where the files of a source are: bundled with evoforge, in a folder, or on the hub.

Knows paths; does not know what the files hold.
"""

import re
from pathlib import Path

from evoforge.errors import PoolError

BUNDLED = "bundled:"
ZOO = Path(__file__).parents[1] / "zoo"
# Weights and settings only: nothing that could be executed is ever fetched.
WANTED = ["*.safetensors", "*.json", "tokenizer.model", "*.jinja", "README.md"]
# Second copies of the same weights in other formats.
UNWANTED = ["consolidated*", "original/*", "*/*"]
# Characters of another library's error that are passed on.
LONGEST = 200
PICKLED = ["pytorch_model*.bin", "adapter_model.bin"]


def from_hub(
    name: str,
    path: str,
    revision: str | None,
    *,
    file: str | None,
    pickled: bool,
    code: bool,
    weights: bool = True,
) -> tuple[Path, str | None]:
    """Return the folder of a model of the hub, fetched if it is not there, and its commit.

    Args:
        name: the source, for errors.
        path: the hub id.
        revision: branch, tag or commit.
        file: the only file that is wanted, if one is.
        pickled: whether pickled weights are wanted too.
        code: whether the model's own code is wanted too.
        weights: whether they are wanted; without them only small files are fetched.

    Raises:
        PoolError: there is no such model, or the hub does not answer.
    """
    from huggingface_hub import snapshot_download

    # The hub's client raises its HTTP library's own errors; which library depends on its version.
    from huggingface_hub.errors import HFValidationError, HTTPError

    wanted = [*WANTED, *(["*.py"] if code else []), *(PICKLED if pickled else [])]
    if file:
        wanted = [file, "README.md"]
    elif not weights:
        wanted = [pattern for pattern in wanted if not pattern.endswith((".safetensors", ".bin"))]
    try:
        found = snapshot_download(
            path,
            revision=revision,
            allow_patterns=wanted,
            ignore_patterns=None if file else UNWANTED,
        )
    except (OSError, HTTPError, HFValidationError, ValueError) as error:
        raise PoolError(
            f"cannot get {path} from the hub ({first_line(error)}); check the id and the "
            f"network, or give a folder as models.sources.{name}.path"
        ) from error
    folder = Path(found)
    # The hub's cache keeps each commit in a folder of its name.
    commit = folder.name if re.fullmatch(r"[0-9a-f]{40}", folder.name) else revision
    return folder, commit


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or the next one where that only announces it."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    line = lines[1].strip() if lines[0].endswith(":") and len(lines) > 1 else lines[0]
    # transformers lists all models that it knows.
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."

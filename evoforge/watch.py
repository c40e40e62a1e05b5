"""Sources that must stay as they are while a run reads them.

Weights are views of mapped files: what is written into such a file changes them under the run.
Whoever replaces a file instead leaves the run its old weights, but workers that start later, and
whoever goes on with the run, read the new ones.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from evoforge.errors import JournalError, PoolError
from evoforge.models.adapter import Adapter
from evoforge.models.pool import Pool
from evoforge.models.source import Source
from evoforge.models.weights import PICKLED, differing

# Size in bytes, time of the last change in nanoseconds, and number of the file.
Stamp = tuple[int, int, int]


class Watch:
    """Notices that a source is not what it was.

    Args:
        pool: the sources, as their files are now.
        folder: the run folder, for what is said.
    """

    def __init__(self, pool: Pool, folder: Path) -> None:
        self._sources = {source.name: source for source in pool.members}
        self._folder = folder
        self._seen = {name: _stamps(source) for name, source in self._sources.items()}

    def check(self) -> None:
        """Make sure that no source has changed since; costs a look at each file's facts.

        Raises:
            JournalError: one has: its weights, and not just the times of its files.
        """
        for name, source in self._sources.items():
            before = self._seen[name]
            now = {path: _stamp(path) or before[path] for path in before}
            changed = [path for path in now if now[path] != before[path]]
            if changed:
                self._compare(source, changed[0])
                self._seen[name] = now

    def _compare(self, source: Source, path: Path) -> None:
        """Refuse weights that differ; a file that was touched or copied again holds the same."""
        try:
            same = not differing(_anew(source).hashes, source.hashes)
        except (PoolError, OSError):  # half written
            same = False
        if not same:
            raise JournalError(
                f"{path} was changed while the run read it, so the weights of {source.name} are no "
                "longer those that the run was started with; nothing was recorded since: restore "
                f"the file and go on with resume={self._folder}"
            )


def _stamps(source: Source) -> Mapping[Path, Stamp]:
    """Return what tells whether files of weights have changed, by path."""
    folders = {source.folder, *([] if source.adapter is None else [source.adapter.folder])}
    kinds = (".safetensors", *PICKLED)
    paths = [path for folder in sorted(folders) for path in sorted(folder.iterdir())]
    found = {path: _stamp(path) for path in paths if path.suffix in kinds}
    return {path: stamp for path, stamp in found.items() if stamp is not None}


def _stamp(path: Path) -> Stamp | None:
    """Return None for a file that is deleted, which whoever has it open reads on."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _anew(source: Source) -> Source:
    """Return a source as its files are now."""
    if source.adapter is None:
        return replace(source)
    adapter = Adapter(source.adapter.folder, source.name, pickled=source.spec.pickled)
    return replace(source, adapter=adapter, changed=source.changed and _anew(source.changed))

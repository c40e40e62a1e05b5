"""The files of a model folder that go to the hub, by name, size and hash."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from evoforge.errors import ConfigError

# They hold code, or can when they are opened; an export of evoforge has none of them.
UNSAFE = {".py", ".pyc", ".so", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"}
BLOCK = 1 << 22


@dataclass(frozen=True)
class File:
    """One file to publish.

    Args:
        name: its path in the folder and in the repository, with `/`.
        source: where it lies, or its content where that is not what lies in the folder.
    """

    name: str
    source: Path | bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """The hash by which the hub knows large files."""
        digest = hashlib.sha256()
        for block in self._blocks():
            digest.update(block)
        return digest.hexdigest()

    @cached_property
    def blob(self) -> str:
        """The hash by which git, and so the hub, knows small files."""
        digest = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        for block in self._blocks():
            digest.update(block)
        return digest.hexdigest()

    def text(self) -> str:
        """Return the content as text."""
        return b"".join(self._blocks()).decode("utf-8", "replace")

    def _blocks(self) -> Iterator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source
            return
        with self.source.open("rb") as file:
            while block := file.read(BLOCK):
                yield block


def files(folder: Path) -> tuple[File, ...]:
    """Return the files of a model folder in order of their names, hidden ones left out.

    Raises:
        ConfigError: one of them is a link, or can hold code.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in name.split("/")):
            continue
        if path.is_symlink():
            raise ConfigError(f"{path} is a link, which may lead out of the model; copy the file")
        if path.suffix.lower() in UNSAFE:
            raise ConfigError(f"{path} can hold code, which is not published; remove it")
        if path.is_file():
            found.append(File(name, path))
    return tuple(found)

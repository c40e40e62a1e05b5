"""What publishing would do to a repository: which files come, change, go and stay."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from evoforge.hub.files import File
from evoforge.visible import one_line

Doing = Literal["new", "change", "same", "remove", "keep"]
# The hub makes it by itself.
OWN = {".gitattributes"}


@dataclass(frozen=True)
class Remote:
    """A file of the repository.

    Args:
        name: its path.
        size: bytes.
        blob: its hash in git.
        sha256: its hash where it is stored as a large file.
    """

    name: str
    size: int
    blob: str
    sha256: str | None = None

    def holds(self, file: File) -> bool:
        """Whether it has the content of a file here."""
        if self.size != file.size:
            return False
        return file.blob == self.blob if self.sha256 is None else file.sha256 == self.sha256


@dataclass(frozen=True)
class Plan:
    """What would happen to each file.

    Args:
        files: here, by what is done with them.
        remove: weights of another model in the repository, which would be loaded with ours.
        keep: other files in the repository, which are left alone.
    """

    files: Mapping[File, Doing]
    remove: tuple[Remote, ...] = ()
    keep: tuple[Remote, ...] = ()

    @property
    def to_send(self) -> tuple[File, ...]:
        """The files that are not there as they are here."""
        return tuple(file for file, doing in self.files.items() if doing != "same")

    @property
    def idle(self) -> bool:
        """Whether everything is there already."""
        return not (self.to_send or self.remove)

    @property
    def asks(self) -> bool:
        """Whether somebody else's content is touched, or ours comes between it."""
        replaces = "change" in self.files.values() or bool(self.remove)
        return not self.idle and (replaces or bool(self.keep))

    def lines(self) -> Iterator[tuple[Doing, str, int]]:
        """Yield what is done, to which file as it can be printed, and its size in bytes."""
        yield from ((doing, one_line(file.name), file.size) for file, doing in self.files.items())
        yield from (("remove", one_line(each.name), each.size) for each in self.remove)
        yield from (("keep", one_line(each.name), each.size) for each in self.keep)


def plan(files: Sequence[File], remote: Sequence[Remote]) -> Plan:
    """Compare a model folder with what a repository holds, by hash.

    Args:
        files: of the model.
        remote: of the repository; empty where there is none yet.
    """
    there = {each.name: each for each in remote}
    doing: dict[File, Doing] = {file: _doing(file, there.get(file.name)) for file in files}
    ours = {file.name for file in files}
    others = [each for each in remote if each.name not in ours | OWN]
    return Plan(
        doing,
        remove=tuple(each for each in others if _weights(each.name)),
        keep=tuple(each for each in others if not _weights(each.name)),
    )


def _doing(file: File, there: Remote | None) -> Doing:
    if there is None:
        return "new"
    return "same" if there.holds(file) else "change"


def _weights(name: str) -> bool:
    """Whether transformers would take a file at the top for weights of the model."""
    path = PurePosixPath(name)
    ends = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json")
    stem = path.name.startswith(("model", "pytorch_model"))
    return len(path.parts) == 1 and stem and path.name.endswith(ends)

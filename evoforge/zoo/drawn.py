"""Items that are drawn by chance, part by part, as rows for a task."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from evoforge.errors import ConfigError
from evoforge.zoo.words import LANGUAGES

Thing = TypeVar("Thing")


class Drawn(ABC, Generic[Thing]):
    """Rows of items that are the same in all languages.

    Args:
        language: "en" or "ja".
        sizes: how many items each part has.
        limit: how many it may have.
        given: what the limit is for, such as " with 2 operations".
        seed: which items are drawn, 0 or more.

    Raises:
        ConfigError: an option is outside its range.
    """

    def __init__(
        self, language: str, sizes: Mapping[str, int], *, limit: int, given: str = "", seed: int
    ) -> None:
        if language not in LANGUAGES:
            raise ConfigError(
                f"language must be among {', '.join(LANGUAGES)}, got {language!r}; "
                "set task.items.language"
            )
        if seed < 0:
            raise ConfigError(f"seed must be 0 or more, got {seed}; set task.items.seed")
        for part, size in sizes.items():
            if not 1 <= size <= limit:
                raise ConfigError(
                    f"{part} must be between 1 and {limit}{given}, got {size}; "
                    f"set task.items.{part}"
                )
        self._language, self._sizes, self._seed = language, dict(sizes), seed

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of one part: "search", "select" or "test".

        Raises:
            ConfigError: there is no such part.
        """
        if part not in self._sizes:
            raise ConfigError(f"part must be among {', '.join(self._sizes)}, got {part!r}")
        things = zip(range(self._sizes[part]), self._distinct(part), strict=False)
        return [self._row(part, index, thing) for index, thing in things]

    @abstractmethod
    def _distinct(self, part: str) -> Iterator[Thing]:
        """Draw things of a part without end, none twice."""

    @abstractmethod
    def _row(self, part: str, index: int, thing: Thing) -> dict[str, Any]:
        """Return the row of a thing."""

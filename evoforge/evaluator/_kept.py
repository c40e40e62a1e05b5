"""Things that are made once and kept as long as there is room."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Kept(Generic[Thing]):
    """A shelf of so many bytes, which the things that were wanted the longest ago leave first.

    Args:
        limit: bytes; one thing stays even if it is larger.
        size: returns the bytes of a thing.
    """

    def __init__(self, limit: float, size: Callable[[Thing], int]) -> None:
        self._limit = limit
        self._size = size
        self._things: OrderedDict[str, Thing] = OrderedDict()
        self._bytes = 0

    def get(self, name: str, make: Callable[[], Thing]) -> Thing:
        """Return a thing by its name; it is made if it is not there."""
        if name in self._things:
            self._things.move_to_end(name)
            return self._things[name]
        thing = self._things[name] = make()
        self._bytes += self._size(thing)
        while self._bytes > self._limit and len(self._things) > 1:
            self._bytes -= self._size(self._things.popitem(last=False)[1])
        return thing

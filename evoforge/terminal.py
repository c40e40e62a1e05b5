"""A console on which texts of others are shown and cannot do anything."""

from collections.abc import Iterable

from rich.console import Console
from rich.segment import Segment

from evoforge.visible import visible


class Terminal(Console):
    """Writes controls out that are in what is printed; its own colours stay."""

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """Called by rich with all that goes to the terminal, piece by piece."""
        return super()._render_buffer(
            each if each.control else Segment(visible(each.text), each.style) for each in buffer
        )

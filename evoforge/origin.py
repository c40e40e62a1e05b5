"""Where a genome comes from: what made it, and of which others."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """What an optimizer says of a genome.

    Args:
        operator: what made it, such as `sample`, `start`, `elite` or `sbx+gaussian`.
        parents: the genomes that it was made of, numbered from 0 in the order in which the
            optimizer asked them.
    """

    operator: str
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Descent:
    """An origin as a record keeps it.

    Args:
        operator: what made the genome.
        parents: (generation, position) of each parent.
    """

    operator: str
    parents: tuple[tuple[int, int], ...] = ()

"""Picks what charts of genomes against scores are drawn from.

Knows the lines of the table of candidates; does not know W&B.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

GENE = "genome/"
GENES = 6  # charts, of the genes that go with the score most
POINTS = 500  # candidates in a chart
LINES = 8000  # of the long table; W&B cuts at 10,000 in silence
LONG_COLUMNS = ("candidate", "generation", "gene", "value", "score")

Line = Mapping[str, Any]


def scored(lines: Sequence[Line]) -> list[Line]:
    """Return the lines that have a score and genes, at most 500, evenly over the search."""
    fine = [line for line in lines if line["score"] is not None and names([line])]
    if len(fine) <= POINTS:
        return fine
    return [fine[i] for i in np.linspace(0, len(fine) - 1, POINTS).round().astype(int)]


def names(lines: Sequence[Line]) -> list[str]:
    """Return the columns of genes."""
    return [name for name in (lines[0] if lines else ()) if name.startswith(GENE)]


def telling(lines: Sequence[Line]) -> list[str]:
    """Return the columns of the genes that go with the score most: by absolute correlation.

    Genes that are the same in all lines tell nothing and are left out.
    """
    if len(lines) < 3:
        return []
    scores = np.array([line["score"] for line in lines], dtype=np.float64)
    found: dict[str, float] = {}
    for name in names(lines):
        values = np.array([line[name] for line in lines], dtype=np.float64)
        if values.std() > 0 and scores.std() > 0:
            found[name] = abs(float(np.corrcoef(values, scores)[0, 1]))
    return sorted(found, key=lambda name: -found[name])[:GENES]


def long_lines(lines: Sequence[Line]) -> list[list[Any]]:
    """Return a line for each gene of each candidate: what parallel coordinates are drawn from."""
    columns = names(lines)
    step = -(-len(lines) * len(columns) // LINES) or 1
    return [
        [line["index"], line["generation"], name.removeprefix(GENE), line[name], line["score"]]
        for line in lines[::step]
        for name in columns
    ]

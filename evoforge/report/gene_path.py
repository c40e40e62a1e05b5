"""The picture of a stage that searches paths: slots, scales from layer to layer, and the rest.

Puts sections below each other; does not read records.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from evoforge.report import figure as fig
from evoforge.report import gene_map, gene_pairs, gene_slots
from evoforge.report.course import Course

WIDTH, TOP, TITLE = 8.6, 0.66, 0.2


@dataclass(frozen=True)
class Section:
    """A part of the picture.

    Args:
        height: inches.
        place: draws it into a figure, so many inches below its upper edge.
    """

    height: float
    place: Callable[[Figure, float], None]


def has_slots(course: Course) -> bool:
    """Whether a stage searches paths."""
    return bool(gene_slots.slots(course))


def draw(course: Course) -> Figure:
    """Return the picture of a stage that searches paths."""
    sections = _sections(course)
    figure = fig.blank(WIDTH, TOP + sum(section.height for section in sections))
    top = TOP
    for section in sections:
        section.place(figure, top)
        top += section.height
    passes = max(found.passes for found in gene_slots.slots(course))
    rows = f"; rows of a map: the {passes} passes through all layers" if passes > 1 else ""
    said = f"colour: mean over the candidates of a generation{rows}"
    fig.heading(figure, gene_map.heading(len(course.names)), said)
    return figure


def _sections(course: Course) -> list[Section]:
    found, rest = [], np.ones(len(course.names), dtype=bool)
    for slots in gene_slots.slots(course):
        place = partial(gene_slots.place, course=course, found=slots)
        found.append(Section(gene_slots.height(course, slots), place))
        rest[np.concatenate([grid[grid >= 0] for grid in slots.index.values()])] = False
    pairs = gene_pairs.pairs(course)
    if pairs is not None:
        place = partial(gene_pairs.place, course=course, found=pairs)
        found.append(Section(gene_pairs.height(), place))
        rest[pairs.index[pairs.index >= 0]] = False
    if rest.any():
        others = course.pick(np.flatnonzero(rest))
        found.append(Section(TITLE + gene_map.height(others), partial(_others, course=others)))
    return found


def _others(figure: Figure, top: float, course: Course) -> None:
    strip = "mean of a generation" + (
        "; right strip: the winner" if course.marked is not None else ""
    )
    fig.section(figure, top, "Other genes", strip)
    gene_map.place(figure, top + TITLE, course)

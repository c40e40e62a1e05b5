"""How every picture looks: colours, text, axes, and labels that keep clear of each other.

Uses matplotlib without pyplot, so that nothing global is touched and no display is needed. Knows
axes and text; does not know runs.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evoforge.errors import JournalError

# Okabe and Ito 2008, https://jfly.uni-koeln.de/color/ without yellow and with a softer black: they
# can be told apart with every kind of colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#52606D")
INK = "#1F2933"
FAINT = "#7B8794"
GRID = "#E4E7EB"
DPI = 150
# One hue order, dark to light, safe for colour-blind eyes and in grey.
SEQUENTIAL = "cividis"
# From none to all.
SHARE = LinearSegmentedColormap.from_list("share", ["#EDF0F3", "#8CBEDD", "#0072B2", "#06325C"])
# Below, at and above a centre: blue and orange are told apart by all eyes, and grey is neither.
DIVERGING = LinearSegmentedColormap.from_list(
    "evoforge", ["#08306B", "#2F7EBC", "#A9CCE3", "#ECECEA", "#F3BD8B", "#D9702A", "#7A2E04"]
)
# Fonts with Japanese that people have; DejaVu Sans comes with matplotlib and has none.
JAPANESE = (
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "Hiragino Sans",
    "Yu Gothic",
    "Meiryo",
    "IPAexGothic",
    "TakaoPGothic",
)


@cache
def fonts() -> tuple[str, ...]:
    """Return the font families to draw with: DejaVu Sans, and one with Japanese if there is."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *[name for name in JAPANESE if name in known][:1])


@cache
def _drawable() -> frozenset[int]:
    found: set[int] = set()
    for name in fonts():
        path = font_manager.findfont(font_manager.FontProperties(family=name))
        found |= font_manager.get_font(path).get_charmap().keys()
    return frozenset(found)


def clean(text: str, limit: int = 28) -> str:
    """Return a text that can be drawn as it stands.

    Characters that no font has become their code (`U+65E5`), dollars are not mathematics, and a
    long text loses its middle.
    """
    if len(text) > limit:
        text = f"{text[: limit - limit // 2 - 1]}…{text[-(limit // 2) :]}"
    shown = "".join(c if c.isprintable() else " " for c in text)
    drawn = (c if ord(c) in _drawable() else f"U+{ord(c):04X}" for c in shown)
    return "".join(drawn).replace("$", r"\$")


def colour(index: int) -> str:
    """Return the colour of the source or setting with this number."""
    return PALETTE[index % len(PALETTE)]


def blank(width: float, height: float) -> Figure:
    """Return an empty white figure; inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return new axes in a figure, measured in inches from its top left corner."""
    wide, high = figure.get_figwidth(), figure.get_figheight()
    box = (left / wide, 1 - (top + height) / high, width / wide, height / high)
    return figure.add_axes(box)


def inches(axes: Axes) -> tuple[float, float]:
    """Return the width and height of axes."""
    box = axes.get_window_extent()
    return float(box.width) / DPI, float(box.height) / DPI


def heading(figure: Figure, title: str, subtitle: str) -> None:
    """Write a title and a line below it at the figure's top left; both as they stand."""
    top = 1 - 0.13 / figure.get_figheight()
    left = 0.13 / figure.get_figwidth()
    step = 0.27 / figure.get_figheight()
    write(figure, left, top, title, size=12.5, weight="bold", color=INK, va="top")
    write(figure, left, top - step, subtitle, size=9, color=FAINT, va="top")


def footnote(figure: Figure, text: str) -> None:
    """Write a small line at the figure's bottom right."""
    right, low = 1 - 0.13 / figure.get_figwidth(), 0.1 / figure.get_figheight()
    write(figure, right, low, text, size=7.5, color=FAINT, ha="right", va="bottom")


def section(figure: Figure, top: float, title: str, said: str) -> None:
    """Write a smaller title, and what is to be said of it on the same line; `top` in inches."""
    wide, y = figure.get_figwidth(), 1 - (top + 0.1) / figure.get_figheight()
    text = write(figure, 0.13 / wide, y, title, weight="bold", va="center_baseline", size=9.5)
    end = text.get_window_extent().x1 / DPI
    write(figure, (end + 0.1) / wide, y, said, va="center_baseline", size=8.5, color=FAINT)


def write(where: Any, x: float, y: float, text: str, **options: Any) -> Any:
    """Write a text on axes or a figure."""
    return where.text(x, y, text, **{"family": list(fonts()), "size": 9, "color": INK} | options)


def style(axes: Axes) -> None:
    """Give axes a light grid and no box."""
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=8.5, length=0)


def plain(axes: Axes) -> None:
    """Give axes of an image no box and no tick marks."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=8, length=0)


def colour_bar(axes: Axes, image: Any, label: str) -> None:
    """Fill narrow axes with the colours of an image, and say what they mean."""
    figure = axes.get_figure()
    assert figure is not None
    figure.colorbar(image, cax=axes).outline.set_visible(False)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=8, length=0)
    ticks(axes.yaxis, int(np.clip(inches(axes)[1] / 0.3, 1, 5)))
    options: dict[str, Any] = {"family": list(fonts()), "size": 8.5, "color": INK}
    axes.set_ylabel(clean(label), rotation=270, labelpad=11, **options)


def ticks(axis: Axis, count: int, *, integer: bool = False) -> None:
    """Give an axis about `count` round numbers."""
    axis.set_major_locator(MaxNLocator(nbins=count, integer=integer, steps=[1, 2, 5, 10]))


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions near the wanted ones, at least `gap` apart, within [low, high].

    Crowded neighbours share the room around their mean, as beads on a string would. Where there
    is no room for all, they are spaced evenly.

    >>> spread([1.0, 1.0, 5.0], 2.0, 0.0, 10.0)
    [0.0, 2.0, 5.0]
    """
    if not wanted:
        return []
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    clusters: list[list[int]] = []
    for index in order:
        clusters.append([index])
        while len(clusters) > 1:
            below, above = _start(clusters[-2], wanted, gap), _start(clusters[-1], wanted, gap)
            if above - below >= gap * len(clusters[-2]) - 1e-12:
                break
            clusters[-2:] = [clusters[-2] + clusters[-1]]
    placed = [0.0] * len(wanted)
    floor = low
    for cluster in clusters:
        start = max(floor, _start(cluster, wanted, gap))
        for step, index in enumerate(cluster):
            placed[index] = start + step * gap
        floor = start + gap * len(cluster)
    ceiling = high
    for index in reversed(order):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - gap
    return placed


def _start(cluster: Sequence[int], wanted: Sequence[float], gap: float) -> float:
    return float(np.mean([wanted[index] for index in cluster])) - gap * (len(cluster) - 1) / 2


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all.

    Raises:
        JournalError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        figure.savefig(draft, format="png", dpi=DPI, metadata={"Software": "evoforge"})
        draft.replace(path)
    except OSError as error:
        raise JournalError(f"cannot write {path}: {error.strerror}") from error
    return path

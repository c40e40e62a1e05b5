import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.text import Text

from evoforge.path import Hop
from evoforge.report.path_plot import draw, picture

LAYERS = {"math_a": 4, "ja": 4}
PATH = (Hop("math_a", 0), Hop("ja", 2, 0.9), Hop("ja", 3, -1.2), Hop("math_a", 3, 1.1))


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def dots(figure):
    """Return the numbers behind the colours of each set of dots."""
    found = figure.axes[0].findobj(PathCollection)
    return [
        np.ma.getdata(d.get_array()).tolist() if d.get_array() is not None else None for d in found
    ]


def test_every_source_has_a_lane_and_every_hop_a_dot():
    figure = picture(PATH, LAYERS)
    shown = texts(figure)
    assert {"math_a", "ja", "2 of 4 hops, 50%"} <= set(shown)
    assert "4 hops, 2 switches, 0 repeats; math_a 50%, ja 50%; scales -1.2 to 1.1" in " ".join(
        shown
    )
    # Round dots for positive scales, triangles for the negative one: coloured by size.
    assert dots(figure) == [[1.0, 0.9, 1.1], [1.2]]
    assert "negative scale" in shown
    assert "size of the scale" in shown


def test_lanes_lie_below_each_other_and_layers_rise_in_them():
    figure = picture([Hop("math_a", 0), Hop("math_a", 3), Hop("ja", 3), Hop("ja", 0)], LAYERS)
    (placed,) = figure.axes[0].findobj(PathCollection)
    y = placed.get_offsets()[:, 1]
    assert y[1] > y[0] > y[2] > y[3]


def test_hops_to_another_source_are_joined_by_another_line():
    stays, switches = picture(PATH, LAYERS).axes[0].findobj(LineCollection)[-2:]
    assert (len(stays.get_segments()), len(switches.get_segments())) == (1, 2)
    assert stays.get_linewidth()[0] > switches.get_linewidth()[0]


def test_without_scales_there_is_no_colour_bar_and_the_subtitle_says_so():
    figure = picture([Hop("math_a", 0), Hop("ja", 1)], LAYERS)
    assert len(figure.axes) == 1
    assert any("all scales are 1" in text for text in texts(figure))
    assert "negative scale" not in texts(figure)


def test_grey_is_a_scale_of_one():
    found = picture(PATH, LAYERS).axes[0].findobj(PathCollection)[0]
    red, green, blue, _ = found.to_rgba([1.0])[0]
    assert max(red, green, blue) - min(red, green, blue) < 0.05
    assert found.to_rgba([0.85])[0][2] > found.to_rgba([0.85])[0][0]  # blue below
    assert found.to_rgba([1.15])[0][0] > found.to_rgba([1.15])[0][2]  # orange above


def test_a_source_that_is_not_in_the_path_is_said_to_be_none():
    assert "not in the path" in texts(picture([Hop("math_a", 0)], LAYERS))


@pytest.mark.parametrize("hops", [1, 3, 20, 65, 400])
def test_short_and_long_paths_can_be_drawn(tmp_path, hops):
    path = [Hop("ja" if i % 3 else "math_a", i % 32, 1 + 0.01 * i) for i in range(hops)]
    file = draw(path, {"math_a": 32, "ja": 40}, tmp_path / "path.png")
    assert file.stat().st_size > 8_000


def test_numbers_stand_beside_the_dots_while_there_is_room():
    assert "−1.2" in texts(picture(PATH, LAYERS))
    assert "−1.2" not in texts(picture(PATH * 6, LAYERS))


def test_names_that_are_long_or_odd_do_not_break_the_picture(tmp_path):
    names = ["$x^2$", "日本語モデル" * 5, "a\nb", "_hidden"]
    path = [Hop(name, i, 1.5) for i, name in enumerate(names)]
    figure = picture(path, dict.fromkeys(names, 4))
    assert not any("share" in text for text in texts(figure))
    draw(path, dict.fromkeys(names, 4), tmp_path / "path.png")
    # Too long for one line, the shares stand at the lanes only.
    assert any(text.startswith("4 hops, 3 switches, 0 repeats; scales") for text in texts(figure))

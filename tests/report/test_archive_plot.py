import pytest
from matplotlib.image import imread

from evoforge.report.archive_plot import draw
from evoforge.report.plots import names


@pytest.mark.parametrize("axes", [["tokens"], ["tokens", "hops"], ["tokens", "hops", "lang"]])
@pytest.mark.parametrize("held", [0, 2])
def test_archives_are_drawn_also_where_nobody_has_a_place(complete, axes, held):
    shown = [{"name": name, "low": 0.0, "high": 10.0} for name in axes]
    cells = [[[n] * len(axes), 0.5 + n / 4, n] for n in range(held)]
    archive = {"quality": "fitness", "axes": shown, "bins": 5, "coverage": held / 5, "cells": cells}
    complete.journal.add_state("ps", 4, {"archives": [archive]})
    picture = imread(draw(complete.record))
    assert picture.std() > 0.05
    assert "archive.png" in names(complete.record)


def test_a_run_without_archives_has_no_picture(complete):
    assert draw(complete.record) is None
    assert "archive.png" not in names(complete.record)

import struct

import numpy as np
import pytest
from matplotlib.text import Text

from evoforge.errors import JournalError
from evoforge.report import figure as fig
from evoforge.report.figure import clean, spread
from evoforge.report.gene_plot import _smooth
from evoforge.report.history import histories
from evoforge.report.plots import fitness, names, plots


def size(path):
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def test_a_run_has_two_pictures(complete):
    paths = plots(complete.record)
    assert [path.name for path in paths] == ["fitness.png", "genes.png"]
    assert all(width > 800 and height > 400 for width, height in map(size, paths))
    assert not list(complete.record.folder.glob(".*draft"))


def test_an_empty_run_has_none(new_run):
    record = new_run().record
    assert plots(record) == []
    assert names(record) == []


@pytest.mark.parametrize(
    "options",
    [
        {"generations": 1, "population": 1},
        {"failures": 1.1, "generations": 2},
        {"level": 0.5, "generations": 2},
        {"level": 0.0, "generations": 2},
        {"level": -3.5, "generations": 2},
        {"sources": ("ja",), "parameters": ("t",)},
        {"sources": tuple("abcdefgh"), "generations": 2},
        {"groups": [f"layer{i}" for i in range(5)], "generations": 2},
        {"groups": [f"layer{i}" for i in range(33)], "generations": 2},
    ],
    ids=["one", "none", "equal", "zero", "negative", "gene", "sources", "panels", "map"],
)
def test_odd_runs_can_be_drawn(new_run, options):
    run = new_run()
    run.search(**options)
    assert len(plots(run.record)) == 2


def test_candidates_without_a_score_of_the_task_are_drawn_apart(new_run, monkeypatch):
    run = new_run()
    run.race([(8, 8, True), (8, 2, False), (40, 20, False), (40, 30, False), (8, 1, True)])
    drawn = []
    monkeypatch.setattr(fig, "save", lambda figure, path: drawn.append(figure) or path)
    fitness(run.record, histories(run.record))
    shown = [text.get_text() for text in drawn[0].findobj(Text)]
    assert "on fewer items" in shown
    assert any("2 candidates, screened by a proxy alone, have no score" in text for text in shown)
    assert not any("failed" in text for text in shown)
    # One hollow mark, two full ones.
    marks = [len(c.get_offsets()) for c in drawn[0].axes[0].collections]
    assert marks[:2] == [2, 1]


def test_every_stage_has_its_genes(new_run):
    run = new_run()
    run.search(stage="ps", generations=2)
    run.win(run.search(stage="dfs", generations=2))
    assert [p.name for p in plots(run.record)] == ["fitness.png", "genes.png", "genes_2.png"]


def test_a_winner_with_a_path_has_a_picture_of_it(walked):
    drawn = [path.name for path in plots(walked.record)]
    assert drawn == ["fitness.png", "genes.png", "genes_2.png", "path.png"]
    assert names(walked.record) == drawn


def test_two_stages_are_named_and_have_their_bests(walked, monkeypatch):
    drawn = []
    monkeypatch.setattr(fig, "save", lambda figure, path: drawn.append(figure) or path)
    stages = histories(walked.record)
    fitness(walked.record, stages)
    shown = [text.get_text() for text in drawn[0].findobj(Text)]
    assert {" ps", " dfs"} <= set(shown)
    assert "mgsm_ja, cccccccccccc" in shown
    for stage in stages:
        assert f"{100 * stage.best[-1]:.1f}  best of {stage.stage}" in shown


def test_genes_of_many_kinds_share_one_map(new_run):
    run = new_run()
    run.search(groups=["hop"], sources=[f"s{i}" for i in range(21)], generations=2)
    assert len(plots(run.record)) == 2


def test_names_that_no_font_has_do_not_break_a_picture(new_run):
    run = new_run()
    run.search(sources=("日本語モデル", "$x^2$", "_hidden"), generations=2)
    for name in ("baseline:絵文字", "baseline:$\\frac", "baseline:a\nb"):
        recipe = run._recipe([], np.array([]))
        run.judge(name, recipe, 0.3)
    assert len(plots(run.record)) == 2


def test_a_folder_that_cannot_be_written_is_a_sentence(complete, monkeypatch):
    complete.record.folder = complete.record.folder / "gone"
    with pytest.raises(JournalError, match=r"cannot write .*fitness\.png"):
        plots(complete.record)


def test_clean_keeps_what_can_be_drawn(monkeypatch):
    assert clean("ja_7b") == "ja_7b"
    assert clean("a$b") == r"a\$b"
    assert clean("a" * 40, 11) == "aaaaa…aaaaa"
    monkeypatch.setattr(fig, "_drawable", lambda: frozenset(map(ord, "abc")))
    assert clean("a日") == "aU+65E5"


def test_spread_leaves_alone_what_does_not_crowd():
    assert spread([0.1, 0.5, 0.9], 0.1, 0.0, 1.0) == [0.1, 0.5, 0.9]


def test_spread_keeps_order_gap_and_bounds():
    wanted = list(np.random.default_rng(0).random(12) ** 3)
    placed = spread(wanted, 0.06, 0.0, 1.0)
    assert list(np.argsort(placed)) == list(np.argsort(wanted))
    assert np.diff(sorted(placed)).min() >= 0.06 - 1e-9
    assert 0 <= min(placed) <= max(placed) <= 1 + 1e-9


def test_spread_shares_too_little_room_evenly():
    assert sorted(spread([0.5] * 5, 0.4, 0.0, 1.0)) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_smoothing_by_hand():
    rows = np.array([[0.0], [3.0], [6.0], [0.0]])
    # (0 + 3) / 2, (0 + 3 + 6) / 3, (3 + 6 + 0) / 3, (6 + 0) / 2.
    assert _smooth(rows, 1).ravel().tolist() == [1.5, 3.0, 3.0, 3.0]
    assert _smooth(rows, 0).ravel().tolist() == [0.0, 3.0, 6.0, 0.0]

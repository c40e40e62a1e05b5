"""The tables of `make paper`, without the searches."""

import importlib.util
import sys

import pytest

from evoforge.record import ItemResult
from evoforge.report.over_seeds import line
from tests.conftest import ROOT, options


@pytest.fixture(scope="module")
def paper():
    spec = importlib.util.spec_from_file_location("paper", ROOT / "sweeps" / "paper.py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look up the module that they are in.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "paper", module)
        spec.loader.exec_module(module)
        yield module


def test_every_row_is_an_experiment_and_every_figure_has_a_row(paper):
    for table in paper.TABLES:
        given = [option for name in table.rows.values() for option in paper.options_of(name)]
        named = {o.partition("=")[2] for o in given if o.startswith("experiment=")}
        assert named <= set(options("experiment"))
        labels = {*table.rows, *table.baselines.values()}
        assert table.against in table.rows
        for figures in table.published.values():
            assert set(figures) <= labels


def test_a_table_is_written_beside_the_papers_figures(paper):
    results = [ItemResult(f"t-{i}", 0.25 * i, {}, "", 1) for i in range(4)]
    rows = [line(label, [results, results]) for label in ("DFS", "PS (DARE-TIES)")]
    lines = paper.written(paper.VISION, rows).splitlines()
    assert lines[0] == "## Japanese questions about pictures"
    assert lines[2].endswith("| paper: JA-VG-VQA-500 | paper: In-the-Wild |")
    assert lines[4].startswith("| DFS | 37.5 ")
    assert lines[4].endswith("| 16.8 | 46.5 |")
    assert "minus PS (DARE-TIES)" in lines[2]


def test_the_best_run_is_that_of_the_items_that_choose(paper, tmp_path):
    for seed, (select, test) in enumerate([(0.5, 0.9), (0.7, 0.1), (0.6, 0.8)]):
        folder = paper.folder_of(tmp_path, "miniature_dfs", seed)
        folder.mkdir()
        winner = f'{{"select": {{"score": {select}}}, "test": {{"score": {test}}}}}'
        (folder / "result.json").write_text(f'{{"winner": {winner}}}')
        (folder / "path.png").write_text(str(seed))
    assert paper.best(tmp_path, paper.LANGUAGE, "DFS", "path.png").read_text() == "1"
    assert paper.best(tmp_path, paper.LANGUAGE, "DFS", "page.html") is None


def test_every_optimizer_is_searched_with_at_equal_budget(paper):
    assert set(paper.OPTIMIZERS.rows) == set(options("optimizer"))
    assert len(paper.OPTIMIZERS.seeds) == 5
    own = {o for name in paper.OPTIMIZERS.rows.values() for o in paper.options_of(name)}
    assert not [option for option in own if option.startswith(("budget", "fitness"))]


def test_the_options_of_a_search_are_in_its_name(paper):
    assert paper.options_of("miniature_dfs") == ["experiment=miniature_dfs"]
    found = paper.options_of("optimizer-cma_es")
    assert found[:2] == ["experiment=miniature_ps", "optimizer=cma_es"]

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.text import Text

from evoforge.report import gene_map, gene_path, gene_plot
from evoforge.report.course import course
from evoforge.report.gene_pairs import pairs
from evoforge.report.gene_slots import slots
from evoforge.report.history import histories

TWO = {"math_a": 3, "ja": 5}


@pytest.fixture
def walk(new_run):
    """Return the course of a search of paths."""

    def walk(won=True, folder="run", **options):
        run = new_run(folder)
        best = run.paths(**{"generations": 7, "layers": TWO, **options})
        if won:
            run.win(best)
        (history,) = histories(run.record)
        return course(run.record, history)

    return walk


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_slots_are_laid_out_by_source_pass_and_layer(walk):
    found = walk(passes=2)
    inside, scale = slots(found)
    assert (inside.parameter, scale.parameter, inside.passes) == ("in", "scale", 2)
    assert {source: grid.shape for source, grid in inside.index.items()} == {
        "math_a": (2, 3),
        "ja": (2, 5),
    }
    assert found.names[inside.index["ja"][1, 4]] == "pass1_layer4.ja.in"
    assert found.names[scale.index["math_a"][0, 2]] == "pass0_layer2.math_a.scale"


def test_pairs_are_laid_out_from_before_to_after(walk):
    found = walk(scale="pair")
    matrix = pairs(found)
    assert matrix.layers == (*(("math_a", i) for i in range(3)), *(("ja", i) for i in range(5)))
    assert found.names[matrix.index[1, 7]] == "math_a_layer1.ja.to_layer4"
    assert pairs(walk(scale="hop", folder="other")) is None


def test_the_share_of_a_generation_is_shown_from_first_to_last(walk):
    shown = texts(gene_path.draw(walk()))
    assert [text for text in shown if text.startswith("generation ")] == [
        f"generation {number}" for number in (0, 2, 3, 4, 6)
    ] * 2
    assert shown.count("winner") == 2
    assert "Where the search moved the 33 genes" in shown


def test_a_map_shows_the_genes_that_it_says(walk):
    found = walk(passes=2, scale="none")
    figure = gene_path.draw(found)
    # Five snapshots and the winner, each of math_a and ja.
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    (inside,) = slots(found)
    assert images[1].tolist() == found.means[0, inside.index["ja"]].tolist()
    assert images[10].tolist() == found.marked[inside.index["math_a"]].tolist()


def test_the_winners_pairs_are_circled_and_nothing_else(walk):
    found = walk(scale="pair")
    rings = [ring for axes in gene_path.draw(found).axes for ring in axes.findobj(PathCollection)]
    (ring,) = rings
    places = {tuple(place) for place in ring.get_offsets().tolist()}
    layers = [pairs(found).layers.index((hop.source, hop.layer)) for hop in found.path]
    # To the right the layer after, downwards the layer before.
    assert places == {(after, before) for before, after in pairwise(layers)}


@pytest.mark.parametrize("scale", ["none", "hop", "pair", "low_rank", "network"])
@pytest.mark.parametrize("won", [True, False])
def test_every_kind_of_scale_can_be_drawn(walk, scale, won, tmp_path):
    figure = gene_path.draw(walk(won=won, scale=scale, generations=2))
    assert ("winner" in texts(figure)) == won
    assert ("Other genes" in texts(figure)) == (scale in ("hop", "low_rank", "network"))
    figure.savefig(tmp_path / "genes.png")


def test_a_joint_search_shows_paths_and_all_other_genes(walk):
    found = walk(scale="none")
    more = ("all.ja.weight", "all.math_a.weight")
    joint = gene_path.Course(
        **{
            **vars(found),
            "names": (*found.names, *more),
            "low": np.append(found.low, [0, 0]),
            "high": np.append(found.high, [1, 1]),
            "means": np.hstack([found.means, np.full((7, 2), 0.5)]),
            "marked": np.append(found.marked, [0.2, 0.8]),
        }
    )
    assert {"Slots in the path", "weight, ja", "weight, math_a"} <= set(
        texts(gene_path.draw(joint))
    )


def test_of_thousands_of_genes_those_that_moved_most_are_shown(new_run, monkeypatch):
    run = new_run()
    run.search(groups=[f"m{i}" for i in range(300)], parameters=("w",), sources=("ja",))
    (history,) = histories(run.record)
    found = course(run.record, history)
    figure = gene_map.draw(found)
    (image,) = [axes.images[0] for axes in figure.axes if axes.images]
    way = np.abs(found.means[-1] - found.means[0])
    kept = np.sort(np.argsort(-way, kind="stable")[:200])
    assert image.get_array().T.tolist() == found.means[:, kept].tolist()
    assert any("the 200 genes of each map that moved most" in text for text in texts(figure))


def test_few_slots_are_drawn_as_slots_and_not_as_lines(new_run, monkeypatch):
    run = new_run()
    run.paths(layers={"a": 2, "b": 2}, passes=1, scale="none", generations=2)
    (history,) = histories(run.record)
    drawn = []
    monkeypatch.setattr(gene_plot.fig, "save", lambda figure, path: drawn.append(figure) or path)
    gene_plot.draw(run.record, history, run.record.folder / "genes.png")
    assert "Slots in the path" in texts(drawn[0])

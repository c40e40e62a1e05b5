"""The numbers behind the charts, worked out by hand."""

import numpy as np
import pytest

from evoforge.origin import Descent
from evoforge.record import CandidateRecord
from evoforge.report.history import History
from evoforge.report.html.candidates import MAX_AXES, telling
from evoforge.report.html.fitness import sample
from evoforge.report.html.genes import label
from evoforge.report.html.goals import cells
from evoforge.report.html.items import counts
from evoforge.report.html.lineage import MOST, Tree, layout, tree


def history(genomes):
    """A search of generations of one-gene genomes."""
    candidates = tuple(
        CandidateRecord("s", g, p, np.array([gene]), "", 1, cached=False)
        for g, row in enumerate(genomes)
        for p, gene in enumerate(row)
    )
    n = np.ones(len(candidates))
    return History("s", {}, candidates, n.astype(int), n, n, n.astype(int), n < 0)


def test_a_sample_holds_what_is_needed_and_the_rest_evenly():
    needed = np.zeros(100, dtype=bool)
    needed[[3, 50]] = True
    chosen = sample(needed, 10)
    assert len(chosen) == 10
    assert {0, 3, 50, 99} <= set(chosen.tolist())
    assert sample(needed, 100).tolist() == list(range(100))
    assert sample(~needed, 5).tolist() == [0, 25, 49, 75, 99]


def test_of_many_genes_those_are_drawn_that_go_with_fitness():
    rng = np.random.default_rng(0)
    genomes = rng.random((50, MAX_AXES + 20))
    assert 7 in telling(genomes, genomes[:, 7])
    assert len(telling(genomes, genomes[:, 7])) == MAX_AXES
    assert telling(genomes[:, :4], genomes[:, 0]) == [0, 1, 2, 3]


def test_genes_are_called_as_people_read_them():
    assert label("pass1_layer3.math_a.in") == "math_a 3 (2.)"
    assert label("pass0_layer3.math_a.scale") == "math_a 3 scale"
    assert label("all.ja.weight") == "all ja weight"


def test_items_are_counted_by_who_solves_them():
    scores = np.array([[1, 1, 0, 0, 1.0], [0, 1, 1, 0, 1], [0, 1, 0, 0, 0]])
    assert counts(["winner", "a", "b"], scores, "a") == {
        "solved by only the winner": 1,
        "solved by all of them": 1,
        "solved by none of them": 1,
        "solved by another, not by the winner": 1,
        "the winner better than the best source": 1,
        "the winner worse than the best source": 1,
    }


def test_where_all_scores_are_the_same_nobody_solves_anything():
    found = counts(["winner", "a"], np.zeros((2, 3)), None)
    assert found["solved by none of them"] == 3
    assert found["solved by all of them"] == 0


def test_an_elite_is_the_same_as_the_one_it_comes_from():
    run = history([[0.1, 0.2], [0.1, 0.3], [0.1, 0.4]])
    origins = {
        (1, 0): Descent("elite", ((0, 0),)),
        (1, 1): Descent("sbx", ((0, 0), (0, 1))),
        (2, 0): Descent("elite", ((1, 0),)),
        (2, 1): Descent("sbx", ((1, 0), (1, 1))),
    }
    found = tree(run, origins, (2, 1))
    assert found.left == 0
    assert {place: origin.parents for place, origin in found.nodes.items()} == {
        (2, 1): ((0, 0), (1, 1)),
        (1, 1): ((0, 0), (0, 1)),
        (0, 1): (),
        (0, 0): (),
    }
    # A copy that wins is drawn where it was made.
    assert list(tree(run, origins, (2, 0)).nodes) == [(0, 0)]


def test_a_large_family_loses_its_oldest():
    size, ages = 20, 20
    run = history([[(g * size + p) / 1000 for p in range(size)] for g in range(ages)])
    origins = {
        (g, p): Descent("mix", tuple((g - 1, q) for q in range(size)))
        for g in range(1, ages)
        for p in range(size)
    }
    found = tree(run, origins, (ages - 1, 0))
    assert len(found.nodes) == MOST
    assert found.left == size + 1  # one of the oldest that are drawn, and the parents of these
    assert min(g for g, _ in found.nodes) == ages - 1 - MOST // size
    assert all(p in found.nodes for origin in found.nodes.values() for p in origin.parents)


def test_candidates_of_a_generation_do_not_hide_each_other():
    nodes = {(1, 0): Descent("mix", ((0, 0), (0, 1), (0, 2)))}
    nodes |= {(0, p): Descent("sample") for p in range(3)}
    heights = layout(Tree(nodes, 0))
    assert heights[1, 0] == 0.5
    assert [heights[0, p] for p in range(3)] == pytest.approx([0.25, 0.5, 0.75])


def test_a_cell_of_an_archive_is_drawn_where_its_values_lie():
    axes = [{"name": "a", "low": 0.0, "high": 1.0}, {"name": "b", "low": 10, "high": 20}]
    held = [[[1, 0, 0], 0.5, 3], [[1, 0, 1], 0.75, 4], [[3, 4, 0], 0.25, 5]]
    third = [{"name": "c", "low": 0, "high": 1}]
    found = cells({"axes": axes + third, "bins": 5, "cells": held}, {4})
    assert found[0] == {
        "value": 0.75, "winner": True, "x": 0.2, "x-end": 0.4, "y": 10.0, "y-end": 12.0
    }  # fmt: skip
    assert [row["winner"] for row in found] == [True, False]

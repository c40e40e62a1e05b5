from functools import partial

import numpy as np
import torch

from evoforge.baseline import baselines
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import Dfs
from evoforge.merge.ties import Ties
from evoforge.merge.ties_dfs import TiesDfs
from tests.conftest import open_pico
from tests.loop import WEIGHT

MERGES = {"uniform_soup", "unoptimised_ties", "unoptimised_dare_ties", "start_point"}


def test_sources_and_merges_that_nobody_searched_for(pool):
    assert set(baselines(Ties(pool, weight=WEIGHT))) == {"base", "a", "b", "c", *MERGES}


def test_without_a_base_there_are_no_task_vectors(pico):
    pool = open_pico({name: pico[name] for name in "ab"})
    assert set(baselines(Dfs(pool))) == {"a", "b", "uniform_soup", "start_point", "frankenmerge"}


def test_the_seed_is_that_of_the_masks(pool):
    merger = Ties(pool, weight=WEIGHT)
    found = [baselines(merger, seed)["unoptimised_dare_ties"].hash for seed in (0, 1)]
    assert found[0] != found[1]


def test_a_search_that_starts_elsewhere_has_its_starting_point_there(pool):
    merger = Ties(pool, weight=WEIGHT)
    start = np.array([0.1, 0.2, 0.3])
    assert baselines(merger, start=start)["start_point"] == merger.recipe(start)
    hybrid = TiesDfs(pool, ps=lambda p: merger, dfs=partial(Dfs, sources=["b"]))
    assert baselines(hybrid, start=start)["start_point"] == merger.recipe(start)
    assert baselines(hybrid, start=merger.space.init) == baselines(hybrid)


def test_of_models_that_do_not_fit_only_those_that_can_answer_are_scored(save_pico, caplog):
    folders = {
        "a": save_pico("a", seed=0),
        "b": save_pico("b", seed=1),
        "deep": save_pico("deep", seed=2, num_hidden_layers=6),
    }
    merger = Dfs(open_pico(folders))
    found = baselines(merger)
    assert set(found) == {"a", "b", "start_point", "frankenmerge"}
    assert "not scored alone: deep does not fit a: num_hidden_layers is 6 against 4" in caplog.text
    candidate = Mergers(merger.pool).build(found["b"])
    for name in candidate.names:
        assert torch.equal(candidate.tensor(name), merger.pool.tensors("b")[name])

from pathlib import Path

import pytest

from evoforge.tracker._names import changes, flat, shallow, tags, variant

CONFIG = {
    "seed": 3,
    "sweep_name": "sizes",
    "merge": {"_target_": "evoforge.merge.ties.Ties", "granularity": "layer"},
    "task": {"name": "toy_ja"},
    "optimizer": {"_target_": "evoforge.optimizer.cma_es.CmaEs", "population": 6, "sigma": 0.2},
    "fitness": {"_target_": "evoforge.fitness.subset.Subset"},
    "models": {"sources": {"base": {}, "ja": {}}},
    "budget": {"evaluations": 180, "minutes": None},
}


def test_tables_of_runs_get_plain_values_by_short_names():
    assert flat(CONFIG) == {
        "merge": "ties",
        "task": "toy_ja",
        "optimizer": "cma_es",
        "fitness": "subset",
        "models": "base + ja",
        "population": 6,
        "sigma": 0.2,
        "granularity": "layer",
        "budget": 180,
        "seed": 3,
        "sweep": "sizes",
    }
    assert flat({}) == {}


def test_the_granularity_of_two_searches_is_the_first_ones():
    assert flat({"merge": {"ps": {"granularity": "block"}}}) == {"granularity": "block"}


def test_a_sweep_says_what_it_varies_by_the_folders_name():
    given = ["optimizer.population=6", "seed=3", "budget.evaluations=12"]
    found = variant(CONFIG, given, Path("sweeps/x/merge=ties,population=6,seed=3"))
    assert found == "ties-toy_ja-cma_es-population=6"


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("optimizer.population=6", ["population=6"]),
        ("+merge.ps.lambda_=0.5", ["lambda_=0.5"]),
        ("models=mine", ["models=mine"]),
        ("budget.evaluations=12", ["evaluations=12"]),
        ("optimizer=cma_es", []),
        ("seed=3", []),
        ("tracker.wandb.project=mine", []),
        ("hydra.launcher.n_jobs=2", []),
        ("+sweep=population_size", []),
        ("--config-dir=/home/me/conf", []),
    ],
)
def test_elsewhere_the_command_line_says_what_was_changed(override, found):
    assert changes([override], "10-00-00") == found


def test_a_long_name_is_cut_and_still_its_own():
    names = [variant(CONFIG, [f"task.prompt={'x' * 200}{i}"], Path("run")) for i in range(2)]
    assert len(set(names)) == 2
    assert all(len(name) < 128 for name in names)


def test_deep_settings_are_text():
    deep = {"task": {"tasks": {"jnli": {"shots": 3}}}}
    assert shallow(deep) == {"task": {"tasks": {"jnli": '{"shots": 3}'}}}
    assert shallow({"a": {"b": {"c": 1}}}) == {"a": {"b": {"c": 1}}}


def test_tags_are_short_and_each_once():
    assert tags(["ties", None, "", "ties", "x" * 99]) == ["ties", "x" * 64]

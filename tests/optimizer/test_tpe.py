import logging
import sys

import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer.random_search import RandomSearch
from evoforge.optimizer.tpe import Tpe


def sphere(optimum):
    return lambda genome: -float(((genome - optimum) ** 2).sum())


@pytest.mark.parametrize("multivariate", [True, False])
def test_it_finds_more_than_random_search(cube, evolve, multivariate):
    goal = sphere(np.array([0.2, 0.7, 0.4, 0.9]))
    optimizer = Tpe(cube(4), multivariate=multivariate, seed=1)
    found = evolve(optimizer, goal, 8)[1].max()
    assert found > evolve(RandomSearch(cube(4), seed=1), goal, 16)[1].max()


def test_every_kind_of_gene_is_found(mixed, evolve):
    # Genes of a binary, a number, an integer of 5, a choice of 3 and a logarithm.
    wanted = np.array([0.75, 0.2, 0.9, 1 / 6, 0.3])
    optimizer = Tpe(mixed(5), seed=1)
    genomes, fitness = evolve(optimizer, sphere(wanted), 12)
    best = optimizer.space.decode(genomes[fitness.argmax()])
    assert [best["x0"], best["x2"], best["x3"]] == [1, 5, "a"]


def test_genes_with_few_values_are_asked_in_the_middle_of_a_share(mixed, evolve):
    asked = evolve(Tpe(mixed(4)), sphere(0.3), 3)[0][1:]
    assert set(asked[:, 0]) == {0.25, 0.75}
    assert (asked[:, 2] * 5) % 1 == pytest.approx(0.5)
    assert (asked[:, 3] * 3) % 1 == pytest.approx(0.5)
    assert len(set(asked[:, 1])) == len(asked)


def test_the_start_of_the_space_is_asked_first(mixed):
    optimizer = Tpe(mixed(5))
    assert np.array_equal(optimizer.ask()[0], optimizer.space.init)
    assert [origin.operator for origin in optimizer.origins] == ["start"] + ["sample"] * 9


@pytest.mark.parametrize("n", [1, 4, 5, 9])
def test_given_starts_are_asked_before_any_draw_and_learned_from(mixed, n):
    given = np.random.default_rng(3).random((n, 5))
    optimizer = Tpe(mixed(5).starting(given), population=4, startup=1)
    asked, operators = [], []
    for _ in range(4):
        genomes = optimizer.ask()
        optimizer.tell(genomes, np.arange(4.0))
        asked.append(genomes)
        operators += [origin.operator for origin in optimizer.origins]
    assert np.array_equal(np.concatenate(asked)[:n], given)
    assert operators == ["start"] * n + ["sample"] * (16 - n)
    # What the library learned is what was asked: the same values.
    for trial, genome in zip(optimizer._study.trials, np.concatenate(asked), strict=True):
        learned = optimizer._genome(trial.params)
        assert optimizer.space.decode(learned) == optimizer.space.decode(genome)


def test_a_batch_keeps_apart(cube, evolve):
    # With many draws the best place for one genome is the best for all of a batch: without the
    # others in mind half of them lie within 0.005.
    optimizer = Tpe(cube(1), population=20, draws=100, seed=1)
    evolve(optimizer, sphere(0.3), 3)
    low, high = np.percentile(optimizer.ask(), [25, 75])
    assert high - low > 0.05


def test_failures_are_worse_than_anything(cube, evolve):
    # Half of the cube cannot be evaluated, and what is left is flat.
    optimizer = Tpe(cube(2), seed=1)
    evolve(optimizer, lambda genome: -np.inf if genome[0] > 0.5 else 0.5, 8)
    assert (optimizer.ask()[:, 0] < 0.5).mean() > 0.7


def test_failures_alone_teach_nothing(cube):
    optimizer = Tpe(cube(2), population=4)
    with pytest.raises(ValueError, match="every candidate failed"):
        optimizer.tell(optimizer.ask(), np.full(4, -np.inf))


def test_the_library_says_nothing_and_its_logger_stays_as_it_was(cube, capfd):
    logger = logging.getLogger("optuna")
    before = logger.level
    Tpe(cube(2)).ask()
    assert capfd.readouterr().err == ""
    assert logger.level == before


def test_without_optuna_the_extra_is_named(cube, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        ConfigError, match=r"optimizer=tpe needs optuna; pip install 'evoforge\[tpe\]'"
    ):
        Tpe(cube(2))


@pytest.mark.parametrize("option", ["population", "startup", "draws"])
def test_a_number_below_one_names_the_option(cube, option):
    with pytest.raises(
        ConfigError, match=rf"{option} must be at least 1, got 0; set optimizer\.{option}"
    ):
        Tpe(cube(2), **{option: 0})


def test_multivariate_is_yes_or_no(cube):
    with pytest.raises(ConfigError, match=r"must be true or false, got 'no'; set optimizer\.multi"):
        Tpe(cube(2), multivariate="no")

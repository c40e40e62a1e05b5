"""What optimizers of several goals are told, on pico models."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.fitness.proxy_then_full import ProxyThenFull
from evoforge.measured import rounded
from evoforge.optimizer.base import Origin
from evoforge.optimizer.random_search import RandomSearch
from evoforge.origin import Descent
from evoforge.task.generation import Generation
from tests.loop import Search, Sums


class Curious(RandomSearch):
    """Random search that wants to know, and remembers."""

    per_item = True

    def __init__(self, space, measures, population=4):
        super().__init__(space, population=population)
        self.measures = measures
        self.told = []

    def ask(self):
        first = 4 * len(self.told)
        before = [()] * 4 if not self.told else [(first - 4, first - 1)] * 4
        genomes = super().ask()
        self.origins = tuple(Origin("draw", parents) for parents in before)
        return genomes

    def tell(self, genomes, fitness, details):
        self.told.append((fitness, details))

    @property
    def facts(self):
        return {"generations": len(self.told)}


@pytest.fixture
def curious(pico, tmp_path):
    """Return a maker of searches, all in one folder: `curious(measures)`."""
    opened = []

    def make(measures, **options):
        found = Search(pico, tmp_path / "run", evaluations=8, **options)
        opened.append(found)
        optimizer = Curious(found.stage.merger.space, measures)
        found.stages = [replace(found.stage, optimizer=optimizer)]
        found.search_only()
        found.journal.close()
        return found, optimizer.told

    yield make
    for search in opened:
        search.journal.close()


def test_metrics_and_lengths_are_told_beside_fitness(curious):
    told = curious(("fitness", "acc", "tokens", "hops"))[1]
    for fitness, details in told:
        assert details.values["fitness"].tolist() == fitness.tolist()
        assert details.values["acc"] == pytest.approx(fitness)
        assert details.values["tokens"].tolist() == [1.0] * 4
        assert details.values["hops"].tolist() == [0.0] * 4
        assert details.tasks == ()


def test_every_item_is_told_and_its_mean_is_the_fitness(curious):
    for fitness, details in curious(())[1]:
        assert details.values == {}
        assert details.items.shape == (4, len(details.ids)) == (4, 4)
        assert details.items.mean(axis=1) == pytest.approx(fitness)


def test_failures_are_not_a_number(curious):
    failed = []

    def fail(candidate):
        failed.append(candidate)
        return len(failed) in (2, 6)

    for fitness, details in curious(("acc",), fail=fail)[1]:
        assert np.isnan(details.values["acc"]).tolist() == np.isinf(fitness).tolist()
        assert np.isnan(details.items).all(axis=1).tolist() == np.isinf(fitness).tolist()
    assert np.isinf(fitness).sum() == 1


def test_what_is_measured_is_checked_against_what_there_is(curious):
    with pytest.raises(ConfigError, match=r"measures speed, which .* they have fitness, tokens"):
        curious(("speed",))


def test_a_replayed_search_is_told_the_same(curious):
    first = curious(None)[1]
    found, again = curious(None)
    assert found.evaluator.evaluated == 0
    for (fitness, details), (fitness_again, details_again) in zip(first, again, strict=True):
        assert fitness.tobytes() == fitness_again.tobytes()
        assert details.values.keys() == details_again.values.keys()
        assert details.items.tobytes() == details_again.items.tobytes()
        assert details.ids == details_again.ids


def test_origins_and_states_are_kept(curious, pico, tmp_path):
    curious(("acc",))
    record = Search(pico, tmp_path / "run", evaluations=8)
    origins, states = record.record.origins("search"), record.record.states("search")
    record.journal.close()
    assert origins[0, 0] == Descent("draw")
    assert origins[1, 2] == Descent("draw", ((0, 0), (0, 3)))
    assert [states[g]["generations"] for g in (0, 1)] == [1, 2]
    assert len(states[1]["values"]["acc"]) == 4


@pytest.mark.parametrize(("value", "text"), [(0.123456789, 0.123457), (float("nan"), None)])
def test_values_are_kept_as_people_read_them(value, text):
    assert rounded(value) == text


def test_who_is_told_and_on_which_items_is_said_without_reading_them(curious, monkeypatch):
    class Plain(Curious):
        per_item = False

    monkeypatch.setattr("tests.test_measured.Curious", Plain)
    told = curious(())[1]
    assert [details.numbers for _, details in told] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    # A generation shares its items, and the next has others.
    assert [len(set(details.sets)) for _, details in told] == [1, 1]
    assert told[0][1].sets[0] != told[1][1].sets[0]
    assert told[0][1].items is None


class Screened(Generation):
    """Sums with a proxy: itself under another protocol."""

    @property
    def proxy(self):
        return Generation(name="sums/proxy", items=Sums(), prompt="{question}?")


def test_what_a_proxy_measured_is_told_nobody(curious, monkeypatch):
    monkeypatch.setattr("tests.loop.Generation", Screened)
    policy = partial(ProxyThenFull, size=4, promote=0.5)
    for fitness, details in curious(("fitness", "acc"), fitness=policy)[1]:
        assert np.isfinite(fitness).all()
        screened = np.isnan(details.values["fitness"])
        assert screened.sum() == 2
        assert np.array_equal(np.isnan(details.values["acc"]), screened)
        assert np.array_equal(np.isnan(details.items).all(axis=1), screened)
        assert [name == "" for name in details.sets] == screened.tolist()
        assert fitness[screened].max() < fitness[~screened].min()

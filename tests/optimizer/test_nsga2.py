import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer.base import Details
from evoforge.optimizer.nsga2 import RECOMMENDED, Nsga2

GOALS = {"a": "max", "b": "min"}


def measured(genomes, sets=("i",)):
    """Two goals that pull apart along the first gene; all other genes are best at 0.5."""
    off = ((genomes[:, 1:] - 0.5) ** 2).sum(axis=1)
    return Details({"a": genomes[:, 0] - off, "b": genomes[:, 0] ** 2 + off}, sets=sets)


def search(optimizer, generations, **options):
    for generation in range(generations):
        genomes = optimizer.ask()
        told = measured(genomes, **options) if options else measured(genomes, (str(generation),))
        optimizer.tell(genomes, told.values["a"], told)
    return optimizer


def test_the_front_is_found_and_spread(cube):
    optimizer = search(Nsga2(cube(4), objectives=GOALS, seed=1), 40)
    found = optimizer.recommend()
    assert len(found) == RECOMMENDED
    assert np.abs(found[:, 1:] - 0.5).mean() < 0.05
    firsts = np.sort(found[:, 0])
    assert firsts[0] < 0.1
    assert firsts[-1] > 0.9
    assert np.diff(firsts).max() < 0.35


def test_the_hypervolume_grows_above_a_point_that_stays(cube):
    optimizer = Nsga2(cube(4), objectives=GOALS, seed=1)
    volumes, references = [], []
    for _ in range(10):
        search(optimizer, 1, sets=("same",))
        volumes.append(optimizer.facts["hypervolume"])
        references.append(optimizer.facts["reference"])
    # A front of more than a population loses members, and with them a little.
    assert np.all(np.diff(volumes) >= -0.01)
    assert volumes[-1] > 1.1 * volumes[0]
    assert references[0] == references[-1]
    # The worst of the first generation: the least a, the most b.
    first = measured(Nsga2(cube(4), objectives=GOALS, seed=1).ask()).values
    assert references[0] == pytest.approx({"a": first["a"].min(), "b": first["b"].max()})


def test_who_was_lucky_once_does_not_stay_on_the_front(cube):
    optimizer = Nsga2(cube(2), objectives=GOALS, population=6, again=0.5, seed=0)
    genomes = optimizer.ask()
    lucky = Details({"a": np.array([9.0, 0, 0, 0, 0, 0]), "b": np.array([-9.0, 0, 0, 0, 0, 0])})
    optimizer.tell(genomes, np.zeros(6), Details(lucky.values, sets=("i",)))
    assert np.array_equal(optimizer.recommend(), genomes[:1])
    for generation in range(8):
        again = optimizer.ask()
        one = np.array([-1.0 if np.array_equal(g, genomes[0]) else 8.0 for g in again])
        optimizer.tell(again, one, Details({"a": one, "b": -one}, sets=(str(generation),)))
    assert genomes[0].tobytes() not in {g.tobytes() for g in optimizer.recommend()}


def test_failures_are_never_parents(cube):
    optimizer = Nsga2(cube(2), objectives=GOALS, population=4, seed=0)
    genomes = optimizer.ask()
    told = {name: np.array([np.nan, 1.0, np.nan, 2.0]) for name in GOALS}
    optimizer.tell(genomes, np.array([-np.inf, 1, -np.inf, 2]), Details(told))
    optimizer.ask()
    assert {p for origin in optimizer.origins for p in origin.parents} <= {1, 3}


def test_goals_are_the_tasks_of_several_or_fitness_and_length(cube):
    one, several = Nsga2(cube(2)), Nsga2(cube(2))
    assert one.measures is None
    told = {name: np.ones(20) for name in ("fitness", "tokens", "ja", "en")}
    one.tell(one.ask(), np.ones(20), Details(told))
    several.tell(several.ask(), np.ones(20), Details(told, ("ja", "en")))
    assert one.facts["objectives"] == {"fitness": "max", "tokens": "min"}
    assert several.facts["objectives"] == {"ja": "max", "en": "max"}


def test_only_what_is_a_goal_is_asked_for(cube):
    assert Nsga2(cube(2), objectives=GOALS).measures == ("a", "b")


def test_before_it_was_told_anything_it_says_nothing(cube):
    assert Nsga2(cube(2)).facts == {}
    assert Nsga2(cube(2)).recommend().shape == (0, 2)


@pytest.mark.parametrize("objectives", [{}, {"fitness": "max"}, ["fitness", "tokens"]])
def test_less_than_two_goals_are_refused(cube, objectives):
    with pytest.raises(ConfigError, match=r"two or more.*set optimizer\.objectives="):
        Nsga2(cube(2), objectives=objectives)


def test_a_direction_is_max_or_min(cube):
    with pytest.raises(ConfigError, match=r"max or min, got 'up'; set optimizer\.objectives\.a"):
        Nsga2(cube(2), objectives={"a": "up", "b": "max"})


def test_a_share_asked_again_is_a_share(cube):
    with pytest.raises(ConfigError, match=r"again must be in \[0, 1\], got 2; set optimizer\.aga"):
        Nsga2(cube(2), again=2)


def test_of_equals_one_stays_on_the_front_and_others_make_room(cube):
    optimizer = Nsga2(cube(2), objectives=GOALS, population=4, seed=0)
    optimizer.ask()
    optimizer.ask()
    # Three in one corner, and three behind each other in the middle.
    goals = np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0], [5.0, 5.0], [4.0, 4.0], [3.0, 3.0]])
    told = Details({"a": goals[:, 0], "b": -goals[:, 1]})
    optimizer.tell(np.arange(12.0).reshape(6, 2) / 12, goals[:, 0], told)
    assert optimizer.facts["front"] == 2
    parents = set()
    for _ in range(20):
        optimizer.ask()
        parents |= {parent for origin in optimizer.origins for parent in origin.parents}
    # Two of the corner and two of the middle go on, and the last of four wins no tournament.
    assert parents == {0, 1, 3}

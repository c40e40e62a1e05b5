import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer.base import Details
from evoforge.optimizer.cycle_qd import CycleQd, chances

TASKS = ("ja", "math", "code")


def told(genomes, tasks=TASKS):
    """Each task is solved best at a place of its own along its gene, and a bit by all others."""
    values = {task: 1 - np.abs(genomes[:, i] - 0.8) for i, task in enumerate(tasks)}
    return np.mean(list(values.values()), axis=0), Details(values, tasks, sets=("i",))


def search(optimizer, generations, tasks=TASKS):
    turns = []
    for _ in range(generations):
        genomes = optimizer.ask()
        optimizer.tell(genomes, *told(genomes, tasks))
        turns.append(optimizer.facts["task"])
    return turns


def test_the_turn_goes_round(cube):
    assert search(CycleQd(cube(3)), 5) == ["ja", "math", "code", "ja", "math"]


def test_each_task_has_an_archive_with_the_others_as_axes(cube):
    optimizer = CycleQd(cube(3), bins=5)
    search(optimizer, 2)
    archives = optimizer.facts["archives"]
    assert [archive["quality"] for archive in archives] == list(TASKS)
    axes = [[axis["name"] for axis in archive["axes"]] for archive in archives]
    assert axes == [["math", "code"], ["code", "ja"], ["ja", "math"]]


def test_of_more_tasks_the_next_two_are_the_axes(cube):
    tasks = ("a", "b", "c", "d", "e")
    optimizer = CycleQd(cube(5))
    search(optimizer, 2, tasks)
    axes = [[axis["name"] for axis in found["axes"]] for found in optimizer.facts["archives"]]
    assert axes == [["b", "c"], ["c", "d"], ["d", "e"], ["e", "a"], ["a", "b"]]


def test_every_task_is_learned(cube):
    optimizer = CycleQd(cube(3), seed=1)
    search(optimizer, 25)
    between, *experts = optimizer.recommend()
    for place, expert in enumerate(experts):
        assert expert[place] == pytest.approx(0.8, abs=0.03)
    # The mean of the experts, who weigh nearly the same.
    assert between == pytest.approx(np.mean(experts, axis=0), abs=0.02)


def test_between_experts_at_the_bound_is_the_bound(cube):
    # Multiplied by weights of these qualities and divided again, four genes of 1 give 1 + 2e-16.
    qualities = [0.52, 0.78, 0.24, 0.45]
    tasks = ("a", "b", "c", "d")
    optimizer = CycleQd(cube(2), tasks=tasks, population=4)
    optimizer.ask()
    genomes = np.column_stack([np.ones(4), np.arange(4) / 4])
    values = {task: np.eye(4)[i] * qualities[i] for i, task in enumerate(tasks)}
    optimizer.tell(genomes, np.ones(4), Details(values, tasks, sets=("i",)))
    assert (optimizer.recommend()[:, 0] == 1).all()


def test_parents_are_drawn_by_quality_and_axes_alike():
    found = chances(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]))
    # The worst in a score counts 0.5, the best 0.8.
    assert found == pytest.approx([0.25, 0.4, 0.64])


def test_a_score_in_which_all_are_equal_does_not_matter():
    found = chances(np.array([[0.0, 3.0], [1.0, 3.0]]))
    assert found[1] / found[0] == pytest.approx(0.8 / 0.5)


def test_two_parents_are_two(cube):
    optimizer = CycleQd(cube(3), mutation="none", crossover_rate=1.0, seed=3)
    search(optimizer, 3)
    optimizer.ask()
    assert all(len(set(origin.parents)) == 2 for origin in optimizer.origins)


@pytest.mark.parametrize(
    ("metrics", "tasks"), [(("acc", "lang"), ["acc", "lang"]), (("lang",), ["fitness", "lang"])]
)
def test_metrics_take_the_place_of_tasks_where_there_is_one(cube, metrics, tasks):
    optimizer = CycleQd(cube(2), population=3)
    fitness = np.array([0.2, 0.5, 0.4])
    known = {"fitness": fitness, "main": fitness}
    known |= {name: np.array([0.1, 0.3, i]) for i, name in enumerate(metrics)}
    optimizer.tell(optimizer.ask(), fitness, Details(known))
    assert [archive["quality"] for archive in optimizer.facts["archives"]] == tasks


def test_one_score_alone_is_not_enough(cube):
    optimizer = CycleQd(cube(2), population=2)
    with pytest.raises(ConfigError, match=r"needs two tasks.*optimizer\.tasks"):
        optimizer.tell(optimizer.ask(), np.ones(2), Details({"fitness": np.ones(2)}))


@pytest.mark.parametrize("tasks", [["a"], ["a", "a"], "ab", {"a": 1, "b": 2}])
def test_tasks_are_a_list_of_two_or_more(cube, tasks):
    with pytest.raises(ConfigError, match=r"names of two or more.*set optimizer\.tasks"):
        CycleQd(cube(2), tasks=tasks)


def test_named_tasks_are_all_that_is_asked_for(cube):
    assert CycleQd(cube(2), tasks=["a", "b"]).measures == ("a", "b")

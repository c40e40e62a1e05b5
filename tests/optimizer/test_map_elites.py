import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer._genes import Genes
from evoforge.optimizer.base import Details
from evoforge.optimizer.map_elites import MapElites, iso_line


def told(genomes, sets=("i",)):
    """Quality is best at 0.5 of the second gene; the kind is the first gene."""
    fitness = 1 - (genomes[:, 1] - 0.5) ** 2
    return fitness, Details({"fitness": fitness, "kind": genomes[:, 0]}, sets=sets)


def search(optimizer, generations):
    for _ in range(generations):
        genomes = optimizer.ask()
        optimizer.tell(genomes, *told(genomes))
    return optimizer


def test_every_kind_is_filled_with_something_good(cube):
    optimizer = search(MapElites(cube(2), measures={"kind": [0, 1]}, bins=8, seed=1), 15)
    (archive,) = optimizer.facts["archives"]
    assert archive["coverage"] == optimizer.facts["coverage"] == 1.0
    assert [cell for cell, _, _ in archive["cells"]] == [[i] for i in range(8)]
    assert min(value for _, value, _ in archive["cells"]) > 0.98
    assert optimizer.facts["qd_score"] == pytest.approx(sum(v for _, v, _ in archive["cells"]))


def test_coverage_and_quality_never_fall_where_items_stay(cube):
    optimizer = MapElites(cube(2), measures={"kind": [0, 1]}, seed=2)
    scores = [search(optimizer, 1).facts["qd_score"] for _ in range(10)]
    assert np.all(np.diff(scores) >= -1e-9)


def test_the_archive_says_who_holds_a_cell(cube):
    optimizer = MapElites(cube(2), measures={"kind": [0, 1]}, population=4, seed=0)
    genomes = optimizer.ask()
    optimizer.tell(genomes, *told(genomes))
    for cell, value, number in optimizer.facts["archives"][0]["cells"]:
        assert cell == [int(10 * genomes[number, 0])]
        assert value == pytest.approx(told(genomes)[0][number], rel=1e-5)


def test_a_learned_range_grows_and_the_cells_follow(cube):
    optimizer = MapElites(cube(1), measures={"kind": None}, bins=2, population=2, seed=0)

    def tell(*kinds):
        optimizer.ask()
        own = Details({"fitness": np.ones(2), "kind": np.array(kinds)})
        optimizer.tell(np.array([[kinds[0] / 100], [kinds[1] / 100]]), np.ones(2), own)
        return [cell for cell, _, _ in optimizer.facts["archives"][0]["cells"]]

    assert tell(1.0, 2.0) == [[0], [1]]
    # 1 and 2 are in the first half now.
    assert tell(1.5, 10.0) == [[0], [1]]
    assert optimizer.facts["archives"][0]["axes"] == [{"name": "kind", "low": 1.0, "high": 10.0}]


def test_a_lucky_elite_is_found_out(cube):
    optimizer = MapElites(cube(1), measures={"kind": [0, 1]}, bins=2, population=4, seed=0)
    genomes = np.array([[0.1], [0.2], [0.7], [0.8]])
    optimizer.ask()
    values = {"fitness": np.array([0.9, 0.5, 0.6, 0.5]), "kind": genomes[:, 0]}
    optimizer.tell(genomes, values["fitness"], Details(values, sets=("i",)))
    assert optimizer.recommend()[0] == 0.1
    optimizer.ask()
    again = np.array([[0.1], [0.1], [0.3], [0.9]])
    values = {"fitness": np.array([0.1, 0.2, 0.4, 0.4]), "kind": again[:, 0]}
    optimizer.tell(again, values["fitness"], Details(values, sets=("j",)))
    # 0.1 was told 0.9, 0.1 and 0.2: 0.4 on average, less than the 0.5 of 0.2.
    cells = optimizer.facts["archives"][0]["cells"]
    assert [(number, value) for _, value, number in cells] == [(1, 0.5), (2, 0.6)]


@pytest.mark.parametrize(
    ("tasks", "values", "axes"),
    [
        (("ja", "en", "de"), {}, ["ja", "en"]),
        ((), {"acc": [0.1, 0.4], "lang": [0.9, 0.8], "more": [1.0, 2.0]}, ["acc", "lang"]),
        ((), {"acc": [0.3, 0.5]}, ["tokens"]),
    ],
)
def test_axes_are_tasks_else_metrics_beside_the_main_one_else_tokens(cube, tasks, values, axes):
    optimizer = MapElites(cube(1), population=2)
    assert optimizer.measures is None
    fitness = np.array([0.3, 0.5])
    known = {"fitness": fitness, "tokens": np.array([3.0, 4.0])}
    known |= {name: np.array([0.1, 0.2]) for name in tasks}
    known |= {name: np.array(found) for name, found in values.items()}
    optimizer.tell(optimizer.ask(), fitness, Details(known, tasks))
    assert [axis["name"] for axis in optimizer.facts["archives"][0]["axes"]] == axes


def test_without_noise_a_step_lies_on_the_line_between_two_elites(cube):
    generator = np.random.default_rng(0)
    a, b = np.full((500, 2), 0.4), np.tile([0.5, 0.6], (500, 1))
    found = iso_line(Genes(cube(2)), a, b, generator, iso=0.0, line=0.3) - 0.4
    # The step along the second gene is twice that along the first.
    assert found[:, 1] == pytest.approx(2 * found[:, 0])
    # 0.3 of a distance of 0.1, to either side.
    assert found[:, 0].std() == pytest.approx(0.03, rel=0.1)
    assert abs(found[:, 0].mean()) < 0.005


def test_choices_are_exchanged_and_flipped_beside_the_line(mixed):
    optimizer = MapElites(mixed(8), measures={"kind": [0, 1]}, crossover="iso_line", seed=0)
    search(optimizer, 12)
    children = optimizer.ask()
    assert {origin.operator for origin in optimizer.origins} <= {
        "iso_line",
        "iso_line+flip",
        "flip",
    }
    assert all(optimizer.space.decode(child) for child in children)


def test_the_small_step_cannot_be_negative(cube):
    with pytest.raises(ConfigError, match=r"iso must be at least 0, got -1; set optimizer\.iso"):
        MapElites(cube(2), iso=-1)

import numpy as np
import pytest

from evoforge.report import course as module
from evoforge.report.course import course
from evoforge.report.history import histories, values


@pytest.fixture
def walked(new_run):
    run = new_run()
    run.win(run.paths(generations=3, population=6))
    (history,) = histories(run.record)
    return run.record, history


def test_means_are_those_of_the_generations(walked):
    record, history = walked
    found = course(record, history)
    assert found.generations == (0, 1, 2)
    assert found.span == (1, 18)
    numbers = values(record, history)
    index = [i for i, name in enumerate(found.names) if name.endswith(".in")]
    assert found.means[1, index] == pytest.approx(numbers[6:12, index].mean(axis=0))


def test_a_scale_counts_where_its_slot_is_in(walked):
    record, history = walked
    found = course(record, history)
    slot = found.names.index("pass1_layer2.ja.in")
    scale = found.names.index("pass1_layer2.ja.scale")
    numbers = values(record, history)
    for generation, part in enumerate(history.split()):
        inside = part[numbers[part, slot] > 0.5]
        wanted = numbers[inside, scale].mean() if len(inside) else np.nan
        assert found.means[generation, scale] == pytest.approx(wanted, nan_ok=True)


def test_the_mean_of_nobody_is_none():
    numbers = np.array([[1.0, 2.0], [3.0, 4.0]])
    counted = np.array([[True, False], [True, False]])
    assert module._mean(numbers, counted) == pytest.approx([2.0, np.nan], nan_ok=True)


def test_the_winner_has_its_path_and_no_scales_of_slots_it_does_without(walked):
    record, history = walked
    found = course(record, history)
    slots = [name for name in found.names if name.endswith(".in")]
    for name in slots:
        inside = found.marked[found.names.index(name)]
        scale = found.marked[found.names.index(name.replace(".in", ".scale"))]
        assert inside in (0, 1)
        assert np.isnan(scale) == (inside == 0)
    assert found.path[0].source == "math_a"


def test_a_part_of_the_genes_keeps_them_together(walked):
    found = course(*walked)
    part = found.pick([3, 5])
    assert part.names == (found.names[3], found.names[5])
    assert part.means.shape == (3, 2)
    assert part.marked == pytest.approx(found.marked[[3, 5]], nan_ok=True)


def test_genomes_are_read_a_generation_at_a_time(walked, monkeypatch):
    asked = []

    def noting(record, history, part=None):
        asked.append(len(part))
        return values(record, history, part)

    monkeypatch.setattr(module, "values", noting)
    course(*walked)
    assert asked == [6, 6, 6, 1]

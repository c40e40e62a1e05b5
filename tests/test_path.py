import pytest

from evoforge.path import Hop, hops, short, statistics, written

PATH = (Hop("a", 0), Hop("a", 1, 0.5), Hop("b", 3, -2.0), Hop("a", 1), Hop("a", 3))


def test_a_path_is_read_as_it_was_written():
    assert hops({"path": written(PATH)}) == PATH


def test_a_recipe_without_a_path_has_no_hops():
    assert hops({"values": {}}) == ()


def test_statistics_by_hand():
    # Five hops; a-a-b-a-a changes twice; layer 1 of a comes twice; (1 + .5 - 2 + 1 + 1) / 5 = .3.
    assert statistics(PATH) == pytest.approx(
        {
            "hops": 5,
            "switches": 2,
            "repeated": 1,
            "mean_scale": 0.3,
            "least_scale": 0.5,
            "share/a": 0.8,
            "share/b": 0.2,
        }
    )


def test_a_path_in_a_line_joins_runs_of_layers():
    assert short(PATH) == "a 0-1, b 3, a 1, 3"

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoforge.errors import ConfigError
from evoforge.space import Param, Range, Space


@pytest.fixture
def space():
    return Space(
        [
            Param("weight", -1.0, 3.0, 1.0),
            Param("rate", 0.01, 1.0, 0.1, "log"),
            Param("hops", 2, 5, 3, "integer"),
            Param("method", 0, 2, 1, "choice", ("ties", "dare", "linear")),
        ]
    )


def test_decode_by_hand(space):
    # -1 + 0.25 x 4 = 0; 0.01 x 100^0.5 = 0.1; 0.6 x 4 = 2.4 -> 2 + 2; 0.9 x 3 = 2.7 -> the third.
    found = space.decode(np.array([0.25, 0.5, 0.6, 0.9]))
    assert found == {"weight": 0.0, "rate": 0.1, "hops": 4, "method": "linear"}


def test_init_decodes_to_the_start(space):
    assert space.decode(space.init) == {"weight": 1.0, "rate": 0.1, "hops": 3, "method": "dare"}


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_encode_finds_a_genome_of_the_same_values(genes):
    space = Space(
        [
            Param("a", -1.0, 3.0, 1.0),
            Param("b", 0.01, 1.0, 0.1, "log"),
            Param("c", 2, 5, 3, "integer"),
            Param("d", 0, 2, 1, "choice", ("x", "y", "z")),
        ]
    )
    values = space.decode(np.array(genes))
    again = space.decode(np.clip(space.encode(values), 0, 1))
    assert again["c"] == values["c"]
    assert again["d"] == values["d"]
    assert again["a"] == pytest.approx(values["a"], abs=1e-6)
    assert again["b"] == pytest.approx(values["b"], abs=1e-6)


@pytest.mark.parametrize("genome", [[0.5], [0.5, 0.5, 0.5, 1.1], [0.5, 0.5, float("nan"), 0.5]])
def test_genomes_outside_the_cube_are_refused(space, genome):
    with pytest.raises(ValueError, match=r"genome must have shape|every gene must be in"):
        space.decode(np.array(genome))


def test_rounding_never_leaves_the_bounds():
    assert Param("x", 1e-8, 1.0, 0.5).decode(0.0) == 1e-8
    assert Param("x", 1e-9, 1.0, 0.5, "log").decode(0.0) == 1e-9


def test_an_integer_between_fractions_is_refused():
    with pytest.raises(ConfigError, match="must be whole numbers"):
        Param("x", 1.5, 2.5, 2, "integer")


def test_join_keeps_both(space):
    other = Space([Param("x", 0, 1, 0.5)])
    assert Space.join(space, other).names == (*space.names, "x")


def test_two_parameters_of_one_name_are_refused(space):
    with pytest.raises(ConfigError, match="two parameters named hops"):
        Space.join(space, space)


def test_nothing_to_search_is_refused():
    with pytest.raises(ConfigError, match="nothing to search"):
        Space([])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (2, r"density must be in \(0, 1\], got 2.0; set merge.density"),
        ("high", r"density must be a number in \(0, 1\], got 'high'"),
        (True, r"density must be a number"),
        ({"low": 0.5}, r"density must be a number or \{low, high, init, kind\}"),
        ({"low": 0.9, "high": 0.1}, r"low must not be above high"),
        ({"low": 0.1, "high": 0.5, "init": 0.9}, r"density.init must be in \[0.1, 0.5\], got 0.9"),
        ({"low": 0.1, "high": 0.5, "kind": "cubic"}, r"kind must be linear, log or integer"),
        ({"low": 0.1, "high": 0.5, "step": 1}, r"density must be a number or"),
    ],
)
def test_ranges_that_make_no_sense_say_what_to_set(given, message):
    with pytest.raises(ConfigError, match=message):
        Range.parse("density", given, low=0, high=1, open_low=True)


def test_a_number_is_a_fixed_range():
    assert Range.parse("t", 0.3, low=0, high=1).fixed


def test_a_range_without_start_starts_in_the_middle():
    assert Range.parse("t", {"low": 0.2, "high": 0.6}, low=0, high=1).init == pytest.approx(0.4)


# Above one half is in; an undecided start stays where it was put.
def test_a_binary_starts_at_its_gene_and_is_one_above_one_half():
    space = Space([Param("a", 0, 1, 0.5, "binary"), Param("b", 0, 1, 0.8, "binary")])
    assert space.init.tolist() == [0.5, 0.8]
    assert space.decode(space.init) == {"a": 0, "b": 1}
    assert space.decode(space.encode({"a": 1, "b": 0})) == {"a": 1, "b": 0}


def test_a_binary_with_other_bounds_is_refused():
    with pytest.raises(ConfigError, match="a binary must have low=0 high=1, got low=0 high=2"):
        Param("a", 0, 2, 1, "binary")

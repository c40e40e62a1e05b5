import pytest

from evoforge.errors import ConfigError
from evoforge.merge.ties import Ties


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(Ties(pool, normalize=True), density=0.5),
        "1 -0.625 1.5 1.25 0.5 0.754808 -1.625 -1.375",
    )


def test_golden_vector_without_normalisation(pool, golden):
    golden.check(
        golden.merge(Ties(pool), density=0.5),
        "0.8 -0.85 1.8 0.55 0.9 0.98125 -1.0125 -1.75",
    )


def test_golden_vector_with_l1_rescale(pool, golden):
    golden.check(
        golden.merge(Ties(pool, normalize=True, rescale="l1"), density=0.5),
        "1.083333 -1.622222 1.4375 1.494444 0.333333 0.875641 -1.838889 -1.296875",
    )


def test_golden_vector_with_a_density_for_each_source(pool, golden):
    golden.check(
        golden.merge(Ties(pool, normalize=True), density=[0.25, 0.5, 0.75]),
        "0.625 -0.625 1.5 1.25 0.5 0.754808 -1.625 -1.375",
    )


def test_expected_rescale_divides_by_the_density(pool, golden):
    # a alone at density 1/8 keeps -1 of 1.5; divided by 1/8: 1.5 - 8 = -6.5.
    golden.check(
        golden.merge(Ties(pool, rescale="expected"), "a", weight=1.0, density=0.125),
        "0.5 -1 2 0.25 -6.5 0 -0.75 -2",
    )


def test_a_negative_weight_turns_its_sources_vote(pool, golden):
    # -a: the base less the task vector, whatever is elected.
    golden.check(
        golden.merge(Ties(pool), "a", weight=-1.0, density=1.0),
        "0 -0.75 1.875 0.25 2.5 -0.75 -1.125 -1.9375",
    )


@pytest.mark.parametrize("density", [2, 0, -0.5])
def test_density_out_of_range_names_the_option(pool, density):
    wanted = rf"density must be in \(0, 1\], got {float(density)}; set merge.density"
    with pytest.raises(ConfigError, match=wanted):
        Ties(pool, density=density)


def test_unknown_rescale_answers_with_the_choices(pool):
    with pytest.raises(ConfigError, match="expected, l1, none, got l2; set merge"):
        Ties(pool, rescale="l2")

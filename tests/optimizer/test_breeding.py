import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer._breeding import Breeding
from evoforge.optimizer._genes import Genes
from evoforge.optimizer._mixing import mix, mixed, split
from evoforge.optimizer._niches import attraction, fed, living, survivors
from evoforge.optimizer._variation import Variation
from evoforge.optimizer.base import Details
from evoforge.space import Param, Space

OPTIONS = {
    "crossover_rate": 1.0,
    "crossover_eta": 5.0,
    "alpha": 0.5,
    "mutation": "none",
    "mutation_rate": None,
    "sigma": 0.1,
    "mutation_eta": 20.0,
}


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def middle(genes, first, second, generator):
    return (first + second) / 2


def own(space, generator, **changes):
    return Variation(
        space, generator, {"middle": middle}, crossover="middle", **{**OPTIONS, **changes}
    )


def test_an_own_crossover_names_itself_and_both_parents(cube, generator):
    parents = np.zeros((3, 4)), np.ones((3, 4))
    children, origins = own(cube(4), generator).children(
        *parents, np.array([[0, 1]] * 3), np.empty((0, 4))
    )
    assert (children == 0.5).all()
    assert {(o.operator, o.parents) for o in origins} == {("middle", (0, 1))}


def test_a_pair_that_is_not_crossed_mutates_the_first(cube, generator):
    made = own(cube(4), generator, crossover_rate=0.0, mutation="gaussian")
    children, origins = made.children(
        np.zeros((3, 4)), np.ones((3, 4)), np.array([[0, 1]] * 3), np.empty((0, 4))
    )
    assert {(o.operator, o.parents) for o in origins} == {("gaussian", (0,))}
    assert (children.max(axis=1) > 0).all()
    assert children.max() < 0.6


def test_a_child_is_no_copy_of_what_is_known(cube, generator):
    made = own(cube(4), generator, mutation="gaussian", mutation_rate=0.0)
    known = np.full((1, 4), 0.5)
    children, _ = made.children(np.zeros((1, 4)), np.ones((1, 4)), np.array([[0, 1]]), known)
    assert not np.array_equal(children, known)


def test_siblings_of_an_own_crossover_differ(cube, generator):
    made = own(cube(4), generator, mutation="gaussian", mutation_rate=0.0)
    children, _ = made.children(
        np.zeros((5, 4)), np.ones((5, 4)), np.array([[0, 1]] * 5), np.empty((0, 4))
    )
    assert len(np.unique(children, axis=0)) == 5


def test_an_unknown_crossover_answers_with_all_there_are(cube, generator):
    with pytest.raises(ConfigError, match="one of middle, uniform, one_point, .*, got no"):
        Variation(cube(2), generator, {"middle": middle}, crossover="no", **OPTIONS)


def test_given_starts_come_before_those_asked_again_and_children(cube, generator):
    space = cube(2).starting(np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]))
    breeding = Breeding(space, generator, own(space, generator), again=0.5, spread=None)
    nobody = np.empty(0, dtype=int)

    def pairs(size):
        return np.tile([0, 1], (size, 1))

    genomes, origins = breeding.generation(2, nobody, pairs)
    assert [o.operator for o in origins] == ["start", "start"]
    breeding.tellings.tell(genomes, np.ones((2, 1)), Details(sets=("a", "a")))
    breeding.tellings.ask(genomes)
    breeding.tellings.tell(genomes, np.ones((2, 1)), Details(sets=("b", "b")))
    genomes, origins = breeding.generation(4, np.array([1, 0]), pairs)
    assert [o.operator for o in origins] == ["start", "elite", "elite", "middle"]
    assert genomes[:3, 0].tolist() == [0.3, 0.2, 0.1]
    assert [o.parents for o in origins[1:]] == [(3,), (2,), (2, 3)]


def test_a_mix_is_the_mean_without_deviation(cube, generator):
    genes = Genes(cube(3))
    found = mix(genes, np.zeros((2, 3)), np.ones((2, 3)), generator, deviation=0.0)
    assert (found == 0.5).all()


def test_weights_of_a_mix_lie_around_one_half(cube, generator):
    genes = Genes(cube(1))
    found = mix(genes, np.zeros((2000, 1)), np.ones((2000, 1)), generator, deviation=0.2)
    # v / (v + w) with deviations of 0.2: about 0.2 / (2 sqrt(2)) = 0.07.
    assert found.mean() == pytest.approx(0.5, abs=0.01)
    assert found.std() == pytest.approx(0.072, abs=0.01)


def test_a_split_turns_the_weights_round_at_a_border_between_layers(generator):
    space = Space([Param(f"layer{i // 2}.{i % 2}", 0.0, 1.0, 0.5) for i in range(8)])
    found = split(Genes(space), np.zeros((50, 8)), np.ones((50, 8)), generator)
    turned = 0
    for child in found:
        assert np.array_equal(child[::2], child[1::2])  # genes of a layer stay together
        assert set(np.round(child, 9)) <= {round(child[0], 9), round(1 - child[0], 9)}
        turned += len(set(np.round(child, 9))) == 2
    # Of four borders one leaves the genome whole.
    assert 25 < turned < 48


def test_choices_come_from_either_parent_as_the_weights_say(mixed_space, generator):
    genes = Genes(mixed_space)
    first, second = np.full((4000, 4), 1 / 6), np.full((4000, 4), 5 / 6)
    found = mixed(genes, first, second, np.full((4000, 4), 0.25), generator)
    assert np.allclose(found[:, genes.numeric], 0.25 / 6 + 0.75 * 5 / 6)
    for gene in np.flatnonzero(~genes.numeric):
        assert (found[:, gene] == 1 / 6).mean() == pytest.approx(0.25, abs=0.03)


@pytest.fixture
def mixed_space(mixed):
    return mixed(4)


def test_what_many_solve_feeds_each_of_them_less():
    scores = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    # Of the first item each gets 1 / 1, of the second its only eater 1 / (1/3).
    assert fed(scores, 1.0)[0].tolist() == [1.0, 3.0, 0.0]
    assert living(fed(scores, 1.0)).tolist() == pytest.approx([4 / 3, 1 / 3, 1 / 3])
    assert living(fed(scores, 0.0)).tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3])


def test_models_are_compared_on_what_they_were_asked():
    scores = np.array([[1.0, np.nan], [0.0, 1.0]])
    assert fed(scores, 1.0)[1].tolist() == [0.0, 1.0]
    assert living(fed(scores, 1.0)).tolist() == [2.0, 0.5]


def test_attraction_is_what_the_other_has_more():
    shares = np.array([[1.0, 0.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, np.nan]])
    # The second has 2 more of one of three items, the third nothing more.
    assert attraction(shares, 0).tolist() == pytest.approx([0.0, 2 / 3, 0.0])


def test_who_solves_what_nobody_else_does_lives_on_little():
    scores = np.array([[1.0, 1.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 1.0]])
    # Shares 1.5 + 2, 1.5 + 1, and 3.
    assert survivors(scores, 2, 1.0).tolist() == [0, 2]
    assert survivors(scores, 2, 0.0).tolist() == [0, 1]


def test_what_the_dead_leave_is_shared_anew():
    twins = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert survivors(twins, 2, 1.0).tolist() == [0, 3]


def test_of_equals_the_last_goes():
    assert survivors(np.ones((3, 2)), 2, 1.0).tolist() == [0, 1]

import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer.base import Details
from evoforge.optimizer.differential_evolution import STRATEGIES, DifferentialEvolution
from evoforge.optimizer.random_search import RandomSearch


def sphere(optimum):
    return lambda genome: -float(((genome - optimum) ** 2).sum())


def step(optimizer, fitness):
    genomes = optimizer.ask()
    optimizer.tell(genomes, np.array(fitness, dtype=float))
    return genomes


def whole(space, **options):
    """Return a search whose trials are mutants in every gene, and nothing is asked again."""
    return DifferentialEvolution(
        space, population=6, crossover_rate=1.0, again=0.0, spread=0.05, **options
    )


def test_a_mutant_of_rand_1_is_a_step_from_another(cube):
    optimizer = whole(cube(4), strategy="rand_1", factor=0.5)
    x = step(optimizer, [5, 4, 3, 2, 1, 0])
    for target, (trial, origin) in enumerate(zip(optimizer.ask(), optimizer.origins, strict=True)):
        own, a, b, c = origin.parents
        assert own == target
        assert trial == pytest.approx(x[a] + 0.5 * (x[b] - x[c]))


@pytest.mark.parametrize("strategy", ["best_1", "current_to_best_1"])
def test_a_mutant_of_the_others_goes_by_the_best(cube, strategy):
    optimizer = whole(cube(4), strategy=strategy, factor=0.5)
    x = step(optimizer, [5, 4, 3, 2, 1, 0])
    # Of equal parents a number stands once: the best's own trial has three.
    for target, (trial, origin) in enumerate(zip(optimizer.ask(), optimizer.origins, strict=True)):
        b, c = origin.parents[-2:]
        assert origin.parents[:-2] == ((0,) if target == 0 else (target, 0))
        start = x[0] if strategy == "best_1" else x[target] + 0.5 * (x[0] - x[target])
        assert trial == pytest.approx(start + 0.5 * (x[b] - x[c]))
        assert 0 not in (b, c)


def test_a_factor_between_bounds_is_drawn_for_every_trial(cube):
    optimizer = DifferentialEvolution(
        cube(4),
        population=50,
        strategy="rand_1",
        factor=[0.4, 0.9],
        crossover_rate=1.0,
        spread=0.01,
    )
    x = step(optimizer, np.zeros(50))
    found = []
    for trial, origin in zip(optimizer.ask(), optimizer.origins, strict=True):
        if origin.operator == "rand_1":
            _, a, b, c = origin.parents
            found.append((trial - x[a])[0] / (x[b] - x[c])[0])
    assert min(found) == pytest.approx(0.4, abs=0.05)
    assert max(found) == pytest.approx(0.9, abs=0.05)


def test_a_trial_takes_genes_of_the_mutant_at_the_rate_and_one_at_least(cube):
    optimizer = DifferentialEvolution(cube(10), population=400, crossover_rate=0.3, again=0.0)
    x = step(optimizer, np.arange(400))
    changed = (optimizer.ask() != x[np.argsort(-np.arange(400), kind="stable")]).sum(1)
    # One of ten for certain, the others at 0.3: 1 + 9 x 0.3.
    assert changed.mean() == pytest.approx(3.7, abs=0.2)
    assert changed.min() >= 1


def test_a_trial_that_is_not_worse_takes_the_place(cube):
    optimizer = whole(cube(3))
    step(optimizer, [6, 5, 4, 3, 2, 1])
    trials = step(optimizer, [5.9, 5.0, 4.1, -np.inf, 1.9, 1.1])
    kept = optimizer._targets
    assert kept.mean.tolist() == [6, 5.0, 4.1, 3, 2, 1.1]
    assert np.array_equal(kept.genomes[[1, 2, 5]], trials[[1, 2, 5]])
    assert kept.numbers.tolist() == [0, 7, 8, 3, 4, 11]


def test_some_of_the_better_half_are_asked_again_those_told_least_first(cube):
    optimizer = DifferentialEvolution(cube(3), population=10, again=0.2)
    first = step(optimizer, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert optimizer._targets.numbers.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    losing = [-9] * 8
    second = step(optimizer, [*losing, 9, 8])
    assert np.array_equal(second[8:], first[[0, 1]])
    assert [(o.operator, o.parents) for o in optimizer.origins[8:]] == [
        ("again", (0,)),
        ("again", (1,)),
    ]
    assert np.array_equal(optimizer.ask()[8:], first[[2, 3]])
    assert optimizer._targets.times.tolist() == [2, 2, 1, 1, 1, 1, 1, 1]


def test_a_generation_is_taken_to_the_scale_of_those_before(cube):
    optimizer = DifferentialEvolution(cube(3), population=10, again=0.2)
    step(optimizer, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    # The two that are asked again get 3 more: easier items, by 6 / (2 + 1) = 2. So 9 and then 12
    # are 9.5, and 8 and 11 are 8.5; a trial's 11 is 9, and 11.4 is 9.4.
    step(optimizer, [11.4, 11, *[-9] * 6, 12, 11])
    assert optimizer._targets.mean[:3] == pytest.approx([9.5, 9.0, 7.0])
    assert optimizer._targets.numbers[:3].tolist() == [18, 11, 2]


def test_a_rival_must_beat_what_was_told_in_all(cube):
    optimizer = DifferentialEvolution(cube(3), population=8, again=0.25)
    step(optimizer, [9, 8, 7, 6, 5, 4, 3, 2])
    # The best was lucky: told 9 - 6 and 8, that is 3 + 2 and 8 + 2 with the shift of -6 / 3.
    step(optimizer, [6, *[-9] * 5, 3, 8])
    # Its mean is (9 + 5) / 2 = 7, and the trial's 6 + 2 = 8 beats it.
    assert optimizer._targets.mean[0] == pytest.approx(8.0)


def test_the_first_generation_is_cut_down_to_targets(cube):
    optimizer = DifferentialEvolution(cube(3), population=8, again=0.5)
    step(optimizer, [1, 9, -np.inf, 8, 2, 3, 7, 6])
    assert optimizer._targets.numbers.tolist() == [1, 3, 6, 7]
    assert [len(o.parents) for o in optimizer.origins] == [0] * 8
    # All targets are asked beside their trials.
    assert np.array_equal(np.sort(optimizer.ask()[4:], 0), np.sort(optimizer._targets.genomes, 0))


def test_starts_that_are_left_are_trials(cube):
    given = np.linspace(0.1, 0.9, 7)[:, None] * np.ones(3)
    optimizer = DifferentialEvolution(cube(3).starting(given), population=5)
    step(optimizer, np.arange(5))
    assert np.array_equal(optimizer.ask()[:2], given[5:])
    assert [origin.operator for origin in optimizer.origins[:2]] == ["start", "start"]
    assert len(optimizer.origins) == 5


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_optimum_of_numbers_is_found(cube, evolve, strategy):
    optimum = np.array([0.2, 0.7, 0.4, 0.0])
    optimizer = DifferentialEvolution(cube(4), strategy=strategy, seed=1)
    genomes, fitness = evolve(optimizer, sphere(optimum), 80)
    assert genomes[fitness.argmax()] == pytest.approx(optimum, abs=0.03)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bits_and_numbers_are_found_together(bits, onemax, evolve, seed):
    optimizer = DifferentialEvolution(bits(8, 8), seed=seed)
    assert evolve(optimizer, onemax(8), 100)[1].max() > -0.01


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_beats_random_search_under_noise(cube, evolve, seed):
    goal, noise = sphere(0.3), np.random.default_rng(seed)

    def noisy(genome):
        return goal(genome) + noise.normal(scale=0.05)

    optimizer = DifferentialEvolution(cube(6), seed=seed)
    evolve(optimizer, noisy, 33)
    genomes, fitness = evolve(RandomSearch(cube(6), population=12, seed=seed), noisy, 33)
    assert goal(optimizer.recommend()[-1]) > goal(genomes[fitness.argmax()])


def test_values_that_all_agree_on_are_drawn_anew(bits, evolve):
    given = np.full((16, 12), 0.25)
    given[:, 8:] = np.random.default_rng(0).random((16, 4))
    optimizer = DifferentialEvolution(bits(8, 4).starting(given), population=16, seed=1)
    late = evolve(optimizer, lambda genome: 0.0, 20)[0][16:]
    assert (late[:, :8] > 0.5).any(0).all()
    still = DifferentialEvolution(
        bits(8, 4).starting(given), population=16, seed=1, mutation_rate=0.0
    )
    assert not (evolve(still, lambda genome: 0.0, 20)[0][:, :8] > 0.5).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "rand_2"}, r"one of rand_1, .*, got rand_2; set optimizer\.strategy"),
        ({"factor": 0}, r"in \(0, 2\] or two, .*, got 0; set optimizer\.factor"),
        ({"factor": [0.9, 0.4]}, r"got \[0.9, 0.4\]; set optimizer\.factor"),
        ({"factor": [0.1, 0.2, 0.3]}, r"set optimizer\.factor"),
        ({"crossover_rate": 1.1}, r"in \[0, 1\], got 1.1; set optimizer\.crossover_rate"),
        ({"mutation_rate": 2}, r"in \[0, 1\], got 2; set optimizer\.mutation_rate"),
        ({"again": 0.6}, r"in \[0, 0.5\], got 0.6; set optimizer\.again"),
        ({"population": 3}, r"at least 4, got 3; set optimizer\.population"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(cube, options, message):
    with pytest.raises(ConfigError, match=message):
        DifferentialEvolution(cube(3), **options)


def test_nobody_is_recommended_once_every_target_has_failed(cube):
    optimizer = DifferentialEvolution(cube(2), population=8, again=0.5)
    # The only success among the first fails when it is asked again; another target succeeds then.
    for _ in range(2):
        genomes = optimizer.ask()
        optimizer.tell(genomes, np.array([-np.inf] * 7 + [0.5]))
    assert optimizer.recommend().shape == (0, 2)


def generations(optimizer, sets):
    """Ask and tell once for each set of items; return how many were asked again each time."""
    found = []
    for items in sets:
        genomes = optimizer.ask()
        found.append(sum(origin.operator == "again" for origin in optimizer.origins))
        optimizer.tell(genomes, genomes.sum(axis=1), Details(sets=(items,) * len(genomes)))
    return found


def test_more_trials_take_the_place_of_targets_while_the_items_stay_the_same(cube):
    optimizer = DifferentialEvolution(cube(3), population=8, again=0.25)
    # Of one generation nobody knows.
    assert generations(optimizer, "aaab") == [0, 2, 0, 0]
    assert generations(optimizer, "c") == [2]
    assert len(optimizer.ask()) == 8


def test_a_trial_stands_against_its_target_whenever_it_is_told(cube):
    optimizer = DifferentialEvolution(cube(2), population=4, again=0.0, seed=0)
    optimizer.tell(optimizer.ask(), np.array([4.0, 3.0, 2.0, 1.0]))
    early, late = optimizer.ask(), optimizer.ask()
    # The second target's: 5 beats 3, then 4 does not beat 5.
    optimizer.tell(late[[1]], np.array([5.0]), Details(numbers=(9,)))
    optimizer.tell(early[[1]], np.array([4.0]), Details(numbers=(5,)))
    assert optimizer.facts["best"] == [{"number": 9, "told": 1, "fitness": 5.0}]


def test_of_the_first_genomes_one_that_comes_late_stands_against_the_worst(cube):
    optimizer = DifferentialEvolution(cube(2), population=4, again=0.0, seed=0)
    early, late = optimizer.ask(), optimizer.ask()
    optimizer.tell(late, np.array([4.0, 3.0, 2.0, 1.0]), Details(numbers=(4, 5, 6, 7)))
    optimizer.tell(early[[0]], np.array([9.0]), Details(numbers=(0,)))
    assert optimizer.facts["best"][0]["number"] == 0


def test_a_target_that_lost_its_place_is_told_in_vain(cube):
    optimizer = DifferentialEvolution(cube(2), population=5, again=0.2, seed=0)
    first = optimizer.ask()
    optimizer.tell(first, np.array([4.0, 3.0, 2.0, 1.0, 0.0]))
    asked = optimizer.ask()
    assert optimizer.origins[-1].operator == "again"
    (target,) = [n for n, genome in enumerate(first[:4]) if (genome == asked[-1]).all()]
    optimizer.tell(asked[[target]], np.array([7.0]), Details(numbers=(5 + target,)))
    optimizer.tell(asked[[4]], np.array([9.0]), Details(numbers=(9,)))
    assert optimizer.facts["best"] == [{"number": 5 + target, "told": 1, "fitness": 7.0}]

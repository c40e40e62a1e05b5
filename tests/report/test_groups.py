import pytest

from evoforge.errors import ConfigError
from evoforge.report.compare import compared
from evoforge.report.difference import flatten, implied
from evoforge.report.groups import grouped, ranked

SKILL = {"random_search": 2, "cma_es": 6, "genetic": 4}


def judged(new_run, folder, right, *, seed, kind="c", size=8, **config):
    """A finished run whose winner solves so many of its test items."""
    targets = {
        name: {"_target_": f"evoforge.{name}.{of}.X", **more} for name, (of, more) in config.items()
    }
    run = new_run(folder, seed=seed, config={"seed": seed, **targets}, protocol={"hash": kind})
    (recipe,) = run.race([(4, 2, False)])
    run.test("winner", recipe, [1.0] * right + [0.0] * (size - right))
    run.journal.finish()


@pytest.fixture
def optimizers(new_run, tmp_path):
    """Three optimizers with a population of their own, three seeds each."""
    for name, right in SKILL.items():
        for seed in range(3):
            own = {"optimizer": (name, {"population": 10 + right})}
            judged(new_run, f"{name}-{seed}", right + (seed == 2), seed=seed, **own)
    return tmp_path


def test_groups_are_ranked_over_seeds(optimizers):
    found = compared([optimizers]).ranking
    assert found.groups == ("cma_es", "genetic", "random_search")
    assert found.blocks == ("seed 0", "seed 1", "seed 2")
    assert found.average.tolist() == [1, 2, 3]
    assert found.means[0] == pytest.approx((6 + 6 + 7) / 24)
    assert found.reference == "cma_es"


def test_a_default_of_an_optimizer_is_no_part_of_its_name(optimizers):
    found = compared([optimizers])
    assert list(grouped(found)) == ["cma_es", "genetic", "random_search"]
    assert {row["config.population"] for row in found.rows} == {12, 14, 16}


def test_what_was_tried_within_an_optimizer_is_part_of_its_name():
    one, two, other = (
        flatten({"optimizer": {"_target_": f"evoforge.optimizer.{name}.X", "population": size}})
        for name, size in (("genetic", 8), ("genetic", 16), ("cma_es", 8))
    )
    assert implied([one, two, other]) == set()
    assert implied([one, {**other, "optimizer.population": 9}]) == {"population"}


def test_all_are_compared_with_one_group(optimizers):
    found = compared([optimizers], against="random_search").ranking
    assert [(each.first, each.second) for each in found.pairs] == [
        ("cma_es", "random_search"),
        ("genetic", "random_search"),
    ]
    assert found.pairs[0].gain == pytest.approx(0.5)


def test_an_unknown_group_or_setting_answers_with_those_there_are(optimizers):
    with pytest.raises(ConfigError, match="no group has the name tpe .* cma_es; genetic; random_"):
        compared([optimizers], against="tpe")
    with pytest.raises(
        ConfigError, match="do not differ in merge; --by takes one of: optimizer, p"
    ):
        compared([optimizers], by=["merge"])


@pytest.fixture
def crossed(new_run, tmp_path):
    """Two merges by two optimizers, two seeds each; one of them was not run."""
    for merge in ("ties", "dare"):
        for name in ("cma_es", "random_search"):
            for seed in range(2):
                if (merge, name, seed) != ("dare", "cma_es", 1):
                    own = {"merge": (merge, {}), "optimizer": (name, {})}
                    right = SKILL[name] - (merge == "dare")
                    judged(new_run, f"{merge}-{name}-{seed}", right, seed=seed, **own)
    return tmp_path


def test_one_setting_is_ranked_over_all_others(crossed):
    found = compared([crossed], by=["optimizer"]).ranking
    assert found.groups == ("cma_es", "random_search")
    assert found.blocks == ("dare, seed 0", "ties, seed 0", "ties, seed 1")
    assert found.incomplete == ("dare, seed 1",)
    assert found.pairs[0].gain == pytest.approx(0.5)


def test_several_settings_can_be_ranked(crossed):
    found = compared([crossed], by=["merge", "optimizer"])
    assert ranked(found, ["merge", "optimizer"]).left_out == ("dare, cma_es",)
    assert found.ranking.groups == ("ties, cma_es", "ties, random_search", "dare, random_search")


def test_a_name_that_fits_two_groups_is_refused(crossed):
    with pytest.raises(ConfigError, match="2 groups have the name cma_es"):
        compared([crossed], against="cma_es")
    assert compared([crossed], against="ties, cma_es").ranking.reference == "ties, cma_es"


def test_scores_of_other_tasks_are_ranked_but_never_mixed(new_run, tmp_path):
    for task, size in (("maths", 8), ("words", 4)):
        for name in ("cma_es", "random_search"):
            for seed in range(2):
                own = {"optimizer": (name, {}), "task": (task, {})}
                right = SKILL[name] * size // 8
                folder = f"{task}-{name}-{seed}"
                judged(new_run, folder, right, seed=seed, kind=task, size=size, **own)
    found = compared([tmp_path])
    assert len(found.odd) == 4
    assert found.ranking.groups == ("cma_es", "random_search")
    assert len(found.ranking.blocks) == 4
    assert found.ranking.blocks[0] == "maths, seed 0"
    assert found.ranking.average.tolist() == [1, 2]


def test_the_lower_is_the_better_where_the_task_says_so(optimizers):
    found = compared([optimizers])
    for run in found.runs:
        for stage in run.result["stages"].values():
            stage["direction"] = "min"
    lower = ranked(found)
    assert lower.groups == ("random_search", "genetic", "cma_es")
    assert lower.means[0] == pytest.approx((2 + 2 + 3) / 24)


def test_one_seed_is_no_ranking(new_run, tmp_path):
    for name in ("cma_es", "genetic"):
        judged(new_run, name, SKILL[name], seed=0, optimizer=(name, {}))
    assert compared([tmp_path]).ranking is None

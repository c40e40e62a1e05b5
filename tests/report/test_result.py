import pytest

from evoforge.errors import JournalError
from evoforge.path import hops, statistics
from evoforge.report import result as module
from evoforge.report.result import build, replace, write
from evoforge.report.statistics import holm
from tests.report.conftest import recipe_of


def test_result_is_written_as_it_is_returned(complete, content):
    found = write(complete.record)
    assert content(complete.record.folder / "result.json") == found
    assert not list(complete.record.folder.glob(".*draft"))


def test_result_has_the_fixed_keys(complete):
    found = build(complete.record)
    assert set(found["winner"]) == {"recipe", "search", "select", "test", "curse"}
    kept = {"score", "low", "high", "se", "items", "set", "metrics"}
    assert set(found["winner"]["test"]) == kept
    assert set(found["seconds"]) >= {"load", "merge", "generate", "score", "other", "total"}
    counts = {"evaluations", "items", "cache_hits", "failures", "candidates", "items_search"}
    counts |= {"items_select", "items_proxy", "items_winner", "items_baselines"}
    assert set(found["counts"]) == counts
    assert set(found["baselines"]) == {"ja", "math_a", "math_b", "uniform_soup", "start_point"}
    assert (found["seed"], found["status"]) == (1, "finished")
    assert found["protocol"]["name"] == "mgsm_ja"


def test_a_path_is_told_with_its_statistics(walked, content):
    write(walked.record)
    found = content(walked.record.folder / "result.json")["winner"]
    recipe = walked.record.recipe(found["recipe"]).content
    assert found["path"]["hops"] == recipe["path"]
    assert found["path"]["statistics"] == statistics(hops(recipe))
    assert found["path"]["statistics"]["hops"] == len(recipe["path"])


def test_scores_are_the_means_of_the_items(complete):
    found = build(complete.record)["winner"]["test"]
    number = complete.record.roles()["winner", "test"]
    evaluation = complete.record.evaluation(number, with_items=True)
    assert found["score"] == pytest.approx(evaluation.score)
    assert found["low"] < found["score"] < found["high"]
    assert found["items"] == 40
    assert set(found["metrics"]) == {"acc_ja", "acc", "ja"}


def test_paired_is_the_winner_less_the_baseline(complete):
    found = build(complete.record)
    gap = found["winner"]["test"]["score"] - found["baselines"]["ja"]["test"]["score"]
    assert found["paired"]["ja"]["difference"] == pytest.approx(gap)
    assert {"low", "high", "p", "p_bootstrap", "p_holm", "se"} <= set(found["paired"]["ja"])


def test_p_values_are_corrected_for_all_baselines(complete):
    found = build(complete.record)["paired"]
    assert {n: each["p_holm"] for n, each in found.items()} == pytest.approx(
        holm({n: each["p"] for n, each in found.items()})
    )


# Of 4 items the first counts half of all: winner 0.5 + 1/6, baseline 1/2.
WEIGHTS = [0.5, 1 / 6, 1 / 6, 1 / 6]


def test_scores_and_differences_are_weighted(new_run):
    run = new_run()
    (recipe,) = run.race([(4, 2, False)])
    run.test("winner", recipe, [1.0, 1.0, 0.0, 0.0], weights=WEIGHTS)
    run.test("baseline:ja", recipe_of({}), [0.0, 1.0, 1.0, 1.0], weights=WEIGHTS)
    found = build(run.record)
    assert found["winner"]["test"]["score"] == pytest.approx(2 / 3)
    assert found["baselines"]["ja"]["test"]["score"] == pytest.approx(1 / 2)
    assert found["paired"]["ja"]["difference"] == pytest.approx(1 / 6)
    assert found["paired"]["ja"]["test"] == "paired permutation test"
    scored = run.record.evaluation(run.record.roles()["winner", "test"])
    assert found["winner"]["test"]["score"] == pytest.approx(scored.score)


def test_answers_that_came_to_the_limit_are_a_share(new_run):
    run = new_run(protocol={"gold_length_plus": None})
    (recipe,) = run.race([(4, 2, False)])
    ends = ["end", "length", "stop", "length", "length"]
    run.test("winner", recipe, [1.0, 1.0, 0.0, 0.0, 0.0], reasons=ends)
    run.test("baseline:ja", recipe_of({}), [1.0, 1.0, 0.0, 0.0, 0.0])
    found = build(run.record)
    assert found["winner"]["test"]["over_length"] == 0.6
    # Choices that are compared have no length.
    assert "over_length" not in found["baselines"]["ja"]["test"]


def test_answers_that_are_cut_at_the_gold_ones_length_are_none(new_run):
    run = new_run(protocol={"gold_length_plus": 0})
    (recipe,) = run.race([(4, 2, False)])
    run.test("winner", recipe, [1.0, 0.0], reasons=["length", "end"])
    assert "over_length" not in build(run.record)["winner"]["test"]


def test_a_failed_baseline_is_null_and_keeps_its_reason(new_run):
    run = new_run()
    run.baselines(math_a="NaN in layer 3")
    run.win(run.search())
    found = build(run.record)
    assert found["baselines"]["math_a"]["test"] is None
    assert found["baselines"]["math_a"]["failures"]["test"] == "NaN in layer 3"
    assert found["paired"]["math_a"] is None


def test_a_run_without_winner_has_a_result(new_run):
    run = new_run()
    run.baselines()
    run.search(generations=2)
    found = build(run.record)
    assert found["winner"] is None
    assert found["status"] == "unfinished"
    assert set(found["paired"].values()) == {None}


def test_a_run_where_all_failed_says_so(new_run):
    run = new_run()
    run.search(generations=1, failures=1.1)
    found = build(run.record)
    assert found["status"] == "failed"
    assert found["stages"]["ps"]["best"] is None


def test_an_empty_run_has_a_result(new_run):
    found = write(new_run().record)
    assert found["counts"]["candidates"] == 0
    assert found["stages"] == {}


def test_the_share_leaves_out_loading(complete, monkeypatch):
    phases = {"load": 10.0, "merge": 2.0, "generate": 6.0, "score": 0.5, "other": 1.5}
    monkeypatch.setattr(complete.record, "seconds", lambda: phases)
    # (0.5 + 1.5) / (20 - 10).
    assert build(complete.record)["share_neither_merging_nor_generating"] == 0.2


def test_a_file_that_cannot_be_written_keeps_the_old_one(tmp_path, monkeypatch):
    replace(tmp_path / "result.json", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(JournalError, match=r"cannot write .*result\.json: No space left"):
        replace(tmp_path / "result.json", "new")
    assert (tmp_path / "result.json").read_text() == "old"

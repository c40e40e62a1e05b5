import json
import math
import warnings

import pytest
import torch

from evoforge.baseline import baselines
from evoforge.errors import ConfigError
from evoforge.evaluator.lm_eval import LmEval
from evoforge.merge.base import Mergers
from evoforge.merge.linear import Linear
from evoforge.merge.ties import Ties
from evoforge.task.generation import Generation
from evoforge.task.lm_eval import LmEval as HarnessTask
from tests.loop import WEIGHT, Sums

LIST = {"acc": {"aggregation": "mean", "higher_is_better": True}}


def rows(count, offset=0):
    return [
        {
            "question": f"{i}+{offset}",
            "answer": str(i + offset),
            "choices": [str(i + offset), str(i + 77), "ab" * (i % 3 + 1)],
            "label": i % 3,
        }
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, content in (("test", rows(24)), ("train", rows(9, offset=50))):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, content)))
    return {name: str(folder / f"{name}.jsonl") for name in ("test", "train")}


@pytest.fixture(scope="module")
def local(data):
    """Return a maker of tasks written out: `local("choice", num_fewshot=2)`."""
    shared = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": data},
        "test_split": "test",
        "training_split": "train",
        "fewshot_split": "train",
        "doc_to_text": "{{question}}=",
        "target_delimiter": "",
        "fewshot_delimiter": "\n",
    }
    kinds = {
        "choice": {
            "output_type": "multiple_choice",
            "doc_to_target": "label",
            "doc_to_choice": "choices",
            "metric_list": [
                {"metric": "mcc", "aggregation": "matthews_corrcoef", "higher_is_better": True},
                {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
                {"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True},
                {"metric": "brier_score", "aggregation": "brier_score", "higher_is_better": False},
            ],
        },
        "writing": {
            "output_type": "generate_until",
            "doc_to_target": "answer",
            "generation_kwargs": {"until": ["\n", "+"], "max_gen_toks": 6, "do_sample": False},
            "filter_list": [
                {"name": "number", "filter": [{"function": "regex", "regex_pattern": "([0-9])"}]},
                {"name": "all", "filter": [{"function": "take_first"}]},
            ],
            "metric_list": [
                {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
            ],
        },
        "likely": {
            "output_type": "loglikelihood",
            "doc_to_target": "answer",
            "metric_list": [
                {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
                {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
            ],
        },
        "rolling": {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{question}} is {{answer}}",
            "metric_list": [
                {"metric": "word_perplexity", "higher_is_better": False,
                 "aggregation": "weighted_perplexity"},
                {"metric": "bits_per_byte", "higher_is_better": False,
                 "aggregation": "bits_per_byte"},
            ],
        },
    }  # fmt: skip

    def make(kind, name=None, **changes):
        return {"task": name or kind, **shared, **kinds[kind], **changes}

    return make


@pytest.fixture
def merger(pool):
    return Ties(pool, weight=WEIGHT)


def candidate(pool, merger, name):
    return Mergers(pool).build(baselines(merger)[name])


KINDS = ("choice", "writing", "likely", "rolling")


def simply(spec, folder, monkeypatch, **options):
    """Return what lm-eval's own command finds for a saved model."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)  # takes seconds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": str(folder), "device": "cpu", "dtype": "float32"},
            tasks=[spec],
            task_manager=TaskManager(include_defaults=False),
            batch_size=5,
            bootstrap_iters=0,
            **options,
        )


@pytest.mark.parametrize("back_end", ["evoforge", "hflm"])
@pytest.mark.parametrize(("kind", "shots"), [(kind, 0) for kind in KINDS] + [("choice", 2)])
def test_every_number_is_that_of_simple_evaluate_on_the_saved_model(
    pool, merger, pico, local, kind, shots, back_end, monkeypatch
):
    spec = local(kind, num_fewshot=shots)
    task = HarnessTask(tasks=[spec], search=8, select=8)
    evaluator = LmEval(task, pool, batch_size=5, back_end=back_end)
    everything = [item for part in ("search", "select", "test") for item in task.items(part)]
    found = evaluator.evaluate(candidate(pool, merger, "a"), everything)
    assert found.status == "ok", found.reason
    wanted = simply(spec, pico["a"], monkeypatch)
    measured = task._measures[kind]
    for key, value in wanted["results"][kind].items():
        metric, _, name = key.partition(",")
        if name and not metric.endswith("_stderr"):
            label = metric if name == measured.filter else key
            assert found.metrics[label] == pytest.approx(value, rel=1e-5), label
    assert found.score == found.metrics[task.metric]
    by_document = {
        (sample["doc_id"], sample["filter"]): sample for sample in wanted["samples"][kind]
    }
    for item, result in zip(everything, found.results, strict=True):
        sample = by_document[item.fields["document"], measured.filter]
        asked = task.instances(item)
        assert [one.args for one in asked] == [tuple(each) for each in sample["arguments"]]
        if kind == "writing":
            assert result.completion == sample["resps"][0][0]


def test_results_do_not_depend_on_what_else_is_asked(pool, merger, local):
    task = HarnessTask(tasks=[local("choice", num_fewshot=3), local("writing", num_fewshot=1)])
    evaluator = LmEval(task, pool)
    soup = candidate(pool, merger, "uniform_soup")
    items = task.items("search")
    whole = {r.item: r for r in evaluator.evaluate(soup, items).results}
    some = evaluator.evaluate(soup, items[::-3]).results
    assert [r.item for r in some] == [item.id for item in items[::-3]]
    for result in some:
        assert result.completion == whole[result.item].completion
        assert result.metrics == pytest.approx(whole[result.item].metrics, rel=1e-5)


def test_another_candidate_gives_other_answers_and_the_first_its_own_again(pool, merger, local):
    task = HarnessTask(tasks=[local("writing", metric_list=[{"metric": "exact_match"}])])
    evaluator = LmEval(task, pool)
    found = [
        evaluator.evaluate(candidate(pool, merger, name), task.items("search")).results
        for name in ("a", "b", "a")
    ]
    assert found[0] == found[2]
    assert [r.completion for r in found[0]] != [r.completion for r in found[1]]


def test_completions_say_what_the_model_found_likeliest(pool, merger, local):
    specs = [local("choice"), local("likely"), local("rolling")]
    for spec in specs:
        task = HarnessTask(tasks=[spec])
        evaluator = LmEval(task, pool)
        results = evaluator.evaluate(candidate(pool, merger, "a"), task.items("search")).results
        for item, result in zip(task.items("search"), results, strict=True):
            if spec["task"] == "choice":
                assert result.completion in item.question.split("\n")[1:]
                right = result.completion == item.answers[0]
                assert result.score == float(right)
            elif spec["task"] == "likely":
                assert result.completion == (item.answers[0] if result.score else "")
            else:
                assert result.completion == ""


def test_running_out_of_memory_is_tried_once_with_half_the_batch(pool, merger, local, monkeypatch):
    task = HarnessTask(tasks=[local("choice")])
    evaluator = LmEval(task, pool, batch_size=8, back_end="hflm")
    whole, sizes = evaluator._lm._model_call, []
    expected = evaluator.evaluate(candidate(pool, merger, "a"), task.items("search"))

    def small(ids, **rest):
        sizes.append(len(ids))
        if len(ids) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(ids, **rest)

    monkeypatch.setattr(evaluator._lm, "_model_call", small)
    found = evaluator.evaluate(candidate(pool, merger, "a"), task.items("search"))
    assert found.status == "ok", found.reason
    assert sizes[0] == 8
    assert max(sizes[1:]) == 4
    assert found.score == expected.score


def test_a_fault_of_the_candidate_is_a_failure_with_a_reason(pool, merger, local, monkeypatch):
    task = HarnessTask(tasks=[local("choice")])
    evaluator = LmEval(task, pool, back_end="hflm")

    def broken(*args, **rest):
        raise RuntimeError("the model is broken")

    monkeypatch.setattr(evaluator._lm, "_model_call", broken)
    found = evaluator.evaluate(candidate(pool, merger, "a"), task.items("search"))
    assert (found.status, found.fitness) == ("failed", -math.inf)
    assert found.reason == "RuntimeError: the model is broken"


def test_logits_of_a_saved_model_are_those_of_the_live_one(pool, merger, pico, local):
    for kind in KINDS:
        task = HarnessTask(tasks=[local(kind)])
        evaluator = LmEval(task, pool)
        items = task.items("select")[:3]
        live = evaluator.logits(candidate(pool, merger, "b"), items)
        saved = evaluator.logits_of(pico["b"], items)
        for one, other in zip(live, saved, strict=True):
            assert one.shape[0] > 1
            assert torch.equal(one, other)


def test_other_tasks_are_refused(pool):
    sums = Generation(name="sums", items=Sums(), prompt="{question}")
    with pytest.raises(ConfigError, match="sums is none; set task=lm_eval, or evaluator=hf"):
        LmEval(sums, pool)


def test_other_evaluators_are_refused(pool, local):
    from evoforge.evaluator.hf import Hf

    with pytest.raises(ConfigError, match="set evaluator=lm_eval"):
        Hf(HarnessTask(tasks=[local("choice")]), pool)


def test_a_batch_of_nothing_is_refused(pool, local):
    with pytest.raises(ConfigError, match="set evaluator.batch_size"):
        LmEval(HarnessTask(tasks=[local("choice")]), pool, batch_size=0)


def test_nothing_is_printed(pool, merger, local, capfd, caplog):
    task = HarnessTask(tasks=[local(kind) for kind in ("choice", "likely", "writing")])
    evaluator = LmEval(task, pool)
    evaluator.evaluate(candidate(pool, merger, "a"), task.items("search"))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("kind", KINDS)
def test_models_that_see_answer_texts_as_in_lm_eval(seer, local, kind):
    pool = seer("llava").pool
    merged = Mergers(pool).build(baselines(Linear(pool, weight=WEIGHT))["uniform_soup"])
    task = HarnessTask(name="t", tasks=[local(kind, num_fewshot=0)], select=4)
    found = [
        LmEval(task, pool, batch_size=4, back_end=back_end).evaluate(merged, task.items("search"))
        for back_end in ("evoforge", "hflm")
    ]
    assert found[0].status == "ok", found[0].reason
    assert found[0].score == pytest.approx(found[1].score, rel=1e-5)
    assert [one.completion for one in found[0].results] == [
        one.completion for one in found[1].results
    ]


@pytest.mark.parametrize("attention", ["auto", "sdpa"])
def test_an_attention_that_is_named_is_the_one_that_is_used(pool, local, attention):
    task = HarnessTask(name="t", tasks=[local("choice")], select=4)
    assert LmEval(task, pool, attention=attention)._lm._quick == (attention == "auto")

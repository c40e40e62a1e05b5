import itertools
import json
import math
import random

import pytest

from evoforge.config import build
from evoforge.errors import ConfigError
from evoforge.task.base import PARTS, normalized
from evoforge.task.lm_eval import LmEval

MEAN = {"aggregation": "mean", "higher_is_better": True}


def rows(count, offset=0):
    return [
        {
            "question": f"{i}+{offset}",
            "answer": str(i + offset),
            "choices": ["no", "yes"],
            "label": 1,
        }
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    contents = {
        "test": rows(40),
        "train": rows(10, 50) + rows(5),
        "few": rows(4),
        "same": 9 * rows(1),
    }
    for name, content in contents.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, content)))
    return folder


@pytest.fixture(scope="module")
def local(folder):
    """Return a maker of tasks written out: multiple choice, unless changed."""

    def make(name="choice", file="test", **changes):
        files = {"test": str(folder / f"{file}.jsonl"), "train": str(folder / "train.jsonl")}
        return {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": files},
            "test_split": "test",
            "training_split": "train",
            "fewshot_split": "train",
            "output_type": "multiple_choice",
            "doc_to_text": "{{question}}=",
            "doc_to_target": "label",
            "doc_to_choice": "choices",
            "metric_list": [{"metric": "acc", **MEAN}, {"metric": "acc_norm", **MEAN}],
            **changes,
        }

    return make


WRITING = {
    "output_type": "generate_until",
    "doc_to_choice": None,
    "doc_to_target": "answer",
    "metric_list": [{"metric": "exact_match", **MEAN}],
    "generation_kwargs": {"until": ["\n"]},
}


def prepared(**options):
    task = LmEval(**options)
    task.prepare(object())
    return task


def answered(task, item, right):
    """Return the metrics of an item whose right choice is found likely, or not."""
    instances = task.instances(item)
    for place, instance in enumerate(instances):
        instance.resps.append((-1.0 if (place == 1) == right else -2.0, False))
    return task.measure(item, instances)


def test_every_document_is_in_one_part_at_most(local):
    task = LmEval(tasks=[local()], search=12, select=0.2)
    ids = [[item.id for item in task.items(part)] for part in PARTS]
    assert [len(some) for some in ids] == [12, 8, 20]
    assert sorted(itertools.chain(*ids)) == sorted(f"choice/{i}" for i in range(40))
    assert [int(name.split("/")[1]) for name in ids[2]] != list(range(20, 40))


def test_items_show_question_choices_and_answer(local):
    item = next(i for i in LmEval(tasks=[local()]).items("search") if i.id == "choice/0")
    assert (item.question, item.answers) == ("0+0=\nno\nyes", ("yes",))
    assert dict(item.fields) == {"task": "choice", "split": "test", "document": 0}


def test_the_seed_decides_the_parts_and_another_task_does_not(local):
    def dealt(*specs, **options):
        items = LmEval(tasks=list(specs), **options).items("search")
        return [item.id for item in items if item.fields["task"] == "choice"]

    other = local("other", doc_to_text="{{question}} is")
    assert dealt(local()) == dealt(local()) == dealt(local(), other) == dealt(other, local())
    assert dealt(local()) != dealt(local(), seed=1)


def test_parts_may_come_from_other_splits_and_share_no_question(local):
    task = LmEval(tasks=[local()], splits={"search": "training"}, search=None, select=10)
    ids = [item.id for item in task.items("search")]
    # The last five documents of the training split are in the test split too.
    assert ids == [f"choice/training/{i}" for i in range(10)]
    assert len(task.items("test")) == 30


def test_equal_questions_of_two_tasks_are_in_one_part(local):
    task = LmEval(tasks=[local("one"), local("two")])
    parts = {}
    for part in PARTS:
        for item in task.items(part):
            parts.setdefault(normalized(item.question), set()).add(part)
    assert len(parts) == 40
    assert all(len(found) == 1 for found in parts.values())


def test_too_few_documents_are_refused(local):
    with pytest.raises(ConfigError, match="choice has 4 documents, .* search=3, select=2, test"):
        LmEval(tasks=[local(file="few")], search=3, select=2)
    with pytest.raises(ConfigError, match="too much alike to leave any for select"):
        LmEval(tasks=[local(file="same")])


@pytest.mark.parametrize("share", [0, -1, 1.0, 1.5, True])
def test_a_share_that_makes_no_sense_is_refused(local, share):
    with pytest.raises(ConfigError, match="set task.select"):
        LmEval(tasks=[local()], select=share)


def test_only_one_part_may_have_the_rest(local):
    with pytest.raises(ConfigError, match="only one part can have what is left, got search and te"):
        LmEval(tasks=[local()], search=None)


def test_a_split_that_is_not_there_is_refused(local):
    with pytest.raises(ConfigError, match="choice has no validation split; set task.splits"):
        LmEval(tasks=[local()], splits={"test": "validation"})
    with pytest.raises(ConfigError, match="got test: dev; set task.splits"):
        LmEval(tasks=[local()], splits={"test": "dev"})


def test_shots_of_an_item_are_the_same_in_every_run_and_part(local):
    spec = local(num_fewshot=3)

    def prompts(**options):
        task = prepared(tasks=[spec], **options)
        items = [item for part in PARTS for item in task.items(part)]
        return {item.id: task.instances(item)[0].args[0] for item in items}

    whole = prompts()
    assert len(whole) == 40
    assert prompts(search=3, select=2, test=1).items() <= whole.items()
    assert prompts(seed=7) == whole
    assert prompts(fewshot_seed=7) != whole
    assert all(prompt.count("=") == 4 for prompt in whole.values())


def test_no_document_is_its_own_shot(local):
    spec = local(num_fewshot=9)
    task = prepared(tasks=[spec], splits={"search": "training"}, search=None)
    for item in task.items("search"):
        assert task.instances(item)[0].args[0].count(item.question.split("\n")[0]) == 1


def test_tasks_come_from_files_folders_and_groups(local, folder):
    import yaml

    place = folder / "tasks"
    place.mkdir()
    for name in ("one", "two"):
        spec = local(name, doc_to_text=f"{name} {{{{question}}}}=")
        (place / f"{name}.yaml").write_text(yaml.safe_dump(spec))
    (place / "both.yaml").write_text(yaml.safe_dump({"group": "both", "task": ["one", "two"]}))
    assert set(LmEval(tasks=str(place / "one.yaml")).settings["tasks"]) == {"one"}
    assert set(LmEval(tasks="both", include_path=str(place)).settings["tasks"]) == {"one", "two"}
    changed = LmEval(tasks=[{"task": "one", "num_fewshot": 2}], include_path=str(place))
    assert changed.settings["tasks"]["one"]["num_fewshot"] == 2


def test_a_set_of_tasks_counts_tasks_or_items_alike(local):
    few = local("few", file="few", doc_to_text="few {{question}}=")
    specs = [local("many"), few]
    items = [i for p in PARTS for i in LmEval(tasks=specs).items(p)]
    assert len(items) == 44
    right = [item.fields["task"] == "few" for item in items]
    for average, score in (("tasks", 1 / 2), ("items", 4 / 44)):
        task = prepared(tasks=specs, average=average)
        verdict = task.judge(
            items, [answered(task, i, r) for i, r in zip(items, right, strict=True)]
        )
        assert sum(task.weights(items)) == pytest.approx(1)
        assert verdict.score == verdict.fitness == pytest.approx(score)
        assert verdict.metrics["acc"] == verdict.score
        assert (verdict.metrics["many/acc"], verdict.metrics["few/acc"]) == (0.0, 1.0)
        assert {"many/acc_norm", "few/acc_norm"} < set(verdict.metrics)
        strata = {item.stratum for item in task.items("search")}
        assert strata == ({"many", "few"} if average == "tasks" else {""})


def test_a_group_has_a_score_of_its_own(local):
    first = [local(name, doc_to_text=f"{name} {{{{question}}}}=") for name in ("a", "b")]
    last = local("c", doc_to_text="c {{question}}=")
    task = prepared(tasks=[{"group": "pair", "task": first, "num_fewshot": 1}, last])
    items = task.items("select")
    names = {item.fields["task"] for item in items}
    assert names == {"a", "b", "c"}
    assert [f["num_fewshot"] for f in task.settings["tasks"].values()] == [1, 1, 0]
    metrics = [answered(task, i, i.fields["task"] != "b") for i in items]
    verdict = task.judge(items, metrics)
    assert verdict.metrics["pair/acc"] == pytest.approx(1 / 2)
    assert verdict.score == pytest.approx(2 / 3)


def test_the_main_metric_is_the_first_that_is_a_mean(local):
    mcc = {"metric": "mcc", "aggregation": "matthews_corrcoef", "higher_is_better": True}
    spec = local(metric_list=[mcc, {"metric": "acc", **MEAN}])
    assert LmEval(tasks=[spec]).metric == "acc"
    with pytest.raises(ConfigError, match="mcc is not; set task.metric to one of acc"):
        LmEval(tasks=[spec], metric="mcc")
    with pytest.raises(ConfigError, match="must be one of mcc, acc, got f1; set task.metric"):
        LmEval(tasks=[spec], metric="f1")


def test_metrics_of_sets_are_made_by_lm_eval(local, folder):
    mcc = {"metric": "mcc", "aggregation": "matthews_corrcoef", "higher_is_better": True}
    content = [{**row, "label": i % 2} for i, row in enumerate(rows(40))]
    (folder / "mixed.jsonl").write_text("\n".join(map(json.dumps, content)))
    spec = local(file="mixed", metric_list=[{"metric": "acc", **MEAN}, mcc])
    task = prepared(tasks=[spec], search=None, select=1, test=1)
    items = task.items("search")
    chance = random.Random(0)
    metrics = [answered(task, item, right=chance.random() < 0.7) for item in items]
    gold, said = zip(*((m["mcc.0"], m["mcc.1"]) for m in metrics), strict=True)
    pairs = list(zip(gold, said, strict=True))
    tp, tn, fp, fn = (pairs.count(pair) for pair in ((1, 1), (0, 0), (0, 1), (1, 0)))
    by_hand = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert task.judge(items, metrics).metrics["mcc"] == pytest.approx(by_hand)
    assert task.judge(items[:1], metrics[:1]).metrics["mcc"] == 0.0


def test_bits_per_byte_weigh_documents_by_their_bytes(local):
    per_byte = {
        "metric": "bits_per_byte",
        "aggregation": "bits_per_byte",
        "higher_is_better": False,
    }
    changes = {"output_type": "loglikelihood_rolling", "doc_to_choice": None, "doc_to_text": ""}
    spec = local(doc_to_target="{{question}}", metric_list=[per_byte], **changes)
    task = prepared(tasks=[spec])
    items = task.items("search")
    metrics = []
    for item in items:
        instances = task.instances(item)
        instances[0].resps.append(-math.log(2) * 3)  # three bits
        metrics.append(task.measure(item, instances))
    size = sum(len(item.answers[0]) for item in items)
    verdict = task.judge(items, metrics)
    assert verdict.score == pytest.approx(3 * len(items) / size)
    assert verdict.fitness == -verdict.score
    assert not task.higher_is_better


def test_a_filter_can_be_chosen(local):
    filters = [
        {"name": name, "filter": [{"function": "regex", "regex_pattern": pattern}]}
        for name, pattern in (("first", "([0-9]+)"), ("marked", "#([0-9]+)"))
    ]
    spec = local(**{**WRITING, "filter_list": filters})
    wanted = {}
    for name in ("first", "marked"):
        task = prepared(tasks=[spec], filter=name)
        item = task.items("search")[0]
        instances = task.instances(item)
        instances[0].resps.append(f"7 #{item.answers[0]}")
        wanted[name] = task.measure(item, instances)
    assert wanted["first"] == {"exact_match": 0.0, "exact_match,marked": 1.0}
    assert wanted["marked"] == {"exact_match": 1.0, "exact_match,first": 0.0}
    with pytest.raises(ConfigError, match="filter of choice must be one of first, marked, got x"):
        LmEval(tasks=[spec], filter="x")


def test_tasks_with_different_main_metrics_have_a_score(local):
    specs = [local(), local("writing", doc_to_text="say {{question}}", **WRITING)]
    task = prepared(tasks=specs, metric={"choice": "acc_norm"})
    assert task.metric == "score"
    facts = task.settings["tasks"]
    assert (facts["choice"]["metric"], facts["writing"]["metric"]) == ("acc_norm", "exact_match")
    assert answered(task, task.items("search")[0], right=True)["score"] == 1.0


def test_opposite_directions_are_refused(local):
    error = {"metric": "acc", "aggregation": "mean", "higher_is_better": False}
    other = local("other", doc_to_text="other {{question}}", metric_list=[error])
    with pytest.raises(ConfigError, match="of other a lower acc is better"):
        LmEval(tasks=[local(), other])


def test_answers_drawn_at_random_are_refused(local):
    settings = {"generation_kwargs": {"until": ["\n"], "do_sample": True, "temperature": 0.7}}
    spec = local(**{**WRITING, **settings})
    with pytest.raises(ConfigError, match="choice draws its answers at random"):
        LmEval(tasks=[spec])
    greedy = prepared(
        tasks=[spec], gen_kwargs={"do_sample": False, "temperature": 0.0}, max_gen_toks=9
    )
    asked = greedy.instances(greedy.items("search")[0])[0].args[1]
    assert asked == {"until": ["\n"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 9}


def test_code_that_models_write_is_not_run_unasked(local):
    spec = local(unsafe_code=True)
    with pytest.raises(ConfigError, match="set task.run_unsafe_code=true"):
        LmEval(tasks=[spec])
    assert LmEval(tasks=[spec], run_unsafe_code=True).metric == "acc"


def test_chats_need_a_tokenizer_with_a_template(local):
    task = LmEval(tasks=[local()], apply_chat_template=True)
    with pytest.raises(ConfigError, match="no chat template; set task.apply_chat_template=false"):
        task.prepare(object())


def test_chats_are_made_by_the_tokenizer(local):
    class Tokenizer:
        chat_template = "yes"

        def apply_chat_template(self, messages, **options):
            assert options["add_generation_prompt"]
            return "|".join(f"{m['role']}:{m['content']}" for m in messages)

    task = LmEval(
        tasks=[local(num_fewshot=1)], apply_chat_template=True, system_instruction="Be right."
    )
    task.prepare(Tokenizer())
    asked = task.instances(task.items("search")[0])[0].args[0]
    system, user, assistant, last = asked.split("|")
    assert (system, assistant) == ("system:Be right.", "assistant:yes")
    assert user.startswith("user:")
    assert last.startswith("user:")


def test_a_chats_template_is_part_of_the_protocol(local):
    class Tokenizer:
        def __init__(self, template):
            self.chat_template = template

        def apply_chat_template(self, messages, **options):
            return self.chat_template

    def hashed(template, chat=True):
        task = LmEval(tasks=[local()], apply_chat_template=chat)
        assert task.settings["tasks"]  # looked at before the tokenizer is known
        task.prepare(Tokenizer(template))
        return task.protocol_hash("test")

    assert hashed("a") == hashed("a") != hashed("b")
    assert hashed("a", chat=False) == hashed("b", chat=False)


def test_the_protocol_follows_the_definition(local):
    plain = LmEval(tasks=[local()])
    assert LmEval(tasks=[local()]).protocol_hash("test") == plain.protocol_hash("test")
    for changed in (
        LmEval(tasks=[local(doc_to_text="{{question}} :")]),
        LmEval(tasks=[local()], num_fewshot=1),
        LmEval(tasks=[local()], metric="acc_norm"),
        LmEval(tasks=[local()], fewshot_seed=1),
    ):
        assert changed.protocol_hash("test") != plain.protocol_hash("test")


def test_random_numbers_of_tasks_are_lm_evals_and_ours_stay(local):
    random.seed(5)
    expected = random.Random(5).random()
    LmEval(tasks=[local()])
    assert random.random() == expected


def test_a_name_that_lm_eval_does_not_know_is_refused(local, tmp_path, monkeypatch):
    from lm_eval.tasks import TaskManager

    def local_only(self, *args, include_defaults=True, **rest):
        init(self, *args, include_defaults=False, **rest)  # its own list takes seconds to read

    init = TaskManager.__init__
    monkeypatch.setattr(TaskManager, "__init__", local_only)
    with pytest.raises(ConfigError, match="lm-eval has no task gsm9k; set task.tasks"):
        LmEval(tasks="gsm9k")


def test_data_that_cannot_be_had_is_one_sentence(local, monkeypatch):
    def unreachable(*args, **rest):
        raise ConnectionError("Couldn't reach 'some/data' on the Hub")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    with pytest.raises(ConfigError, match="the data of choice is on the Hugging Face hub, which"):
        LmEval(tasks=[local()])


def test_broken_tasks_are_refused(local, tmp_path):
    with pytest.raises(ConfigError, match="lm-eval cannot load choice .*set task.tasks"):
        LmEval(tasks=[local(doc_to_target="nothing at all {{question")])
    with pytest.raises(ConfigError, match="there is no file .*none.yaml; set task.tasks"):
        LmEval(tasks=[str(tmp_path / "none.yaml")])
    with pytest.raises(ConfigError, match="there is no folder .*none; set task.include_path"):
        LmEval(tasks=[local()], include_path=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="must have a name .*got doc_to_text"):
        LmEval(tasks=[{"doc_to_text": "x"}])
    with pytest.raises(ConfigError, match="choice is meant more than once"):
        LmEval(tasks=[local(), local()])
    with pytest.raises(ConfigError, match="cannot make the prompt of choice/0 .*task.num_fewshot"):
        prepared(tasks=[local()], num_fewshot=99)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": None}, "tasks must name at least one task of lm-eval"),
        ({"tasks": []}, "tasks must name at least one task of lm-eval"),
        ({"tasks": "x", "num_fewshot": -1}, "set task.num_fewshot"),
        ({"tasks": "x", "max_gen_toks": 0}, "set task.max_gen_toks"),
        ({"tasks": "x", "average": "groups"}, "set task.average"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        LmEval(**options)


def test_every_mapping_can_be_given_on_the_command_line(compose, local, folder):
    import yaml

    (folder / "typed.yaml").write_text(yaml.safe_dump(local("typed")))
    task = compose(
        "task=lm_eval",
        f"task.tasks=[{folder / 'typed.yaml'}]",
        "task.splits={search: training}",
        "task.search=null",
        "task.gen_kwargs={do_sample: false}",
        "task.metric={typed: acc_norm}",
    )["task"]
    built = build(task, "task")
    assert built.metric == "acc_norm"
    assert built.items("search")[0].id == "typed/training/0"

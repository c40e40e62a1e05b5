import pytest

from evoforge.config import build
from evoforge.errors import ConfigError
from evoforge.task.base import Task
from evoforge.task.generation import Generation
from evoforge.task.request import Context, Generate, Response
from evoforge.task.suite import Suite
from tests.task.conftest import png, shown

PARTS = ("search", "select", "test")


class Toy(Task):
    """Scores what an answer says: its number."""

    def __init__(self, *, name, rows, metric="acc", higher=True, heavy=None, search=None):
        self._metric, self._higher, self._heavy, self._search = metric, higher, heavy, search
        self.prepared = None
        super().__init__(name=name, items=rows)

    metric = property(lambda self: self._metric)
    higher_is_better = property(lambda self: self._higher)

    @property
    def settings(self):
        return {"task": self.name, **({"search": self._search} if self._search else {})}

    def request(self, item):
        return Generate(Context(f"{self.name}: {item.question}"), 4)

    def score(self, item, response):
        return {self._metric: float(response.text), "extra": 1.0}

    def prepare(self, tokenizer):
        self.prepared = tokenizer

    def weights(self, items):
        if self._heavy is None:
            return super().weights(items)
        raw = [3.0 if item.id == self._heavy else 1.0 for item in items]
        return tuple(weight / sum(raw) for weight in raw)


class Rows:
    """As many rows in each part as asked, with questions of their own."""

    def __init__(self, prefix, count):
        self.prefix, self.count = prefix, count

    def rows(self, part):
        return [
            {
                "id": f"{part}{i}",
                "question": f"{self.prefix} {part} {i}",
                "answer_number": 1,
                "n": i,
            }
            for i in range(self.count)
        ]


def toy(name, count=2, **options):
    return lambda: Toy(name=name, rows=Rows(name, count), **options)


def judged(suite, answers, part="search"):
    """Judge a suite's part where each task answers the same everywhere."""
    items = suite.items(part)
    texts = [Response(str(answers[item.id.partition("/")[0]])) for item in items]
    scores = [suite.score(item, text) for item, text in zip(items, texts, strict=True)]
    return suite.judge(items, scores)


def test_items_are_called_by_their_task_and_keep_what_they_say():
    suite = Suite(name="s", tasks={"a": toy("a"), "b": toy("b")})
    assert {item.id for item in suite.items("test")} == {"a/test0", "a/test1", "b/test0", "b/test1"}
    item = suite.items("test")[0]
    assert (item.question, item.answer_number, item.fields["n"], item.part) == (
        "a test 0",
        1.0,
        0,
        "test",
    )


def test_any_first_part_of_the_items_holds_each_tasks_share():
    suite = Suite(name="s", tasks={"a": toy("a", 8), "b": toy("b", 4)})
    ids = [item.id[0] for item in suite.items("search")]
    assert "".join(ids[:6]).count("a") == 4
    assert ids.count("b") == 4


def test_requests_come_from_the_items_own_task():
    suite = Suite(name="s", tasks={"a": toy("x"), "b": toy("y")})
    texts = {suite.request(item).context.text for item in suite.items("search")}
    assert texts == {"x: x search 0", "x: x search 1", "y: y search 0", "y: y search 1"}


def test_the_score_is_the_weighted_mean_of_the_tasks_whatever_their_sizes():
    # (3 * 0.5 + 1 * 1.0) / 4
    suite = Suite(name="s", tasks={"a": toy("a", 9), "b": toy("b", 2)}, weights={"a": 3})
    found = judged(suite, {"a": 0.5, "b": 1.0})
    assert found.score == found.fitness == pytest.approx(0.625)
    assert found.metrics == pytest.approx(
        {"score": 0.625, "a/acc": 0.5, "a/extra": 1.0, "b/acc": 1.0, "b/extra": 1.0}
    )


def test_the_score_is_the_weighted_mean_of_the_items():
    suite = Suite(name="s", tasks={"a": toy("a", 3, heavy="search0"), "b": toy("b", 2)})
    items = suite.items("search")
    weights = dict(zip([item.id for item in items], suite.weights(items), strict=True))
    # Half for each task; in a, one item counts three times as much as the other two.
    assert weights == pytest.approx(
        {"a/search0": 0.3, "a/search1": 0.1, "a/search2": 0.1, "b/search0": 0.25, "b/search1": 0.25}
    )


def test_tasks_that_a_set_has_no_item_of_are_left_out():
    suite = Suite(name="s", tasks={"a": toy("a"), "b": toy("b")}, weights={"a": 0})
    only = [item for item in suite.items("search") if item.id.startswith("a/")]
    assert suite.weights(only) == (0.5, 0.5)
    assert sum(suite.weights(suite.items("search"))) == 1
    assert suite.weights(suite.items("search")[:1]) == (1.0,)


def test_lower_is_better_counts_negatively():
    suite = Suite(name="s", tasks={"a": toy("a"), "b": toy("b", higher=False)})
    found = judged(suite, {"a": 1.0, "b": 0.5})
    assert found.score == pytest.approx(0.25)
    assert found.metrics["b/acc"] == pytest.approx(0.5)


LIMITED = {"tasks": {"a": toy("a"), "b": toy("b")}, "weights": {"b": 0}, "least": {"b": 0.6}}


def test_a_candidate_that_keeps_the_limits_has_its_score_as_fitness():
    found = judged(Suite(name="s", **LIMITED), {"a": 0.3, "b": 0.6})
    assert found.score == found.fitness == pytest.approx(0.3)
    assert found.metrics["violation"] == 0


def test_who_breaks_a_limit_is_worse_than_all_who_do_not_and_the_less_the_better():
    suite = Suite(name="s", **LIMITED)
    keeps, little, much = (judged(suite, {"a": a, "b": b}) for a, b in ((0, 1), (1, 0.5), (1, 0.1)))
    assert keeps.fitness > little.fitness > much.fitness
    # (lowest score there is) - violation
    assert little.fitness == pytest.approx(0 - 0.1)
    assert (little.score, little.metrics["violation"]) == pytest.approx((1.0, 0.1))


def test_violations_of_several_limits_add_up():
    suite = Suite(name="s", tasks=LIMITED["tasks"], least={"a": 0.5, "b": 0.6})
    assert judged(suite, {"a": 0.3, "b": 0.5}).metrics["violation"] == pytest.approx(0.3)


def test_a_limit_where_lower_is_better_is_the_highest_score():
    suite = Suite(name="s", tasks={"a": toy("a"), "b": toy("b", higher=False)}, least={"b": 0.2})
    assert judged(suite, {"a": 1, "b": 0.1}).metrics["violation"] == 0
    broken = judged(suite, {"a": 1, "b": 0.5})
    assert broken.metrics["violation"] == pytest.approx(0.3)
    # The lowest score there is, is -1: all wrong in a, and b at its worst.
    assert broken.fitness == pytest.approx(-1.3)


def nested(**options):
    def inner():
        return Suite(name="inner", tasks={"b": toy("b"), "c": toy("c")})

    return Suite(name="s", tasks={"a": toy("a"), "in": inner}, **options)


def test_a_suite_inside_a_suite_can_be_a_limit():
    suite = nested(weights={"in": 0}, least={"in": 0.6})
    kept = judged(suite, {"a": 0.2, "in": 0.7})
    assert (kept.fitness, kept.metrics["in/score"]) == pytest.approx((0.2, 0.7))
    assert kept.metrics["in/b/acc"] == pytest.approx(0.7)
    assert judged(suite, {"a": 1.0, "in": 0.5}).fitness == pytest.approx(-0.1)


def test_items_of_a_suite_inside_are_called_by_both():
    assert "in/c/test1" in {item.id for item in nested().items("test")}


def test_settings_list_those_of_every_task_and_decide_the_protocol():
    suite, other = (
        Suite(name="s", tasks={"a": toy("a", search=stops), "b": toy("b")})
        for stops in ({"repeats": 4}, {"repeats": 5})
    )
    assert suite.settings["tasks"]["a"] == {"task": "a", "search": {"repeats": 4}}
    assert "search" not in suite.protocol("test")["tasks"]["a"]
    assert suite.protocol_hash("test") == other.protocol_hash("test")
    assert suite.protocol_hash("search") != other.protocol_hash("search")


def test_every_task_is_told_the_tokenizer():
    suite = nested()
    suite.prepare("tokenizer")
    assert suite.tasks["a"].prepared == suite.tasks["in"].tasks["c"].prepared == "tokenizer"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": {}}, "a suite needs a task; set task.tasks"),
        (
            {"tasks": {"a b": toy("a")}},
            "name of a task must be letters, digits, - and _, got 'a b'",
        ),
        (
            {"weights": {"c": 1}},
            r"weights must name tasks of the suite \(a, b\), got c; set task.w",
        ),
        ({"weights": {"a": -1}}, "weights must be 0 or more, got -1; set task.weights.a"),
        (
            {"weights": {"a": 0, "b": 0}},
            "a task of the suite must have a weight above 0; set task.",
        ),
        ({"least": {"a": "x"}}, "least must be a number, got 'x'; set task.least.a"),
        ({"least": {"a": 1.5}}, r"least must be in \[0, 1\], got 1.5; set task.least.a"),
        (
            {"least": {"c": 0.5}},
            r"least must name tasks of the suite \(a, b\), got c; set task.least",
        ),
    ],
)
def test_options_that_make_no_sense_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Suite(name="s", **{"tasks": {"a": toy("a"), "b": toy("b")}, **options})


def test_limits_need_scores_whose_bounds_are_known():
    tasks = {"a": toy("a"), "b": toy("b", metric="logprob")}
    with pytest.raises(ConfigError, match="those of b are not known; choose another metric of it"):
        Suite(name="s", tasks=tasks, least={"b": 0.5})
    with pytest.raises(ConfigError, match="limits need scores in known bounds, but those of b are"):
        Suite(name="s", tasks=tasks, least={"a": 0.5})
    assert Suite(name="s", tasks=tasks)


def test_what_one_task_searches_on_another_may_not_test():
    class Swapped(Rows):
        def rows(self, part):
            return super().rows({"search": "test", "test": "search"}.get(part, part))

    swapped = lambda: Toy(name="b", rows=Swapped("a", 2))  # noqa: E731
    with pytest.raises(
        ConfigError,
        match="a/test0, b/search0, .* of the test part ask the same as b/test0, a/search0",
    ):
        Suite(name="s", tasks={"a": toy("a"), "b": swapped})


def test_what_is_wrong_with_a_task_is_said_in_the_suites_options(compose, tmp_path):
    node = compose("task=mgsm_ja_jp_lmeh6", "models=bundled", f"data_dir={tmp_path}")["task"]
    node["tasks"]["jp_lmeh6"]["tasks"]["jnli"]["metric"] = 3
    with pytest.raises(ConfigError, match="set task.tasks.jp_lmeh6.tasks.jnli.metric"):
        build(node, "task")
    node["tasks"]["jp_lmeh6"]["tasks"]["jnli"]["metric"] = "acc"
    with pytest.raises(ConfigError, match="in the task mgsm_ja: cannot read .*; set data_dir"):
        build(node, "task")
    node["tasks"]["mgsm_ja"]["max_new_tokens"] = 0
    with pytest.raises(ConfigError, match="set task.tasks.mgsm_ja.max_new_tokens|set data_dir"):
        build(node, "task")


def test_items_of_some_tasks_have_pictures(items):
    seen = items(**shown())
    tasks = {
        "seen": lambda: Generation(
            name="seen", items=seen, prompt="<image>{question}", judge="rougel"
        ),
        "read": lambda: Generation(name="read", items=items(), prompt="{question}"),
    }
    made = Suite(name="both", tasks=tasks)
    shows = {item.id: made.request(item).picture for item in made.items("test")}
    assert shows["read/t1"] is None
    assert shows["seen/test0"].digest != shows["seen/test1"].digest
    assert all(item.picture == shows[item.id] for item in made.items("test"))


def test_a_picture_that_one_task_searches_on_is_not_tested_by_another(items):
    first = shown()
    images = {"search": png("navy"), "select": png("teal"), "test": first["search"][1]["image"]}
    second = {part: [{**first[part][0], "image": image}] for part, image in images.items()}
    tasks = {
        name: lambda rows=rows: Generation(
            name="t", items=items(**rows), prompt="<image>{question}", judge="rougel"
        )
        for name, rows in (("a", first), ("b", second))
    }
    with pytest.raises(ConfigError, match="b/test0 of the test part shows the same picture as a/s"):
        Suite(name="both", tasks=tasks)


def test_limits_may_be_on_rouge_under_a_language_rule(items):
    def make():
        return Generation(
            name="t",
            items=items(**shown()),
            prompt="<image>{question}",
            judge="rougel",
            language={"rule": "script"},
        )

    assert Suite(name="s", tasks={"t": make}, least={"t": 0.5}).least == {"t": 0.5}

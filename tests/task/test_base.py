import pytest

from evoforge.errors import ConfigError
from evoforge.task.base import Item, Task
from evoforge.task.leaks import normalized
from evoforge.task.request import Context, Generate, Response


class Toy(Task):
    """Scores the length of an answer."""

    metric, higher_is_better = "length", False
    settings = {"kind": "toy"}  # noqa: RUF012

    def request(self, item):
        return Generate(Context(item.question), 8)

    def score(self, item, response):
        return {"length": float(len(response.text)), "words": float(len(response.text.split()))}


@pytest.fixture
def task(items):
    """Return what makes a task of rows: `task(search=[row, ...])`."""
    return lambda **rows: Toy(name="toy", items=items(**rows))


def row(question="1+1=", name="x1", **changes):
    return {"id": name, "question": question, "answer_number": 2, **changes}


def without(field):
    return {key: value for key, value in row().items() if key != field}


def test_items_of_a_part_keep_their_order(task):
    found = task(search=[row("b", "2"), row("a", "1"), row("c", "3")]).items("search")
    assert [item.id for item in found] == ["2", "1", "3"]


def test_an_item_holds_what_its_row_says(task):
    given = row("1+1=", answers=["2", "two"], level="easy")
    assert task(search=[given]).items("search") == (
        Item("x1", "1+1=", ("2", "two"), 2.0, fields={"level": "easy"}, part="search"),
    )


def test_numbers_as_ids_and_answers_become_texts(task):
    item = task(search=[row(name=7, answers=[2])]).items("search")[0]
    assert (item.id, item.answers) == ("7", ("2",))


@pytest.mark.parametrize("given", [{"answers": ["2"]}, {"answer_number": 0}])
def test_answers_or_a_number_are_enough(task, given):
    only = {"id": "x1", "question": "1+1=", **given}
    assert len(task(search=[only]).items("search")) == 1


@pytest.mark.parametrize("field", ["id", "question"])
def test_a_missing_field_names_part_and_task(task, field):
    with pytest.raises(ConfigError, match=rf"an item of the select part of toy has no {field}"):
        task(select=[without(field)])


@pytest.mark.parametrize("given", [{}, {"answers": []}, {"answer_number": None}])
def test_an_item_without_any_answer_is_named(task, given):
    with pytest.raises(
        ConfigError, match="x1 of toy has none of answers, answer_number and choices"
    ):
        task(test=[{**without("answer_number"), **given}])


@pytest.mark.parametrize("part", ["search", "select", "test"])
def test_an_empty_part_is_named_with_what_to_set(task, part):
    with pytest.raises(ConfigError, match=rf"the {part} part of toy has no items; set task\.items"):
        task(**{part: []})


def test_two_items_of_one_id_are_refused(task):
    with pytest.raises(
        ConfigError, match="two items of toy have the id x1, in the test part and in"
    ):
        task(test=[row("1+5="), row("1+6=")])


@pytest.mark.parametrize(
    "same",
    [
        "Tom has 12 apples.",
        "tom HAS 12 Apples.",
        "Tom  has\n12 apples. ",
        "Tomhas12apples.",
        "Ｔｏｍ　ｈａｓ　１２　ａｐｐｌｅｓ．",
    ],
)
def test_one_question_in_two_parts_is_refused_however_it_is_written(task, same):
    with pytest.raises(
        ConfigError, match="y1 of the test part asks the same as x1 of the search part; .*items"
    ):
        task(search=[row("Tom has 12 apples.")], test=[row(same, "y1")])


@pytest.mark.parametrize("parts", [("search", "select"), ("search", "test"), ("select", "test")])
def test_no_two_parts_share_a_question(task, parts):
    first, second = parts
    with pytest.raises(ConfigError, match=f"y1 of the {second} part .* x1 of the {first} part"):
        task(**{first: [row("7+7=")], second: [row("7+7=", "y1")]})


def test_one_question_twice_in_one_part_is_allowed(task):
    assert len(task(search=[row(name="1"), row(name="2")]).items("search")) == 2


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("Ａ b\tC", "abc"), ("ｶﾞ", "ガ"), ("１２　３", "123"), ("Straße", "strasse"), ("が", "が")],
)
def test_normalized_texts_have_one_width_and_case_and_no_spaces(text, wanted):
    assert normalized(text) == wanted


def test_other_numbers_are_other_questions(task):
    assert task(search=[row("1 + 12 =")], test=[row("1 + 21 =", "y1")])


@pytest.mark.parametrize("part", ["search", "select", "test"])
def test_an_item_knows_its_part(task, part):
    assert {item.part for item in task().items(part)} == {part}


def test_choices_come_with_the_place_of_the_right_one(task):
    item = task(search=[{**without("answer_number"), "choices": ["a", 2], "label": 1}])
    assert (item.items("search")[0].choices, item.items("search")[0].label) == (("a", "2"), 1)


@pytest.mark.parametrize("label", [None, -1, 2, "1", True, 1.0])
def test_a_label_that_is_no_place_of_a_choice_is_refused(task, label):
    given = {**without("answer_number"), "choices": ["a", "b"], "label": label}
    with pytest.raises(ConfigError, match="label of the item x1 of toy must be the place of the"):
        task(search=[given])


def test_a_score_is_the_weighted_mean_and_other_metrics_are_means(task):
    toy = task(search=[row(f"{i}", str(i)) for i in range(3)])
    toy.weights = lambda items: (0.5, 0.25, 0.25)
    items = toy.items("search")
    found = [
        toy.score(item, Response(text)) for item, text in zip(items, ["a b", "c", ""], strict=True)
    ]
    verdict = toy.judge(items, found)
    # Lengths 3, 1, 0 with half the weight on the first; words 2, 1, 0.
    assert verdict.score == 1.75
    assert verdict.metrics == {"length": 1.75, "words": 1.0}


@pytest.mark.parametrize(("higher_is_better", "fitness"), [(True, 3.0), (False, -3.0)])
def test_fitness_is_higher_for_better_scores_either_way(task, higher_is_better, fitness):
    toy = task()
    toy.higher_is_better = higher_is_better
    items = toy.items("search")
    assert toy.judge(items, [{"length": 3.0}]).fitness == fitness


@pytest.mark.parametrize("count", [1, 3])
def test_items_weigh_the_same_by_themselves(task, count):
    toy = task(search=[row(f"{i}", str(i)) for i in range(count)])
    assert toy.weights(toy.items("search")) == (1 / count,) * count


def test_what_holds_in_the_search_alone_is_in_its_protocol_alone(task):
    toy = task()
    toy.settings = {"kind": "toy", "search": {"repeats": 4}}
    assert toy.protocol("search") == {"kind": "toy", "search": {"repeats": 4}}
    assert toy.protocol("select") == toy.protocol("test") == {"kind": "toy"}
    assert toy.protocol_hash("search") != toy.protocol_hash("test") == task().protocol_hash("test")


def test_other_choices_make_other_items(task):
    def of(*choices, label=0):
        given = {**without("answer_number"), "choices": list(choices), "label": label}
        return task(search=[given]).items_hash

    assert len({of("a", "b"), of("a", "c"), of("a", "b", label=1)}) == 3


def test_what_a_prompt_may_name_is_part_of_the_items(task):
    first, other = (task(search=[{**row("1", "a"), "context": text}]) for text in ("b", "c"))
    assert first.items_hash != other.items_hash

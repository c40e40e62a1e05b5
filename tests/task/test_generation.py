import json

import pytest

from evoforge.config import build
from evoforge.errors import ConfigError
from evoforge.task.base import Item
from evoforge.task.generation import Generation
from evoforge.task.request import Context, Generate, Response, Stops
from evoforge.task.text_scoring import TextScoring

JAPANESE = {"code": "ja", "rule": "script"}
OPTIONS = {
    "name": "sums",
    "prompt": "Q: {question}\nA:",
    "max_new_tokens": 16,
    "stop": ["\n"],
    "extraction": "robust",
    "language": JAPANESE,
}
ITEM = Item("x", "1+1=", answer_number=18.0)
SHOTS = [
    {"question": "5+5=", "answer_number": 10, "solution": "It is 10."},
    {"question": "6+6=", "answer_number": 12, "solution": "It is 12."},
]
TEXTS = {
    part: [{"id": part, "question": f"{part}?", "answers": ["東京", "東京都"]}]
    for part in ("search", "select", "test")
}


@pytest.fixture
def task(items):
    """Return a maker of tasks over toy items: `task(stop=[])`."""

    def make(rows=None, **changes):
        return Generation(items=items(**(rows or {})), **{**OPTIONS, **changes})

    return make


@pytest.fixture
def texts(task):
    """Return a maker of tasks that are judged by text."""

    def make(**changes):
        return task(TEXTS, **{"judge": "exact_match", "language": None, **changes})

    return make


def scored(task, text, reason="end", item=ITEM):
    return task.score(item, Response(text, tokens=len(text), reason=reason))


def test_the_request_continues_the_prompt_with_the_question(task):
    assert task().request(ITEM) == Generate(Context("Q: 1+1=\nA:"), 16, Stops(("\n",)))


def test_braces_that_name_nothing_are_left_alone(task):
    item = Item("x", "{question} of {x}", answer_number=1.0)
    made = task(prompt='{"a": {}, { b }} {question}')
    assert made.request(item).context.text == '{"a": {}, { b }} {question} of {x}'


def test_other_fields_may_stand_in_the_prompt(items):
    rows = {
        part: [{"id": part, "question": f"{part}?", "answer_number": 1, "context": "So."}]
        for part in ("search", "select", "test")
    }
    made = Generation(name="t", items=items(**rows), prompt="{context} {question}")
    assert made.request(made.items("test")[0]).context.text == "So. test?"


def test_a_prompt_copied_from_the_paper_may_say_input(task):
    assert task(prompt="Q: {input}").request(ITEM).context.text == "Q: 1+1="


@pytest.mark.parametrize(
    "prompt", ["", "Q:", "{question} {question}", "{ question }", "{input} {input}"]
)
def test_a_prompt_without_one_question_names_the_option(task, prompt):
    with pytest.raises(ConfigError, match=r"hold \{question\} once, got .*; set task\.prompt"):
        task(prompt=prompt)


def test_a_prompt_that_names_what_items_lack_is_refused(task):
    with pytest.raises(ConfigError, match=r"prompt names \{contxt\}, which the item s1 does not"):
        task(prompt="{contxt} {question}")


@pytest.mark.parametrize("name", ["answer", "answers", "answer_number", "solution", "label"])
def test_a_prompt_that_gives_the_answer_away_is_refused(task, name):
    with pytest.raises(ConfigError, match=rf"prompt names \{{{name}\}}, which gives the answer aw"):
        task(prompt=f"{{question}} {{{name}}}")


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_an_answer_has_at_least_one_token(task, count):
    with pytest.raises(ConfigError, match=rf"at least 1, got {count}; set task\.max_new_tokens"):
        task(max_new_tokens=count)


def test_an_unknown_extraction_answers_with_the_choices(task):
    with pytest.raises(
        ConfigError,
        match=r"one of robust, continental, sakana, integer, got last; set task\.extraction",
    ):
        task(extraction="last")


def test_an_unknown_judge_answers_with_the_choices(task):
    with pytest.raises(ConfigError, match=r"number, exact_match, rouge2, rougel, got bleu; set ta"):
        task(judge="bleu")


def test_an_unknown_language_option_answers_with_the_options(task):
    with pytest.raises(
        ConfigError, match=r"options code, rule, threshold, at_least, got name; set task\.language"
    ):
        task(language={"name": "ja"})


def test_an_item_without_a_number_is_named(task):
    rows = {"test": [{"id": "t9", "question": "Who?", "answers": ["I"]}]}
    with pytest.raises(ConfigError, match="the item t9 of sums has no answer_number"):
        task(rows)


@pytest.mark.parametrize("judge", ["exact_match", "rouge2", "rougel"])
def test_an_item_without_answers_is_named(task, judge):
    with pytest.raises(ConfigError, match="the item s1 of sums has no answers"):
        task(judge=judge)


@pytest.mark.parametrize(
    ("answer", "acc", "lang"),
    [
        ("答えは18です。", 1, 1),
        ("答えは17です。", 0, 1),
        ("The answer is 18.", 1, 0),
        ("The answer is 17.", 0, 0),
        ("答えは十八です。", 0, 1),
        ("", 0, 0),
    ],
)
def test_metrics_of_an_answer_by_hand(task, answer, acc, lang):
    found = scored(task(), answer)
    assert found == {
        "acc": acc,
        "lang": lang,
        "acc_lang": acc * lang,
        "comma": 0,
        "over_length": 0,
    }


def test_without_a_language_rule_the_number_alone_counts(task):
    plain = task(language=None)
    assert plain.metric == "acc"
    found = scored(plain, "The answer is 18.")
    assert found == {"acc": 1, "comma": 0, "over_length": 0}


def test_with_a_language_rule_both_together_count(task):
    assert task().metric == "acc_lang"
    assert task().higher_is_better


@pytest.mark.parametrize(("extraction", "acc"), [("robust", 0), ("sakana", 1), ("integer", 0)])
def test_the_extraction_decides_what_is_right(task, extraction, acc):
    # The published evaluator reads 18 in 1,018.
    assert scored(task(extraction=extraction, language=None), "1,018円")["acc"] == acc


@pytest.mark.parametrize(("answer", "comma"), [("1,018円", 1), ("-18", 1), ("1018円", 0), ("", 0)])
def test_answers_whose_number_hangs_on_the_reading_are_counted(task, answer, comma):
    assert scored(task(), answer)["comma"] == comma


@pytest.mark.parametrize(
    ("reason", "over"), [("length", 1), ("end", 0), ("stop", 0), ("repeats", 0)]
)
def test_answers_that_came_to_the_limit_are_counted(task, reason, over):
    assert scored(task(), "18", reason)["over_length"] == over


def test_answers_that_are_meant_to_come_to_the_limit_are_not_counted(texts):
    made = texts(gold_length_plus=0)
    assert "over_length" in texts().score(made.items("test")[0], Response("東京"))
    assert made.score(made.items("test")[0], Response("東京")) == {"exact_match": 1}


@pytest.mark.parametrize(
    ("answer", "right"), [("東京都", 1), (" 東京 \n", 1), ("東京です", 0), ("", 0)]
)
def test_a_text_is_right_if_it_is_any_gold_answer(texts, answer, right):
    made = texts()
    found = scored(made, answer, item=made.items("test")[0])
    assert made.metric == "exact_match"
    assert found["exact_match"] == right


def test_rouge_is_the_best_over_the_gold_answers(texts):
    made = texts(judge="rougel")
    # 2 of 3 and 2 of 3 characters are common with 東京都, 2 of 2 and 2 of 3 with 東京.
    assert scored(made, "東京は", item=made.items("test")[0])["rougel"] == pytest.approx(0.8)


def test_rouge_over_the_models_tokens_takes_its_tokenizer(texts):
    class Pairs:
        def tokenize(self, text):
            return [text[i : i + 2] for i in range(0, len(text), 2)]

    made = texts(judge="rougel", tokens="model")
    item = made.items("test")[0]
    with pytest.raises(ConfigError, match="call prepare"):
        scored(made, "東京は", item=item)
    made.prepare(Pairs())
    # 東京|は has one of its two tokens from 東京, or from 東京|都.
    assert scored(made, "東京は", item=item)["rougel"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("gold", "answer", "score"), [("ひらがな", "UFO", 0), ("UFO", "UFO", 1)])
def test_a_text_need_not_be_japanese_where_the_gold_text_is_not(texts, gold, answer, score):
    made = texts(language=JAPANESE, judge="exact_match")
    item = Item("x", "?", answers=(gold,))
    assert made.metric == "exact_match_lang"
    assert scored(made, answer, item=item)["exact_match_lang"] == score


def test_a_gold_length_caps_the_answer(texts):
    made = texts(gold_length_plus=10)
    request = made.request(made.items("test")[0])
    assert (request.no_longer_than, request.slack) == (("東京", "東京都"), 10)


def test_a_gold_length_needs_gold_answers(task):
    with pytest.raises(ConfigError, match="s1 of sums has no answers, which gold_length_plus nee"):
        task(gold_length_plus=0)


def test_search_stops_hold_in_the_search_alone(task):
    early = {"repeats": 4, "phrase": "答えは", "max_new_tokens": 8}
    made = task(search_stops=early)
    requests = {part: made.request(made.items(part)[0]) for part in ("search", "select", "test")}
    assert requests["search"].stops == Stops(("\n",), 4, "答えは")
    assert requests["search"].max_new_tokens == 8
    for part in ("select", "test"):
        assert requests[part].stops == Stops(("\n",))
        assert requests[part].max_new_tokens == 16
    assert made.protocol("search")["search"] == early
    assert made.protocol("test") == task().protocol("test")
    assert made.protocol_hash("search") != made.protocol_hash("test")


def test_search_stops_never_make_answers_longer(task):
    made = task(search_stops={"max_new_tokens": 99})
    assert made.request(made.items("search")[0]).max_new_tokens == 16


@pytest.mark.parametrize(
    ("early", "message"),
    [
        ({"repeat": 3}, r"options repeats, phrase, max_new_tokens, got repeat; set task\.search_s"),
        ({"repeats": 1}, r"repeats must be at least 2, got 1; set task\.search_stops\.repeats"),
        ({"max_new_tokens": 0}, r"at least 1, got 0; set task\.search_stops\.max_new_tokens"),
        ({"phrase": "("}, r"phrase must be a regular expression, got '\(' .*; set task\.search_st"),
        ({"phrase": 3}, r"phrase must be a regular expression, got 3"),
    ],
)
def test_search_stops_that_make_no_sense_name_the_option(task, early, message):
    with pytest.raises(ConfigError, match=message):
        task(search_stops=early)


def test_shots_stand_before_the_prompt_and_may_go_from_the_first_on(task):
    made = task(shots={"count": 2, "draw": "first", "rows": SHOTS, "answer": " {solution}"})
    context = made.request(made.items("test")[0]).context
    assert context.pieces == ("Q: 5+5=\nA: It is 10.\n\n", "Q: 6+6=\nA: It is 12.\n\n")
    assert (context.drop, context.tail) == ("first", "Q: 1+3=\nA:")
    assert context.shorter().text == "Q: 6+6=\nA: It is 12.\n\nQ: 1+3=\nA:"


def test_shots_answer_with_the_gold_answer_by_themselves(task):
    made = task(shots={"count": 1, "draw": "first", "rows": SHOTS})
    assert made.request(made.items("test")[0]).context.pieces == ("Q: 5+5=\nA:10\n\n",)


def test_a_chat_has_the_description_as_system_message(task):
    made = task(
        chat=True, description="Add.\n\n", shots={"count": 1, "draw": "first", "rows": SHOTS}
    )
    context = made.request(made.items("test")[0]).context
    assert [(m["role"], m["content"]) for m in context.messages] == [
        ("system", "Add."),
        ("user", "Q: 5+5=\nA:"),
        ("assistant", "10"),
        ("user", "Q: 1+3=\nA:"),
    ]


def test_shots_of_a_chat_go_from_the_first_on_too(task):
    shots = {"count": 2, "draw": "first", "rows": SHOTS}
    made = task(chat=True, description="Add.", shots=shots)
    context = made.request(made.items("test")[0]).context
    one = context.shorter()
    assert [m["content"] for m in one.messages] == ["Add.", "Q: 6+6=\nA:", "12", "Q: 1+3=\nA:"]
    assert [m["content"] for m in one.shorter().messages] == ["Add.", "Q: 1+3=\nA:"]
    assert one.shorter().shorter() is None
    refused = task(chat=True, too_long="refuse", shots=shots)
    assert refused.request(refused.items("test")[0]).context.shorter() is None


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("description", 5, r"description must be a text, got 5; set task\.description"),
        ("chat", "yes", r"chat must be true or false, got 'yes'; set task\.chat"),
        ("special_tokens", "x", r"special_tokens must be true or false, got 'x'; set task\.spec"),
        ("language", "ja", r"language must be a mapping .*, got 'ja'; set task\.language"),
        ("search_stops", "x", r"search_stops must be a mapping .*, got 'x'; set task\.search_s"),
        ("stop", ["\\n"], r"stop holds a backslash and an n where a line should end"),
        ("description", "Add.\\n", r"description holds a backslash and an n"),
        ("stop", 5, r"stop must be a list of texts .*, got 5; set task\.stop"),
        ("shots", 3, r"shots must be a mapping or null, got 3; set task\.shots"),
        (
            "shots",
            {"count": 1, "rows": SHOTS, "answer": None},
            r"shots\.answer must be a text, got",
        ),
        ("proxy", 5, r"proxy must be a text, got 5; set task\.proxy"),
        ("protocol", ["robust"], r"protocol must be one of robust, .*; set task\.protocol"),
    ],
)
def test_values_of_another_kind_are_named(task, option, value, message):
    with pytest.raises(ConfigError, match=message):
        task(**{option: value})


def test_a_question_may_have_a_layout(task):
    assert task(prompt="Q: {question:after_sep}\nA:").items("test")


def test_what_stops_no_answer_sooner_is_no_other_protocol(task):
    plain, later = (
        task(max_new_tokens=8),
        task(max_new_tokens=8, search_stops={"max_new_tokens": 8}),
    )
    assert later.protocol_hash("search") == plain.protocol_hash("search")
    sooner = task(max_new_tokens=8, search_stops={"max_new_tokens": 7})
    assert sooner.protocol_hash("search") != plain.protocol_hash("search")


def test_a_chat_needs_a_tokenizer_with_a_template(task):
    class Plain:
        chat_template = None

    with pytest.raises(ConfigError, match=r"has a chat template, and this one .*set task\.chat=fa"):
        task(chat=True).prepare(Plain())
    task().prepare(Plain())


def test_the_proxy_asks_how_likely_a_gold_text_is_after_the_same_prompts(task):
    made = task(
        proxy="答えは{answer_number}です。",
        shots={"count": 1, "rows": SHOTS, "answer": " {solution}"},
    )
    proxy = made.proxy
    assert isinstance(proxy, TextScoring)
    for part in ("search", "select", "test"):
        assert proxy.items(part) == made.items(part)
        for item in made.items(part):
            assert proxy.request(item).context == made.request(item).context
    assert proxy.request(made.items("test")[0]).continuations == ("答えは4です。",)
    assert proxy.protocol_hash("search") != made.protocol_hash("search")


def test_there_is_no_proxy_unless_it_is_named(task):
    assert task().proxy is None


def test_a_proxy_that_items_cannot_fill_is_refused(task):
    with pytest.raises(
        ConfigError, match=r"proxy names \{solution\}, .* the item s1 .*task\.proxy"
    ):
        task(proxy="{solution}")
    with pytest.raises(ConfigError, match=r"proxy must be a text .* not empty.*set task\.proxy"):
        task(proxy="")


def test_an_option_that_is_null_is_the_protocols(task):
    made = task(protocol="sakana", max_new_tokens=None, stop=None, extraction=None, language=None)
    assert made.request(ITEM).max_new_tokens == 1024
    assert made.settings["stop"] == ["Instruction:", "Instruction", "Response:", "Response"]
    assert made.settings["extraction"] == "sakana"
    assert made.settings["language"]["rule"] == "fasttext"
    assert (made.settings["protocol"], made.settings["protocol_changed"]) == ("sakana", [])


def test_an_option_that_is_given_stands_and_is_told(task):
    made = task(protocol="sakana", stop=None, extraction="robust", language={"rule": "fasttext"})
    assert made.settings["protocol_changed"] == ["extraction", "max_new_tokens"]
    assert made.settings["max_new_tokens"] == 16


def test_an_unknown_protocol_answers_with_the_choices(task):
    with pytest.raises(
        ConfigError, match=r"one of robust, sakana, sakana_vlm, jp_stable, got paper; set task"
    ):
        task(protocol="paper")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "products"},
        {"prompt": "Q: {question} A:"},
        {"description": "Add.\n"},
        {"shots": {"count": 0}},
        {"shots": {"count": 1, "rows": SHOTS}},
        {"chat": True},
        {"special_tokens": False},
        {"too_long": "cut"},
        {"max_new_tokens": 17},
        {"stop": []},
        {"stop": ["\n", "Q:"]},
        {"extraction": "sakana"},
        {"language": None},
        {"language": {"rule": "both"}},
        {"language": {"rule": "fasttext"}},
        {"language": {"rule": "fasttext", "threshold": 0.6}},
        {"language": {"rule": "fasttext", "code": "en"}},
    ],
)
def test_every_field_of_the_protocol_changes_its_hash(task, change):
    assert task(**change).protocol_hash("test") != task().protocol_hash("test")


@pytest.mark.parametrize(
    "change",
    [
        {"judge": "rougel"},
        {"judge": "rouge2"},
        {"judge": "rougel", "tokens": "model"},
        {"gold_length_plus": 0},
        {"gold_length_plus": 1},
    ],
)
def test_how_texts_are_judged_changes_the_hash(texts, change):
    others = [texts(), texts(judge="rougel", tokens="char") if "tokens" in change else texts()]
    assert texts(**change).protocol_hash("test") not in [o.protocol_hash("test") for o in others]


def test_the_settings_are_json(task):
    made = task(shots={"count": 1, "rows": SHOTS}, search_stops={"repeats": 3})
    assert json.loads(json.dumps(made.settings)) == made.settings


def test_every_option_but_the_items_is_in_the_protocol(task):
    assert set(OPTIONS) - {"name"} < set(task().protocol("test"))
    assert task().protocol("test")["task"] == "sums"


def test_the_items_are_not_in_the_protocol(task):
    rows = {"test": [{"id": "t9", "question": "9+9=", "answer_number": 18}]}
    assert task(rows).protocol_hash("test") == task().protocol_hash("test")


def test_the_kind_of_a_list_does_not_matter(task):
    assert task(stop=("\n",)).protocol_hash("test") == task(stop=["\n"]).protocol_hash("test")


def test_the_bundled_task_gives_a_point_for_a_right_japanese_answer(compose):
    bundled = build(compose("task=bundled_math_ja")["task"], "task")
    item = bundled.items("test")[0]
    found = scored(bundled, f"答えは{item.answer_number:g}です。", item=item)
    assert (found["acc"], found["lang"], found["acc_lang"]) == (1, 1, 1)
    request = bundled.request(item)
    assert request.context == Context(f"質問: {item.question}\n答え:")
    assert (request.max_new_tokens, request.stops) == (48, Stops())


def test_answers_may_be_searched_by_beams_with_a_penalty(texts):
    request = texts(beams=3, repetition_penalty=1.2).request(texts().items("test")[0])
    assert (request.beams, request.repetition_penalty) == (3, 1.2)
    settings = texts(beams=3, repetition_penalty=1.2).settings
    assert settings["decoding"] == "beams"
    assert (settings["beams"], settings["repetition_penalty"]) == (3, 1.2)


def test_by_itself_an_answer_is_greedy(task):
    request = task().request(ITEM)
    assert (request.beams, request.repetition_penalty) == (1, 1.0)
    assert task().settings["decoding"] == "greedy"
    assert not {"beams", "repetition_penalty"} & set(task().settings)


@pytest.mark.parametrize("change", [{"beams": 2}, {"repetition_penalty": 1.1}])
def test_how_answers_are_searched_changes_the_hash(task, change):
    assert task(**change).protocol_hash("test") != task().protocol_hash("test")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("beams", 0, r"beams must be at least 1, got 0; set task\.beams"),
        ("beams", 1.5, r"beams must be at least 1, got 1\.5; set task\.beams"),
        ("repetition_penalty", 0, r"must be a number above 0, got 0; set task\.repetition_penalty"),
        ("repetition_penalty", float("inf"), "must be a number above 0, got inf"),
        ("repetition_penalty", "high", "must be a number above 0, got 'high'"),
        ("repetition_penalty", True, "must be a number above 0, got True"),
    ],
)
def test_beams_and_penalty_are_checked(task, option, value, message):
    with pytest.raises(ConfigError, match=message):
        task(**{option: value})


def test_items_are_read_once_though_the_proxy_has_them_too(items):
    asked = []

    class Counted:
        def rows(self, part):
            asked.append(part)
            return items().rows(part)

    Generation(name="t", items=Counted(), prompt="{question}", proxy="{answer_number}")
    assert asked == ["search", "select", "test"]


class Chatty:
    def __init__(self, template):
        self.chat_template = template


def test_a_chats_template_is_part_of_its_protocol(task):
    first, same, other = (task(chat=True) for _ in range(3))
    before = first.protocol_hash("test")
    first.prepare(Chatty("a"))
    same.prepare(Chatty("a"))
    other.prepare(Chatty("b"))
    hashes = [each.protocol_hash("test") for each in (first, same, other)]
    assert before != hashes[0] == hashes[1] != hashes[2]
    assert len(first.settings["chat_template"]) == len(before)


def test_what_is_no_chat_has_no_template(task):
    made = task()
    before = made.protocol_hash("test")
    made.prepare(Chatty("a"))
    assert made.protocol_hash("test") == before

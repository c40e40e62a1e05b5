"""What tasks ask, in tokens: pico's tokenizer has one token a character."""

import pytest

from evoforge.errors import ConfigError
from evoforge.evaluator._encode import Encoder
from evoforge.evaluator._tokens import Question
from evoforge.task.request import Compare, Context, Generate, Stops
from tests.conftest import pico_tokenizer

END = 1


@pytest.fixture(scope="module")
def tokenizer():
    return pico_tokenizer()


@pytest.fixture
def encode(tokenizer):
    def make(request, window=None):
        return Encoder(tokenizer, end=END, window=window).encode("the-item", request)

    return make


@pytest.fixture
def tokens(tokenizer):
    return lambda text: tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def test_a_prompt_is_the_context_with_its_limit(encode, tokens):
    found = encode(Generate(Context("1+1="), 7))
    assert found.prompt.tokens == found.context == tokens("1+1=")
    assert (found.prompt.limit, found.prompt.over) == (7, None)


def test_stops_become_a_rule_that_also_cuts_the_text(encode, tokens):
    found = encode(Generate(Context("1+1="), 7, Stops(("0",))))
    assert found.prompt.over(tokens("120")) == "stop"
    assert found.rule.cut("120") == "12"


def test_an_answer_may_be_held_to_the_longest_gold_text(encode):
    request = Generate(Context("1+1="), 7, no_longer_than=("1", "123"), slack=1)
    assert encode(request).prompt.limit == 4


def test_the_limit_stays_where_gold_texts_are_longer(encode):
    assert encode(Generate(Context("1+1="), 2, no_longer_than=("12345",))).prompt.limit == 2


def test_pieces_leave_from_the_front_until_the_prompt_fits(encode, tokens):
    context = Context("1+1=", head="9", pieces=("2", "3", "4"), drop="first")
    assert encode(Generate(context, 4), window=10).context == tokens("941+1=")


def test_pieces_leave_from_the_end_where_that_is_asked(encode, tokens):
    context = Context("1+1=", head="9", pieces=("2", "3", "4"), drop="last")
    assert encode(Generate(context, 4), window=10).context == tokens("921+1=")


def test_what_is_still_too_long_is_cut_on_the_left_where_that_is_asked(encode, tokens):
    context = Context("1+1=", pieces=("2",), drop="first", cut=True)
    assert encode(Generate(context, 1), window=4).context == tokens("+1=")


def test_an_answer_takes_at_most_a_quarter_of_the_window_from_its_question(encode, tokens):
    found = encode(Generate(Context("12+1=", cut=True), 512), window=4)
    assert (found.context, found.prompt.limit) == (tokens("+1="), 1)


def test_what_cannot_be_shorter_leaves_less_for_the_answer(tokenizer):
    encoder = Encoder(tokenizer, end=END, window=6)
    found = encoder.encode("the-item", Generate(Context("1+1="), 4))
    assert (len(found.prompt.tokens), found.prompt.limit) == (4, 2)
    assert encoder.shortened == {"the-item"}


def test_a_prompt_that_leaves_nothing_names_the_item_and_the_options(encode):
    message = "the prompt of the-item has 4 tokens, and models read 4; set task.too_long"
    with pytest.raises(ConfigError, match=message):
        encode(Generate(Context("1+1="), 4), window=4)


def test_continuations_share_their_context(encode, tokens):
    found = encode(Compare(Context("1+1="), ("1", "23")))
    assert found.questions == (Question(tokens("1+1="), (tokens("1"), tokens("23"))),)


def test_without_a_context_the_end_token_stands_there(encode, tokens):
    found = encode(Compare(Context(), ("1", "23"), separate=True))
    assert found.questions == (Question((END,), (tokens("1"), tokens("23"))),)


def test_a_continuation_that_is_too_long_costs_the_context_its_pieces(encode, tokens):
    context = Context("1+1=", pieces=("2", "3"), drop="first")
    for separate in (True, False):
        found = encode(Compare(context, ("1", "234"), separate=separate), window=8)
        assert found.context == tokens("31+1=")


def test_continuations_that_are_too_long_cut_the_context_on_the_left(encode, tokens):
    found = encode(Compare(Context("1+1=", cut=True), ("1", "234")), window=5)
    assert found.context == tokens("1=")


def test_continuations_that_do_not_fit_name_the_item(encode):
    with pytest.raises(ConfigError, match=r"the prompt of the-item has 7 tokens .* read 6; set"):
        encode(Compare(Context("1+1="), ("1", "234")), window=6)


def test_a_continuation_without_tokens_is_refused(encode):
    with pytest.raises(ConfigError, match="a continuation of the item the-item has no tokens"):
        encode(Compare(Context("1+1="), ("",)))


def test_tokens_that_span_the_border_belong_to_the_continuation():
    """As in lm-eval: the white space at the end of a context moves."""
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"a": 0, "▁b": 1, "▁": 2, "b": 3, "</s>": 4}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_words(vocabulary), eos_token="</s>")
    found = Encoder(tokenizer, end=4, window=None).encode("i", Compare(Context("a "), ("b",)))
    assert found.questions == (Question((0,), ((1,),)),)
    apart = Encoder(tokenizer, end=4, window=None)
    asked = Compare(Context("a "), ("b",), separate=True)
    assert apart.encode("i", asked).questions == (Question((0, 2), ((3,),)),)


def _words(vocabulary):
    from tokenizers import Tokenizer, models, pre_tokenizers

    merges = [("▁", "b")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    return tokenizer


def test_a_chat_goes_through_the_template(tokenizer, tokens):
    tokenizer = pico_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}={% endfor %}"
    messages = ({"role": "user", "content": "1+1"},)
    found = Encoder(tokenizer, end=END, window=None).encode(
        "i", Generate(Context(messages=messages), 4)
    )
    assert found.context == tokens("1+1=")


def chat_tokenizer(template="{% for m in messages %}{{ m['content'] }}={% endfor %}"):
    tokenizer = pico_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def asked_in_chat(*contents, drop="first"):
    roles = ("user", "assistant") * len(contents)
    messages = tuple(
        {"role": role, "content": content} for role, content in zip(roles, contents, strict=False)
    )
    return Generate(Context(messages=messages, drop=drop), 4)


def test_a_chat_that_is_too_long_loses_its_first_shots(tokens):
    encoder = Encoder(chat_tokenizer(), end=END, window=10)
    found = encoder.encode("i", asked_in_chat("1+1", "2", "3+1", "4", "5+1"))
    assert found.context == tokens("5+1=")


def test_a_chat_that_cannot_be_shortened_is_told_what_helps():
    encoder = Encoder(chat_tokenizer(), end=END, window=3)
    with pytest.raises(ConfigError, match=r"; set task\.shots to fewer, task\.prompt, or task\.it"):
        encoder.encode("i", asked_in_chat("1+1+1+1"))


def test_a_template_that_refuses_messages_is_quoted():
    encoder = Encoder(
        chat_tokenizer("{{ raise_exception('no system role') }}"), end=END, window=None
    )
    request = asked_in_chat("1+1")
    assert not encoder.surely_fits(request)
    with pytest.raises(ConfigError, match=r"refuses .*no system role.*; set task\.description=''"):
        encoder.encode("i", request)


def test_options_are_named_in_the_task_of_a_suite(tokenizer):
    encoder = Encoder(tokenizer, end=END, window=3)
    with pytest.raises(
        ConfigError, match=r"set task\.tasks\.a\.too_long=cut .*, task\.tasks\.a\.prompt, or"
    ):
        encoder.encode("a/i", Generate(Context("1+1="), 1), "task.tasks.a")


def test_what_surely_fits_is_never_refused(tokenizer, tokens):
    asked = [Generate(Context("1+1=" * n), 10) for n in range(1, 12)] + [
        Compare(Context("1+1=" * n), ("1", "234")) for n in range(1, 12)
    ]
    encoder = Encoder(tokenizer, end=END, window=50)
    sure = [request for request in asked if encoder.surely_fits(request)]
    for request in sure:
        encoder.encode("i", request)
    assert 0 < len(sure) < len(asked)
    assert not encoder.shortened

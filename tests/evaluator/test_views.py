"""Requests that show pictures, in tokens: what the models' own processors make of them."""

from io import BytesIO

import pytest
import torch
import transformers
from PIL import Image

from evoforge.errors import ConfigError
from evoforge.evaluator._encode import Encoder
from evoforge.evaluator._views import UnseenError, Views
from evoforge.task.picture import Picture
from evoforge.task.request import Compare, Context, Generate
from tests.evaluator.conftest import pictures
from tests.vlms import FAMILIES, IDS, MARKERS, vlm_tokenizer

SHOWN = pictures(6)


def asked(text, shown=SHOWN[0], **more):
    return Generate(Context(text, **more), 4, picture=shown)


def chat(*contents):
    roles = ("user", "assistant") * len(contents)
    return tuple({"role": r, "content": c} for r, c in zip(roles, contents, strict=False))


def broken(shown=SHOWN[0]):
    """Return a picture that begins like one and does not go on."""
    return Picture("broken", "broken.png", lambda: shown.read()[:200])


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_and_numbers_are_those_of_the_processor(seer, family):
    seer = seer(family)
    for shown in SHOWN:
        prompt = seer.encoder().encode("i", asked("ab<image>\ncd", shown)).prompt
        wanted = seer.inputs("ab<image>\ncd", shown)
        assert prompt.tokens == tuple(wanted.pop("input_ids")[0].tolist())
        del wanted["attention_mask"]
        found = {**prompt.sight.inputs, **prompt.sight.pixels()}
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "smolvlm"])
def test_a_picture_s_tokens_are_known_before_it_is_decoded(seer, family):
    views = seer(family).views
    for shown in SHOWN:
        # Some processors do not count what they put around a picture, of which there is little.
        upright = Picture.of(shown.image().transpose(Image.Transpose.ROTATE_90), "upright")
        most = max(len(views.of(one).tokens) for one in (shown, upright))
        assert 0 <= most - views.most_tokens(shown) <= 6
        assert views.most_tokens(broken(shown)) == views.most_tokens(shown)


@pytest.mark.parametrize("family", ["llava_next", "idefics3"])
@pytest.mark.parametrize("size", [(60, 20), (20, 60)])
def test_a_picture_that_is_turned_takes_no_more_tokens_than_it_was_said_to(seer, family, size):
    exif, out = Image.Exif(), BytesIO()
    exif[0x0112] = 6  # by a quarter
    Image.new("RGB", size).save(out, "PNG", exif=exif)
    shown = Picture.of(out.getvalue(), "turned")
    views = seer(family).views
    assert len(views.of(shown).tokens) <= views.most_tokens(shown)


def test_a_class_that_takes_no_features_from_outside_is_refused(seer, monkeypatch):
    pool = seer("llava").pool
    monkeypatch.delattr(transformers.LlavaModel, "get_image_features")
    with pytest.raises(ConfigError, match="LlavaForConditionalGeneration takes of a picture more "):
        Views(pool)


def test_a_processor_that_cannot_say_how_many_tokens_a_picture_takes_is_not_asked(seer):
    assert seer("smolvlm").views.most_tokens(SHOWN[0]) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_in_a_chat_a_picture_goes_where_its_marker_is(seer, family):
    seer = seer(family)
    messages = chat("what?", "this", "and <image> there?")
    request = Generate(Context(messages=messages), 4, picture=SHOWN[0])
    marker = MARKERS[family]
    wanted = f"user: what?assistant: thisuser: and {marker} there?答え:"
    found = seer.encoder().encode("i", request)
    plain = seer.encoder().encode("i", asked(wanted.replace(marker, "<image>")))
    assert found.context == plain.context
    assert found.sight is not None


TEMPLATES = {
    "parts alone": "{% for m in messages %}{% for p in m['content'] %}{% if p['type'] == 'image' %}"
    "<image>{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endfor %}",
    "texts alone": "{% for m in messages %}{{ m['content'] + '' }}{% endfor %}",
    "texts as Python": "{% for m in messages %}{{ m['content'] }}{% endfor %}",
}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_templates_get_messages_in_the_form_that_they_know(seer, template):
    seer = seer("llava")
    tokenizer = vlm_tokenizer("llava")
    tokenizer.chat_template = template
    encoder = Encoder(tokenizer, end=1, window=None, views=seer.views)
    for text, shown in (("a<image>b", SHOWN[0]), ("a+b", None)):
        request = Generate(Context(messages=chat(text)), 4, picture=shown)
        plain = Generate(Context(text, special_tokens=False), 4, picture=shown)
        assert encoder.encode("i", request).context == encoder.encode("i", plain).context


def test_a_template_that_loses_the_picture_is_refused(seer):
    tokenizer = vlm_tokenizer("llava")
    tokenizer.chat_template = "{{ messages[0]['role'] }}"
    encoder = Encoder(tokenizer, end=1, window=None, views=seer("llava").views)
    request = Generate(Context(messages=chat("a<image>b")), 4, picture=SHOWN[0])
    with pytest.raises(ConfigError, match=r"does not write all that .* set task\.chat=false"):
        encoder.encode("i", request)


@pytest.mark.parametrize("text", ["nothing", "<image> and <image>"])
@pytest.mark.parametrize("make", [lambda text: Context(text), lambda t: Context(messages=chat(t))])
def test_a_picture_has_one_place(seer, text, make):
    request = Generate(make(text), 4, picture=SHOWN[0])
    with pytest.raises(ConfigError, match=r"the prompt of it shows one picture, and has <image>"):
        seer("llava").encoder().encode("it", request)


@pytest.mark.parametrize(
    ("family", "text"), [("qwen2_vl", "<|image_pad|>"), ("gemma3", "<image_soft_token>")]
)
def test_tokens_for_pictures_in_a_question_are_refused(seer, family, text):
    with pytest.raises(ConfigError, match=r"the prompt of it .*set task\.tasks\.a\.prompt or"):
        seer(family).encoder().encode("it", asked(f"<image> {text}"), "task.tasks.a")


def test_a_choice_shows_no_picture(seer):
    request = Compare(Context("<image>a"), ("b", "<image>"), separate=True, picture=SHOWN[0])
    with pytest.raises(ConfigError, match="a continuation of the item i has a token for a picture"):
        seer("llava").encoder().encode("i", request)


def test_models_that_see_nothing_are_shown_nothing():
    encoder = Encoder(vlm_tokenizer("llava"), end=1, window=None)
    with pytest.raises(ConfigError, match="it shows a picture, and the models see none"):
        encoder.check("it", asked("<image>"))


def test_without_a_picture_its_marker_is_a_text_like_others(seer):
    encoder = seer("qwen2_vl").encoder()
    prompt = encoder.encode("i", Generate(Context("a<image>b"), 4)).prompt
    assert prompt.sight is None
    assert prompt.tokens[1:2] == (IDS["<image>"],)


def test_a_text_before_a_picture_may_be_cut_and_a_picture_may_not(seer):
    seer = seer("qwen2_vl")
    whole = seer.encoder().encode("i", asked("abcdef<image>gh")).context
    assert len(whole) == 14
    request = asked("abcdef<image>gh", cut=True)
    # Of a window of 10 the answer gets a quarter, and the prompt 8 tokens: picture and end.
    assert seer.encoder(10).encode("i", request).context == whole[6:]
    with pytest.raises(
        ConfigError, match=r"of i has 14 tokens \(4 of its picture\), and models read 9"
    ):
        seer.encoder(9).encode("i", request)


def test_of_choices_too_a_picture_is_not_cut(seer):
    seer = seer("llava")
    context = Context("abcdef<image>gh", cut=True)
    request = Compare(context, ("x", "yz"), picture=SHOWN[0])
    whole = seer.encoder().encode("i", request).questions[0]
    assert len(whole.context) == 6 + 16 + 2
    (cut,) = seer.encoder(len(whole.context) - 1).encode("i", request).questions
    assert cut == type(cut)(whole.context[3:], whole.continuations, cut.sight)
    with pytest.raises(ConfigError, match=r"has 26 tokens with its longest continuation \(16 of"):
        seer.encoder(19).encode("i", request)


def test_kinds_of_tokens_are_those_of_what_is_left(seer):
    seer = seer("gemma3")
    context = Context("abcdef<image>gh", cut=True)
    whole = seer.encoder().encode("i", Generate(context, 4, picture=SHOWN[0]))
    cut = seer.encoder(len(whole.context)).encode("i", Generate(context, 4, picture=SHOWN[0]))
    assert len(cut.context) == len(whole.context) - 4
    kinds = whole.sight.inputs["token_type_ids"][:, 4:]
    assert torch.equal(cut.sight.inputs["token_type_ids"], kinds)


def test_choices_after_a_picture_are_read_as_one_text_with_it(seer):
    seer = seer("llava")
    request = Compare(Context("<image> a "), ("b", "cd"), picture=SHOWN[0])
    (found,) = seer.encoder().encode("i", request).questions
    tokens = seer.inputs("<image> a b", SHOWN[0])["input_ids"][0].tolist()
    # The space at the end is the choices'.
    assert (*found.context, *found.continuations[0]) == tuple(tokens)
    assert [len(c) for c in found.continuations] == [2, 3]
    assert found.sight.digest == SHOWN[0].digest


def test_what_fits_with_its_picture_is_known_without_looking(seer, monkeypatch):
    encoder = seer("llava").encoder(120)
    monkeypatch.setattr(Picture, "image", lambda _: pytest.fail("looked"))
    # 16 tokens of the picture, 16 special ones, 4 of the answer, 7 of the marker.
    assert encoder.surely_fits(asked("<image>" + "a" * 77, broken()))
    assert not encoder.surely_fits(asked("<image>" + "a" * 78, broken()))


def test_a_picture_that_does_not_decode_is_no_error_of_the_run(seer, caplog):
    seer = seer("llava")
    encoder = seer.encoder()
    for _ in range(2):
        found = encoder.encode("i", asked("<image>", broken()))
        assert found.fault.startswith("no picture: broken.png does not decode as a picture:")
    assert caplog.text.count("its items get no answer: no picture: broken.png does not") == 1
    with pytest.raises(UnseenError, match="no picture: broken.png"):
        seer.views.of(broken())


def test_a_picture_that_the_processor_does_not_take_is_named(seer, monkeypatch):
    views = Views(seer("llava").pool)

    def refuse(*_, **__):
        raise ValueError("aspect ratio")

    monkeypatch.setattr(type(views.processor), "__call__", refuse)
    with pytest.raises(UnseenError, match="^no picture: picture 0: aspect ratio$"):
        views.of(SHOWN[0])


def test_pictures_are_prepared_once_for_texts_and_tower(seer, monkeypatch):
    seer = seer("llava_next")
    (shown,) = [Picture(f"new {p.digest}", p.where, p.read) for p in SHOWN[:1]]
    made = []
    real = type(seer.views.processor).__call__
    monkeypatch.setattr(
        type(seer.views.processor), "__call__", lambda *a, **k: made.append(1) or real(*a, **k)
    )
    for text in ("<image>a", "<image>b"):
        seer.encoder().encode("i", asked(text, shown)).sight.pixels()
    assert made == [1]

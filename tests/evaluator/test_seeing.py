"""Prompts with pictures, of every family of models, against plain `generate` and plain passes."""

from dataclasses import replace

import pytest
import torch

from evoforge.evaluator import _by_transformers, _decode
from evoforge.evaluator._decode import Decoder
from evoforge.evaluator._likelihood import likelihoods
from evoforge.evaluator._tokens import END as ENDED
from evoforge.evaluator._tokens import LENGTH
from evoforge.task.request import Compare, Context, Generate, Stops
from tests.evaluator.conftest import END, pictures
from tests.vlms import FAMILIES

# The last one shows the same picture as the first.
TEXTS = [
    "ab<image>cd?",
    "the quick<image>? ",
    "<image>hello there",
    "<image>",
    "ab ab ab <image> c=",
]
TEXTS += ["<image>\nabc?"]
SHOWN = [*pictures(5), pictures(1)[0]]
PLAIN = ["abc", "abcd" * 8]


def prompts_of(seer, texts=TEXTS, **more):
    """Return prompts with pictures, and two without."""
    asked = [
        Generate(Context(text), 4 + 3 * (i % 3), picture=shown, **more)
        for i, (text, shown) in enumerate(zip(texts, SHOWN, strict=True))
    ]
    asked += [Generate(Context(text), 6, **more) for text in PLAIN]
    encoder = seer.encoder()
    return [encoder.encode(f"i{i}", request).prompt for i, request in enumerate(asked)]


def decoder(seer, batch_size=4, **more):
    more = {"eyes": seer.eyes(), **more}
    return Decoder(seer.model, ends=[END], pad=2, batch_size=batch_size, **more)


def check_plain(seer, prompts, found, model=None, **options):
    asked = [*zip(TEXTS, SHOWN, strict=True), *((text, None) for text in PLAIN)]
    for (text, shown), prompt, reply in zip(asked[: len(found)], prompts, found, strict=True):
        wanted = seer.plain(text, shown, model, max_new_tokens=prompt.limit, **options)
        assert reply.tokens == wanted, (text, shown)
        assert reply.reason == (LENGTH if len(reply.tokens) == prompt.limit else ENDED)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_those_of_plain_generate(seer, family):
    seer = seer(family)
    prompts = prompts_of(seer)
    check_plain(seer, prompts, decoder(seer).generate(prompts))


@pytest.mark.parametrize(("beams", "penalty"), [(3, 1.0), (1, 1.5), (3, 1.5)])
@pytest.mark.parametrize("family", FAMILIES)
def test_beams_and_penalties_are_those_of_generate(seer, family, beams, penalty):
    seer = seer(family)
    prompts = prompts_of(seer, beams=beams, repetition_penalty=penalty)
    found = decoder(seer, 8).generate(prompts)
    check_plain(seer, prompts, found, num_beams=beams, repetition_penalty=penalty)


@pytest.mark.parametrize("family", FAMILIES)
def test_other_pictures_make_other_answers(seer, family):
    """Of these models; else the tests above would show little."""
    seer = seer(family)
    asked = [Generate(Context(TEXTS[1]), 12, picture=shown) for shown in SHOWN]
    prompts = [seer.encoder().encode("i", request).prompt for request in asked]
    found = decoder(seer).generate(prompts)
    assert found[0] == found[5]
    assert len({reply.tokens for reply in found}) > 2


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_batch_size_does_not_change_answers(seer, batch_size):
    seer = seer("qwen2_vl")
    prompts = prompts_of(seer)
    assert decoder(seer, batch_size).generate(prompts) == decoder(seer).generate(prompts)


@pytest.mark.parametrize("family", FAMILIES)
def test_likelihoods_are_those_of_plain_passes(seer, family):
    seer = seer(family)
    asked = [
        Compare(Context(text), continuations, separate=True, picture=shown)
        for text, shown, continuations in zip(
            TEXTS, SHOWN, [("ab", "c", "dad"), ("no",), ("a", "b")] * 2, strict=True
        )
    ]
    asked.append(Compare(Context("plain"), ("ab", "c"), separate=True))
    encoder = seer.encoder()
    questions = [question for one in asked for question in encoder.encode("i", one).questions]
    found = likelihoods(seer.model, questions, pad=2, batch_size=8, eyes=seer.eyes())
    for request, answers in zip(asked, found, strict=True):
        for text, answer in zip(request.continuations, answers, strict=True):
            wanted = log_likelihood(seer, request.context.text, request.picture, text)
            assert answer.total == pytest.approx(wanted, abs=1e-4)


@torch.inference_mode()
def log_likelihood(seer, context, shown, continuation):
    given = seer.inputs(context + continuation, shown)
    logs = seer.model(**given).logits[0].log_softmax(-1)
    ids = given["input_ids"][0]
    places = range(len(ids) - len(continuation), len(ids))
    return sum(float(logs[place - 1, ids[place]]) for place in places)


@pytest.mark.parametrize("family", FAMILIES)
def test_steps_of_the_known_families_are_right(seer, family):
    seer = seer(family)
    eyes = seer.eyes()
    *seeing, first, second = prompts_of(seer)
    decoder(seer, eyes=eyes).generate([first, second])
    assert eyes.steps_are_right is None
    for prompt in seeing:  # of which one may be answered by a token that shows nothing
        decoder(seer, eyes=eyes).generate([prompt])
    assert eyes.steps_are_right


def test_models_that_place_tokens_in_other_ways_are_left_to_transformers(seer, monkeypatch, caplog):
    seer = seer("qwen2_vl")
    monkeypatch.setattr(_decode, "shifts", lambda _, rows: [3] * rows)
    prompts = prompts_of(seer)
    mine = decoder(seer)
    check_plain(seer, prompts[:6], mine.generate(prompts[:6]))
    mine.generate(prompts[:6])
    assert caplog.text.count("answers to pictures are written by transformers") == 1


class Looks:
    """Counts how often the tower of a model looks, and at how many pictures."""

    def __init__(self, model):
        self.sizes = []
        tower = model.base_model.vision_tower
        self.hook = tower.register_forward_hook(
            lambda _, given, __, **___: self.sizes.append(len(given[0]))
        )


@pytest.fixture
def looks(seer):
    found = Looks(seer("llava").model)
    yield found.sizes
    found.hook.remove()


def test_the_tower_looks_once_at_each_picture(seer, looks):
    seer = seer("llava")
    mine = decoder(seer, 2)
    prompts = prompts_of(seer)
    wanted = mine.generate(prompts)
    # Six prompts show five pictures.
    assert looks == [1] * 5
    assert mine.generate(prompts) == wanted
    mine.generate([replace(prompt, beams=2) for prompt in prompts])
    assert looks == [1] * 5


def test_pictures_that_there_is_no_room_for_are_looked_at_anew(seer, looks):
    seer = seer("llava")
    prompts = prompts_of(seer)
    wanted = decoder(seer).generate(prompts)
    looks.clear()
    mine = decoder(seer, eyes=seer.eyes(limit=1))
    assert mine.generate(prompts) == mine.generate(prompts) == wanted
    assert len(looks) > 5


def test_what_goes_before_all_pictures_is_read_once(seer):
    seer = seer("llava")
    start = "the same beginning of all "
    prompts = prompts_of(seer, [start + text for text in TEXTS[:4]] + [start + "<image>"] * 2)[:6]
    widths = []
    hook = seer.model.base_model.language_model.register_forward_pre_hook(
        lambda _, __, given: widths.append(given["inputs_embeds"].shape[1]), with_kwargs=True
    )
    eyes = seer.eyes()
    eyes.steps_are_right = True  # or it would be tried first
    found = decoder(seer, eyes=eyes).generate(prompts)
    hook.remove()
    assert widths[0] == len(start)
    assert max(widths[1:]) < min(len(prompt.tokens) for prompt in prompts)
    wanted = [decoder(seer).generate([prompt])[0] for prompt in prompts]
    assert found == wanted


def test_where_tokens_are_of_kinds_prompts_are_read_whole(seer):
    seer = seer("gemma3")
    start = "the same beginning of all "
    prompts = prompts_of(seer, [start + text for text in TEXTS])
    assert decoder(seer).generate(prompts) == [
        decoder(seer).generate([prompt])[0] for prompt in prompts
    ]


@pytest.mark.parametrize("beams", [1, 3])
def test_stop_texts_end_the_answers_of_loops_that_are_not_ours(seer, beams):
    seer = seer("llava")
    options = {"beams": beams, "repetition_penalty": 1.2}
    wholes = decoder(seer).generate(prompts_of(seer, **options))
    place = max(range(6), key=lambda i: len(wholes[i].tokens))
    whole = wholes[place].tokens
    stop = seer.pool.tokenizer.decode(whole[3])
    request = Generate(
        Context(TEXTS[place]), len(whole), Stops((stop,)), picture=SHOWN[place], **options
    )
    (found,) = decoder(seer).generate([seer.encoder().encode("i", request).prompt])
    assert (found.tokens, found.reason) == (whole[: whole.index(whole[3]) + 1], "stop")


def test_beams_of_a_prompt_count_as_sequences(seer, monkeypatch):
    seer = seer("llava")
    sizes = []
    real = _by_transformers._by_beams
    monkeypatch.setattr(
        _by_transformers,
        "_by_beams",
        lambda model, batch, *rest: sizes.append(len(batch)) or real(model, batch, *rest),
    )
    prompts = [replace(prompt, beams=3, limit=2) for prompt in prompts_of(seer)]
    decoder(seer, 7).generate(prompts)
    assert sizes == [2, 2, 2, 2]
    sizes.clear()
    decoder(seer, 1).generate(prompts)
    assert sizes == [1] * 8

"""Likelihoods of continuations against a plain pass over each context with each of them."""

import random

import pytest
import torch

from evoforge.evaluator import _likelihood
from evoforge.evaluator._likelihood import likelihoods
from evoforge.evaluator._tokens import Question
from tests.evaluator.test_decode import KINDS, PAD, model_of

# For each question: tokens of the context, tokens of each continuation.
SHAPES = [
    (1, (2, 1)),
    (9, (1, 5, 9, 1)),
    (30, (12,)),
    (12, (3, 3, 4)),
    (7, (1,)),
    (40, (1, 1)),
    (9, (6, 2)),
]


def questions(seed=0):
    draw = random.Random(seed)

    def text(length):
        return tuple(draw.choices(range(3, 60), k=length))

    return [Question(text(length), tuple(map(text, lengths))) for length, lengths in SHAPES]


@torch.inference_mode()
def plain(model, question, continuation):
    ids = torch.tensor([[*question.context, *continuation]])
    scores = model(input_ids=ids).logits[0, len(question.context) - 1 : -1].log_softmax(-1)
    wanted = torch.tensor(continuation)
    total = scores.gather(1, wanted[:, None]).sum().item()
    return total, bool((scores.argmax(-1) == wanted).all())


def check(model, given, batch_size):
    found = likelihoods(model, given, pad=PAD, batch_size=batch_size)
    for question, answers in zip(given, found, strict=True):
        for continuation, answer in zip(question.continuations, answers, strict=True):
            total, greedy = plain(model, question, continuation)
            assert answer.total == pytest.approx(total, abs=1e-4)
            assert answer.greedy == greedy


@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_those_of_plain_passes(kind):
    check(model_of(kind), questions(), batch_size=64)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_batch_size_does_not_change_them(batch_size, monkeypatch):
    monkeypatch.setattr(_likelihood, "READ_TOGETHER", 20)
    monkeypatch.setattr(_likelihood, "PLACES_TOGETHER", 4)
    check(model_of("llama", tie_word_embeddings=True), questions(1), batch_size)


def test_greedy_means_that_every_token_is_the_likeliest():
    model = model_of("llama")
    context = torch.tensor([[9, 10, 11]])
    out = model.generate(
        input_ids=context, do_sample=False, max_new_tokens=4, eos_token_id=62, pad_token_id=PAD
    )
    best = tuple(out[0, 3:].tolist())
    others = (best[:3], best[:2], (*best[:3], (best[3] + 1) % 60), ((best[0] + 1) % 60,))
    (found,) = likelihoods(model, [Question((9, 10, 11), (best, *others))], pad=PAD, batch_size=8)
    assert [answer.greedy for answer in found] == [True, True, True, False, False]


def passes(model, given):
    """Return the shapes of the passes that a model makes for questions."""
    shapes = []
    hook = model.model.register_forward_pre_hook(
        lambda _, __, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    with hook:
        likelihoods(model, given, pad=PAD, batch_size=64)
    return shapes


def test_one_continuation_takes_one_plain_pass():
    given = [Question((9, 10, 11), ((12, 13),)), Question((9,), ((10, 11),))]
    assert passes(model_of("llama"), given) == [(2, 4)]


def test_a_context_is_read_once_for_all_its_continuations():
    given = [Question(tuple(range(9, 29)), ((12, 13), (14, 15, 16), (17,)))]
    assert passes(model_of("llama"), given) == [(1, 20), (2, 2)]


def test_continuations_of_one_token_need_no_second_pass():
    given = [Question(tuple(range(9, 29)), ((12,), (13,)))]
    assert passes(model_of("llama"), given) == [(1, 20)]


def test_logits_are_made_only_where_they_count():
    model = model_of("llama")
    seen = []
    model.lm_head.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape)))
    given = [Question(tuple(range(9, 29)), ((12, 13), (14, 15, 16)))]
    likelihoods(model, given, pad=PAD, batch_size=64)
    assert seen == [(1, 1, 62), (1, 3, 62)]


def test_no_questions_have_no_answers():
    assert likelihoods(model_of("llama"), [], pad=PAD, batch_size=4) == []

"""How likely the live model finds given continuations of given contexts.

A context with several continuations is read once; each continuation then goes on from its keys and
values. Logits are made for the tokens whose probabilities count and for no others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from evoforge.evaluator._attention import quick_steps
from evoforge.evaluator._cache import Grid, holds_plain_keys
from evoforge.evaluator._eyes import Eyes, shown
from evoforge.evaluator._forward import logits_at, padded, shifts, takes
from evoforge.evaluator._tokens import Likelihood, Question

# Tokens that are read at once: more are no faster, and take more memory.
READ_TOGETHER = 2048
# Places whose logits are turned to float32 at once.
PLACES_TOGETHER = 256

# The logarithm of a token's probability, and whether it is the most likely token.
Found = tuple[float, bool]


@torch.inference_mode()
def likelihoods(
    model: Any,
    questions: Sequence[Question],
    *,
    pad: int,
    batch_size: int,
    quick: bool = True,
    eyes: Eyes | None = None,
) -> list[list[Likelihood]]:
    """Return how likely each continuation of each question is, in order.

    Args:
        model: as transformers builds it.
        questions: what is asked.
        pad: a token to fill rows with.
        batch_size: continuations that are read at once, but for those of one question.
        quick: whether a few tokens may attend by plain matrix products where `sdpa` is slow.
        eyes: of the model, for contexts that show pictures.
    """
    answers: list[list[Likelihood]] = [[] for _ in questions]
    longest = max(map(_length, questions), default=0)
    shareable = takes(model, "position_ids") and holds_plain_keys(model, longest)
    alone = [i for i, q in enumerate(questions) if len(q.continuations) == 1 or not shareable]
    for group in _groups(questions, alone, batch_size):
        rows = [(i, continuation) for i in group for continuation in questions[i].continuations]
        for start in range(0, len(rows), batch_size):
            chosen = rows[start : start + batch_size]
            single = [replace(questions[i], continuations=(c,)) for i, c in chosen]
            read = _read_plainly(model, single, pad, eyes)
            for (i, _), found in zip(chosen, read, strict=True):
                answers[i].append(_likelihood(found))
    shared = sorted({*range(len(questions))} - {*alone})
    with quick_steps(model, quick) as quick:
        for group in _groups(questions, shared, batch_size):
            together = _read_shared(model, [questions[i] for i in group], pad, quick, eyes)
            for i, several in zip(group, together, strict=True):
                answers[i] = [_likelihood(found) for found in several]
    return answers


def _length(question: Question) -> int:
    return len(question.context) + max(map(len, question.continuations), default=0)


def _groups(
    questions: Sequence[Question], which: Sequence[int], batch_size: int
) -> Iterator[list[int]]:
    """Give questions of like length together; the longest are first, should memory run out.

    Of a group all show pictures, or none.
    """
    group: list[int] = []
    rows = width = 0
    for i in sorted(which, key=lambda i: (_sees(questions[i]), -_length(questions[i]))):
        width = width or _length(questions[i])
        more = len(questions[i].continuations)
        full = rows + more > batch_size or (len(group) + 1) * width > READ_TOGETHER
        if group and (full or _sees(questions[i]) != _sees(questions[group[0]])):
            yield group
            group, rows, width = [], 0, _length(questions[i])
        group.append(i)
        rows += more
    if group:
        yield group


def _sees(question: Question) -> bool:
    return question.sight is not None


def _read_plainly(
    model: Any, questions: Sequence[Question], pad: int, eyes: Eyes | None
) -> list[list[Found]]:
    """Return what is found for each token of continuations, in one pass over the whole texts.

    Each question has one.
    """
    texts = [(question.context, question.continuations[0]) for question in questions]
    # Of the last token nothing is asked.
    ids = padded([(*context, *continuation)[:-1] for context, continuation in texts], pad, model)
    rows = [row for row, (_, continuation) in enumerate(texts) for _ in continuation]
    columns = [
        len(context) - 1 + i for context, continuation in texts for i in range(len(continuation))
    ]
    targets = [token for _, continuation in texts for token in continuation]
    seen = shown(eyes, [question.sight for question in questions], ids.shape[1])
    found = iter(_found(model, ids, rows, columns, targets, use_cache=False, **seen))
    return [[next(found) for _ in continuation] for _, continuation in texts]


def _read_shared(
    model: Any, questions: Sequence[Question], pad: int, quick: bool, eyes: Eyes | None
) -> list[list[list[Found]]]:
    """Return what is found for each token of each continuation; contexts are read once."""
    cache = DynamicCache()
    ids = padded([question.context for question in questions], pad, model)
    lasts = [len(question.context) - 1 for question in questions]
    rows = [row for row, question in enumerate(questions) for _ in question.continuations]
    continuations = [c for question in questions for c in question.continuations]
    firsts = _found(
        model,
        ids,
        rows,
        [lasts[row] for row in rows],
        [continuation[0] for continuation in continuations],
        past_key_values=cache,
        use_cache=True,
        **shown(eyes, [question.sight for question in questions], ids.shape[1]),
    )
    shift = shifts(model, len(questions))
    longer = [i for i, continuation in enumerate(continuations) if len(continuation) > 1]
    rests: dict[int, list[Found]] = {}
    if longer:
        sources = [rows[i] for i in longer]
        lengths = [lasts[source] + 1 for source in sources]
        grid = Grid(len(sources), whole=quick)
        grid.admit(cache, sources, lengths)
        places = [length + shift[source] for length, source in zip(lengths, sources, strict=True)]
        found = _go_on(model, grid, places, [continuations[i] for i in longer], pad)
        rests = dict(zip(longer, found, strict=True))
    answers: list[list[list[Found]]] = [[] for _ in questions]
    for i, row in enumerate(rows):
        answers[row].append([firsts[i], *rests.get(i, [])])
    return answers


def _go_on(
    model: Any,
    grid: Grid,
    firsts: Sequence[int],
    continuations: Sequence[tuple[int, ...]],
    pad: int,
) -> list[list[Found]]:
    """Return what is found for all tokens but the first of continuations.

    Args:
        model: as transformers builds it.
        grid: a row for each continuation, which holds its context.
        firsts: the place of the first token of each continuation.
        continuations: each of at least two tokens.
        pad: a token to fill rows with.
    """
    ids = padded([c[:-1] for c in continuations], pad, model, before=grid.end)
    grid.reserve(ids.shape[1])
    places = torch.tensor(firsts)[:, None] + torch.arange(ids.shape[1])
    found = iter(
        _found(
            model,
            ids,
            [row for row, c in enumerate(continuations) for _ in c[1:]],
            [column for c in continuations for column in range(len(c) - 1)],
            [token for c in continuations for token in c[1:]],
            attention_mask=grid.mask(ids.shape[1], ids.device),
            position_ids=places.to(ids.device),
            past_key_values=grid,
            use_cache=True,
        )
    )
    return [[next(found) for _ in continuation[1:]] for continuation in continuations]


def _found(
    model: Any,
    ids: torch.Tensor,
    rows: Sequence[int],
    columns: Sequence[int],
    targets: Sequence[int],
    **given: Any,
) -> list[Found]:
    """Return what a model says of the tokens that follow certain places."""
    # Several continuations ask about the same place; its logits are made once.
    places = sorted(set(zip(rows, columns, strict=True)))
    at = {place: i for i, place in enumerate(places)}
    logits = logits_at(
        model,
        ids,
        torch.tensor([row for row, _ in places], device=ids.device),
        torch.tensor([column for _, column in places], device=ids.device),
        **given,
    )
    which = [at[place] for place in zip(rows, columns, strict=True)]
    found: list[Found] = []
    for start in range(0, len(which), PLACES_TOGETHER):
        chosen = torch.tensor(which[start : start + PLACES_TOGETHER], device=ids.device)
        wanted = torch.tensor(targets[start : start + PLACES_TOGETHER], device=ids.device)
        scores = logits[chosen].float()
        mine = scores.gather(1, wanted[:, None])[:, 0] - scores.logsumexp(dim=1)
        found += zip(mine.tolist(), (scores.argmax(dim=1) == wanted).tolist(), strict=True)
    return found


def _likelihood(found: Sequence[Found]) -> Likelihood:
    return Likelihood(sum(total for total, _ in found), all(greedy for _, greedy in found))

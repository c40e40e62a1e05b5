"""ROUGE over any tokens: what a text and a gold text have in common.

    precision = common / tokens of the text     recall = common / tokens of the gold text
    F1 = 2 * precision * recall / (precision + recall)

In ROUGE-N common is what the bags of n-grams share, in ROUGE-L the longest common subsequence.
Never the tokenizer of the rouge_score package: it deletes all that is not ASCII.

Reference:
    Lin 2004, https://aclanthology.org/W04-1013/; checked against rouge_score 0.1.2.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, get_args

from evoforge.errors import ConfigError
from evoforge.task.japanese import words

Tokens = Literal["char", "mecab", "model"]
TOKENS: tuple[Tokens, ...] = get_args(Tokens)


def rouge_n(gold: Sequence[Hashable], text: Sequence[Hashable], n: int) -> float:
    """Return the F1 of n-grams of tokens, in [0, 1].

    Example:
        >>> rouge_n("abcd", "abd", 1), rouge_n("abcd", "abd", 2)
        (0.8571428571428571, 0.4)
    """
    first, second = _grams(gold, n), _grams(text, n)
    return _f1((first & second).total(), first.total(), second.total())


def rouge_l(gold: Sequence[Hashable], text: Sequence[Hashable]) -> float:
    """Return the F1 of the longest common subsequence, in [0, 1].

    Example:
        >>> rouge_l("abcd", "acbd")
        0.75
    """
    return _f1(common_length(gold, text), len(gold), len(text))


def common_length(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Return the length of the longest common subsequence.

    A row of the usual table is one whole number, a bit for each token of the first; a bit is 0
    where the row steps up.

    Reference:
        Hyyrö 2004, "Bit-parallel LCS-length computation revisited".
    """
    places: dict[Hashable, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    full = row = (1 << len(first)) - 1
    for token in second:
        hits = row & places.get(token, 0)
        row = (row + hits | row - hits) & full
    return len(first) - row.bit_count()


def tokenize(how: Tokens, model: Any = None) -> Callable[[str], Sequence[Hashable]]:
    """Return what cuts a text into tokens.

    Args:
        how: `char`, characters without white space; `mecab`, words; `model`, the model's tokens.
        model: transformers' tokenizer, for `model`.

    Raises:
        ConfigError: an unknown way, or a package is missing.
    """
    if how == "char":
        return lambda text: "".join(text.split())
    if how == "mecab":
        words("")  # misses its packages now, and not at the first answer
        return words
    if how == "model":
        return model.tokenize  # type: ignore[no-any-return]
    raise ConfigError(f"tokens must be one of {', '.join(TOKENS)}, got {how}; set task.tokens")


def _grams(tokens: Sequence[Hashable], n: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _f1(common: int, gold: int, text: int) -> float:
    if not common:
        return 0.0
    precision, recall = common / text, common / gold
    return 2 * precision * recall / (precision + recall)

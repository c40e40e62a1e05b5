"""How a written answer is judged: by its number, or by its text.

A judge knows an item's gold answers; languages and lengths are not its affair.
"""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, get_args

from evoforge.errors import ConfigError
from evoforge.task.base import Item
from evoforge.task.japanese import normalise
from evoforge.task.metrics import EXTRACTIONS, Extraction, last_number, same_number
from evoforge.task.rouge import Tokens, rouge_l, rouge_n, tokenize

Kind = Literal["number", "exact_match", "rouge2", "rougel"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Form = Literal["robust", "ja"]
FORMS: tuple[Form, ...] = get_args(Form)


class Judge(ABC):
    """Scores answers, each in [0, 1]."""

    metric: str

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What decides a score, as JSON values."""

    @abstractmethod
    def lacks(self, item: Item) -> str | None:
        """Return what an item would need to be judged, or None."""

    @abstractmethod
    def score(self, item: Item, text: str) -> dict[str, float]:
        """Return the judge's metric, and what else it sees."""

    def prepare(self, tokenizer: Any) -> None:
        """Tell the judge which tokenizer the models have."""
        del tokenizer


class Number(Judge):
    """Right if the last number is the gold one: `acc`; and `comma`, whether quirks would matter.

    Args:
        extraction: how the number is read.
    """

    metric = "acc"

    def __init__(self, extraction: Extraction) -> None:
        if extraction not in EXTRACTIONS:
            raise ConfigError(
                f"extraction must be one of {', '.join(EXTRACTIONS)}, got {extraction}; "
                "set task.extraction"
            )
        self.extraction = extraction

    @property
    def settings(self) -> dict[str, Any]:
        """How the number is read."""
        return {"judge": "number", "extraction": self.extraction}

    def lacks(self, item: Item) -> str | None:
        """Return `answer_number` for an item without."""
        return "answer_number" if item.answer_number is None else None

    def score(self, item: Item, text: str) -> dict[str, float]:
        """Return `acc`, and as `comma` whether the published reading differs from a reader's."""
        robust, sakana = last_number(text, "robust"), last_number(text, "sakana")
        found = last_number(text, self.extraction)
        return {
            "acc": float(same_number(found, item.answer_number)),
            "comma": float(robust != sakana),
        }


class ExactMatch(Judge):
    """Right if the whole answer is one of the gold answers, both brought into one form.

    Args:
        form: `robust` (NFKC, white space folded), or `ja` (the Japanese harness's).
    """

    metric = "exact_match"

    def __init__(self, form: Form) -> None:
        if form not in FORMS:
            raise ConfigError(f"form must be one of {', '.join(FORMS)}, got {form}; set task.form")
        self.form = form
        self._in_form: Callable[[str], str] = normalise if form == "ja" else folded
        self._in_form("")  # misses its packages now, and not at the first answer

    @property
    def settings(self) -> dict[str, Any]:
        """The form of texts."""
        return {"judge": "exact_match", "form": self.form}

    def lacks(self, item: Item) -> str | None:
        """Return `answers` for an item without."""
        return None if item.answers else "answers"

    def score(self, item: Item, text: str) -> dict[str, float]:
        """Return `exact_match`, the best over the gold answers."""
        given = self._in_form(text)
        return {"exact_match": float(any(given == self._in_form(gold) for gold in item.answers))}


class Rouge(Judge):
    """ROUGE F1, the best over the gold answers.

    Args:
        kind: `rouge2` or `rougel`.
        tokens: what texts are cut into: `char`, `mecab` or `model`.
    """

    def __init__(self, kind: Literal["rouge2", "rougel"], tokens: Tokens) -> None:
        self.metric, self.tokens = kind, tokens
        self._score = rouge_l if kind == "rougel" else _rouge_2
        self._cut: Callable[[str], Sequence[Hashable]] | None = None
        if tokens != "model":
            self._cut = tokenize(tokens)

    @property
    def settings(self) -> dict[str, Any]:
        """The metric and its tokens."""
        return {"judge": self.metric, "tokens": self.tokens}

    def lacks(self, item: Item) -> str | None:
        """Return `answers` for an item without."""
        return None if item.answers else "answers"

    def prepare(self, tokenizer: Any) -> None:
        """Take the models' tokenizer where texts are cut into its tokens."""
        if self.tokens == "model":
            self._cut = tokenize("model", tokenizer)

    def score(self, item: Item, text: str) -> dict[str, float]:
        """Return the metric of a text."""
        if self._cut is None:
            raise ConfigError("ROUGE over the model's tokens needs its tokenizer; call prepare")
        given = self._cut(text)
        return {self.metric: max(self._score(self._cut(gold), given) for gold in item.answers)}


def make_judge(kind: Kind, extraction: Extraction, form: Form, tokens: Tokens) -> Judge:
    """Return the judge of a kind; options of other kinds do not count.

    Raises:
        ConfigError: an option is unknown, or a package is missing.
    """
    if kind == "number":
        return Number(extraction)
    if kind == "exact_match":
        return ExactMatch(form)
    if kind in ("rouge2", "rougel"):
        return Rouge(kind, tokens)
    raise ConfigError(f"judge must be one of {', '.join(KINDS)}, got {kind}; set task.judge")


def folded(text: str) -> str:
    """Return a text in NFKC with single spaces."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip()


def _rouge_2(gold: Sequence[Hashable], text: Sequence[Hashable]) -> float:
    return rouge_n(gold, text, 2)

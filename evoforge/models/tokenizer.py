"""Tokenizers of a pool: loading, comparing, and making one with more tokens or with fewer.

Knows tokens and their ids; does not know what rows of weights belong to them.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evoforge.errors import PoolError
from evoforge.models.source import Source

log = logging.getLogger(__name__)

KINDS = ("bos", "eos", "unk", "pad")

FAULTS = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ImportError),
    *(RecursionError, OverflowError),
)


def tokenizer_of(source: Source) -> Any:
    """Return a source's tokenizer.

    Raises:
        PoolError: there is none, or it cannot be read.
    """
    return load_tokenizer(source.tokenizer_folder, trust_remote_code=source.spec.trust_remote_code)


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """Return the tokenizer of a model folder.

    Raises:
        PoolError: there is none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    # Broken tokenizer files fail in whatever place they happen to break.
    except FAULTS as error:
        raise _unusable(folder, error) from error
    except Exception as error:
        if type(error) is not Exception:  # the tokenizers library has no class of its own
            raise
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: Exception) -> PoolError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return PoolError(f"{folder} has no usable tokenizer ({reason}); copy the tokenizer files there")


def difference(first: Any, second: Any) -> str | None:
    """Return the first difference between two tokenizers in words, or None.

    Compares vocabularies (token and id) and special tokens; chat templates may differ.
    """
    mine, other = first.get_vocab(), second.get_vocab()
    if mine != other:
        return disagreement(mine, other)
    for kind in (f"{kind}_token" for kind in KINDS):
        if getattr(first, kind) != getattr(second, kind):
            return f"{kind} is {getattr(first, kind)!r} against {getattr(second, kind)!r}"
    return None


def disagreement(mine: Mapping[str, int], other: Mapping[str, int]) -> str:
    """Return the first difference between two vocabularies that differ, in words."""
    by_id = {number: token for token, number in other.items()}
    for token, number in sorted(mine.items(), key=lambda pair: int(pair[1])):
        if by_id.get(number) != token:
            return f"token {number} is {token!r} against {by_id.get(number)!r}"
    return f"{len(mine)} tokens against {len(other)}"


def extend(tokenizer: Any, others: Iterable[Any], wanted: Mapping[str, int], name: str) -> None:
    """Give a tokenizer the tokens of others that it has not, as added tokens.

    Args:
        tokenizer: what to change.
        others: the tokenizers that the tokens come from, in order.
        wanted: token -> id: the vocabulary that must come out.
        name: whose tokenizer it is, for the error.

    Raises:
        PoolError: it takes no more tokens, or gives them other ids.
    """
    new: dict[str, Any] = {}
    for other in others:
        vocabulary = other.get_vocab()
        for token in sorted(vocabulary, key=vocabulary.__getitem__):
            if token not in new:
                new[token] = _added(token, other.added_tokens_decoder.get(vocabulary[token]))
    known = tokenizer.get_vocab()
    missing = sorted(set(wanted) - set(known), key=wanted.__getitem__)
    try:
        tokenizer.add_tokens([_fitted(new[token], tokenizer) for token in missing])
    # Tokenizers that are not a table of tokens refuse each in a way of its own.
    except (NotImplementedError, AttributeError, TypeError, ValueError) as error:
        raise PoolError(
            f"the tokenizer of {name} takes no more tokens ({error}); set models.tokenizer to "
            "base or to a source"
        ) from error
    if _normalized("a", tokenizer).startswith("▁") and missing:
        log.warning(
            "the tokenizer of %s puts a space before each stretch of text, also after each token "
            "that is added to it; models.tokenizer=base, or a source, does without added tokens",
            name,
        )
    found = tokenizer.get_vocab()
    if found != wanted:
        raise PoolError(
            f"the tokenizer of {name} does not take the tokens of the others as they are: "
            f"{disagreement(dict(wanted), found)}; set models.tokenizer to base or to a source"
        )


def _added(token: str, known: Any) -> Any:
    from tokenizers import AddedToken

    return known if known is not None else AddedToken(token)


def _fitted(token: Any, tokenizer: Any) -> Any:
    """Return an added token that is looked for where the tokenizer can find it."""
    from tokenizers import AddedToken

    if token.special or _normalized(token.content, tokenizer) == token.content:
        return token
    # The token is normalised too before it is looked for in normalised text; where that makes
    # another token of it ("▁a" becomes "▁▁a"), it would be found in the wrong places.
    return AddedToken(
        token.content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=False,
    )


def _normalized(text: str, tokenizer: Any) -> str:
    normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
    return text if normalizer is None else str(normalizer.normalize_str(text))


def cut(tokenizer: Any, rows: int, name: str) -> Any:
    """Return a tokenizer without the tokens from a number on.

    Args:
        tokenizer: left as it is.
        rows: the first number that is no token any more.
        name: whose tokenizer it is, for the error.

    Raises:
        PoolError: a special token would be lost, or the tokenizer cannot be cut.
    """
    lost = {token for token, number in tokenizer.get_vocab().items() if number >= rows}
    if not lost:
        return tokenizer
    for kind in KINDS:
        token = getattr(tokenizer, f"{kind}_token")
        # Nothing depends on which token fills the ends of lines.
        if token in lost and kind != "pad":
            raise PoolError(
                f"cut to {rows} rows, the vocabulary of {name} has no {kind}_token {token!r} any "
                "more; set models.tokenizer to another source, or to union without models.truncate"
            )
    with TemporaryDirectory() as made:
        folder = Path(made)
        tokenizer.save_pretrained(folder)
        try:
            _cut_file(folder / "tokenizer.json", lost)
            _cut_settings(folder / "tokenizer_config.json", lost)
        except (OSError, KeyError, TypeError) as error:
            raise PoolError(
                f"the tokenizer of {name} cannot be cut to {rows} tokens; set models.tokenizer to "
                "another source, or to union without models.truncate"
            ) from error
        return load_tokenizer(folder)


def _cut_file(path: Path, lost: set[str]) -> None:
    content = json.loads(path.read_text("utf-8"))
    model = content["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {t: i for t, i in model["vocab"].items() if t not in lost}
    else:  # Unigram: a list of (token, logarithm of its probability) in the order of ids
        model["vocab"] = [pair for pair in model["vocab"] if pair[0] not in lost]
    if "merges" in model:
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        model["merges"] = [p for p in pairs if not {*p, "".join(p)} & lost]
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] not in lost]
    path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")


def _cut_settings(path: Path, lost: set[str]) -> None:
    settings: dict[str, Any] = json.loads(path.read_text("utf-8"))
    kept: dict[str, Any] = {
        key: [v for v in value if not _is_lost(v, lost)] if isinstance(value, list) else value
        for key, value in settings.items()
        if not (key.endswith("_token") and _is_lost(value, lost))
    }
    if "added_tokens_decoder" in kept:
        known = kept["added_tokens_decoder"].items()
        kept["added_tokens_decoder"] = {i: t for i, t in known if not _is_lost(t, lost)}
    path.write_text(json.dumps(kept, ensure_ascii=False), "utf-8")


def _is_lost(token: Any, lost: set[str]) -> bool:
    content = token.get("content") if isinstance(token, dict) else token
    return isinstance(content, str) and content in lost

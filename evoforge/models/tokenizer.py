"""Tokenizers of a pool: loading one, and finding the first place where two differ."""

from pathlib import Path
from typing import Any

from evoforge.errors import PoolError


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """Return the tokenizer of a model folder.

    Raises:
        PoolError: there is none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    # Broken tokenizer files fail in whatever place they happen to break.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PoolError(
            f"{folder} has no usable tokenizer ({reason}); copy the tokenizer files there"
        ) from error


def difference(first: Any, second: Any) -> str | None:
    """Return the first difference between two tokenizers in words, or None.

    Compares vocabularies (token and id) and special tokens; chat templates may differ.
    """
    mine, other = first.get_vocab(), second.get_vocab()
    if mine != other:
        by_id = {number: token for token, number in other.items()}
        for token, number in sorted(mine.items(), key=lambda pair: int(pair[1])):
            if by_id.get(number) != token:
                return f"token {number} is {token!r} against {by_id.get(number)!r}"
        return f"{len(mine)} tokens against {len(other)}"
    for kind in ("bos_token", "eos_token", "unk_token", "pad_token"):
        if getattr(first, kind) != getattr(second, kind):
            return f"{kind} is {getattr(first, kind)!r} against {getattr(second, kind)!r}"
    return None

"""The settings that name special tokens by their ids, for models whose vocabulary was chosen.

Knows config.json and generation_config.json; does not know how a vocabulary comes about.
"""

import json
from collections.abc import Mapping
from typing import Any

from evoforge.errors import PoolError
from evoforge.models.source import Source
from evoforge.models.tokenizer import KINDS

GENERATION = "generation_config.json"


def token_ids(tokenizer: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ids that a tokenizer gives to special tokens, by the names of the settings.

    Where it has no such token the setting stays; so does a list of several end tokens that holds
    the tokenizer's own.

    Args:
        tokenizer: of the model.
        settings: of the source whose tokenizer it is.
    """
    found = {}
    for kind in KINDS:
        key = f"{kind}_token_id"
        own, given = getattr(tokenizer, key), settings.get(key)
        several = isinstance(given, list) and own in given
        # The unknown token is named in few models only.
        if kind != "unk" or key in settings:
            found[key] = given if own is None or several else own
    return found


def without(lost_from: int, tokenizer: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of special tokens that name a row which is cut off, put right.

    Args:
        lost_from: the first row that is cut off.
        tokenizer: of the model, whose own ids take their place.
        settings: of the source.
    """
    found = {}
    for key in (f"{kind}_token_id" for kind in KINDS):
        given = settings.get(key)
        numbers = given if isinstance(given, list) else [given]
        if any(number is not None and number >= lost_from for number in numbers):
            kept = [number for number in numbers if number is not None and number < lost_from]
            found[key] = kept or getattr(tokenizer, key)
    return found


def generation_of(source: Source) -> dict[str, Any] | None:
    """Return the content of a source's generation_config.json, or None if it has none.

    Raises:
        PoolError: the file cannot be read.
    """
    path = source.folder / GENERATION
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise PoolError(f"{path} is not JSON ({error}); copy or download it again") from error
    return found


def picture_ids(config: Any, own: Any, chosen: Any, owner: str) -> dict[str, int]:
    """Return the ids of the tokens that stand for pictures in a chosen vocabulary.

    Args:
        config: the settings of a vision-language model.
        own: its own tokenizer.
        chosen: the tokenizer of merged models.
        owner: the source whose settings they are, for errors.

    Returns:
        Setting -> id, for all settings of the whole model that name a token of its own.

    Raises:
        PoolError: a token is in neither vocabulary, or not in the chosen one.
    """
    tokens = {number: token for token, number in own.get_vocab().items()}
    known = chosen.get_vocab()
    found = {}
    for key, number in config.to_dict().items():
        kind = key.removesuffix("_index").removesuffix("_id").removesuffix("_token")
        if not key.endswith(("_token_id", "_token_index")) or kind in KINDS or number is None:
            continue
        token = tokens.get(number)
        if token is None and kind == "image":
            raise PoolError(
                f"the tokenizer of {owner} has no token {number}, which its {key} names; copy the "
                "tokenizer's files of the same model"
            )
        if token is not None and token not in known:
            raise PoolError(
                f"the chosen vocabulary has no {token}, which {owner} needs for pictures ({key}); "
                f"set models.tokenizer={owner}, and models.truncate=false"
            )
        if token is not None:
            found[key] = known[token]
    return found


def dress(tokenizer: Any, own: Any, template: Any) -> Any:
    """Give a tokenizer the names that another has for special tokens, and a chat template.

    Args:
        tokenizer: of merged models; changed, and returned.
        own: of the vision-language model whose processor it goes into.
        template: of that processor; None to keep the tokenizer's.
    """
    known = tokenizer.get_vocab()
    names = [
        n for n in own.SPECIAL_TOKENS_ATTRIBUTES if n not in tokenizer.SPECIAL_TOKENS_ATTRIBUTES
    ]
    named = {n: token for n in names if (token := getattr(own, n)) in known}
    if named:
        tokenizer._set_model_specific_special_tokens(special_tokens=named)
    if template is not None:
        tokenizer.chat_template = template
    return tokenizer

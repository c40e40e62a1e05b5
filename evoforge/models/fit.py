"""Whether sources fit each other: their weights for merging, their layers for a shared path.

Knows which settings must agree; does not know how anything is merged.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from evoforge.errors import PoolError
from evoforge.models.aligned import indexed
from evoforge.models.layout import block_tensors
from evoforge.models.settings import common_differences
from evoforge.models.source import PER_LAYER, Source
from evoforge.models.tokenizer import difference, tokenizer_of
from evoforge.models.weights import Tensors

# Settings that say nothing about the weights.
INDIFFERENT = {
    "_name_or_path",
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "problem_type",
}
# Settings that follow from the vocabulary, which may be chosen for all sources.
OF_VOCABULARY = {"vocab_size", "bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"}
# Settings of what lies outside the blocks, which a path takes from its first model alone, or that
# may differ from block to block.
OUTSIDE_BLOCKS = {
    *OF_VOCABULARY,
    "tie_word_embeddings",
    "num_hidden_layers",
    *PER_LAYER,
    "max_window_layers",
    "max_position_embeddings",
    "initializer_range",
    "attention_dropout",
}


# Says whether the user chose between these two values of a setting.
Chosen = Callable[[str, Any, Any], bool]


def check_weights(
    source: Source,
    first: Source,
    *,
    tensors: Callable[[Source], Tensors],
    ignore: Collection[str],
    aligned: bool,
    chosen: Chosen | None = None,
) -> None:
    """Make sure that the weights of two sources can be merged with each other.

    Args:
        source: is named as the one that does not fit.
        first: what it must fit.
        tensors: gives a source's weights as they are merged.
        ignore: settings that may differ.
        aligned: whether the weights are brought to a chosen vocabulary.
        chosen: where one of the two sees pictures, see `Choice.accepts`.

    Raises:
        PoolError: the first difference, and what to do.
    """
    free = {*INDIFFERENT, *ignore, *(OF_VOCABULARY if aligned else ())}
    for setting, mine, other in _differences(source, first, free, chosen):
        raise PoolError(
            f"{source.name} does not fit {first.name}: {setting} is {other} against {mine}; "
            f"{_remedy(setting, source, first)}accept what {first.name} has with "
            f"models.ignore=[{setting}]"
        )
    _check_tensors(source, first, tensors)
    if not aligned and "tokenizer" not in ignore:
        found = difference(tokenizer_of(first), tokenizer_of(source))
        if found:
            raise PoolError(
                f"{source.name} does not fit {first.name}: in the vocabulary {found}; "
                f"{_choices(source, first)}, or accept it with models.ignore=[tokenizer]"
            )


def _differences(
    source: Source, first: Source, free: Collection[str], chosen: Chosen | None
) -> Iterator[tuple[str, Any, Any]]:
    mine, other = first.config, source.config
    if source.sees != first.sees:
        yield from _kinds(mine, other, free)
        # A language part may have settings of a class of its own: only what both have can differ.
        for setting, own, others in common_differences(mine, other, free):
            if chosen is None or not chosen(setting, own, others):
                yield setting, own, others
        return
    for setting in sorted({*mine, *other} - set(free)):
        if mine.get(setting) != other.get(setting):
            yield setting, mine.get(setting), other.get(setting)


def _kinds(
    mine: Mapping[str, Any], other: Mapping[str, Any], free: Collection[str]
) -> Iterator[tuple[str, Any, Any]]:
    """Give the kinds of a language part and a text model that differ, where both are text models'.

    What one kind has and another has not, such as the multipliers of Granite, is in no weight.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as KNOWN

    kinds = mine["model_type"], other["model_type"]
    if kinds[0] != kinds[1] and all(kind in KNOWN for kind in kinds) and "model_type" not in free:
        yield "model_type", *kinds


def _choices(source: Source, first: Source) -> str:
    """Return how to choose a vocabulary, as it is typed."""
    return (
        f"set models.tokenizer=union, or ={first.name} or ={source.name} for the tokens of one "
        "of them"
    )


def _remedy(setting: str, source: Source, first: Source) -> str:
    """Return what may be done beside accepting a difference."""
    if setting == "vocab_size":
        return (
            f"{_choices(source, first)}, or models.truncate=true for the rows that both have, or "
        )
    if setting in OF_VOCABULARY:
        return f"{_choices(source, first)}, or "
    return "take another source, or "


def _check_tensors(source: Source, first: Source, tensors: Callable[[Source], Tensors]) -> None:
    mine, other = tensors(first), tensors(source)
    for name in mine:
        if name not in other:
            raise PoolError(
                f"{source.name} does not fit {first.name}: it has no tensor {name}; "
                "take a source of the same architecture"
            )
        if mine.shape(name) != other.shape(name):
            raise PoolError(
                f"{source.name} does not fit {first.name}: {name} has shape "
                f"{tuple(other.shape(name))} against {tuple(mine.shape(name))}; "
                f"{_other_sizes(name, source, first)}"
            )
    for name in other:
        if name not in mine:
            raise PoolError(
                f"{source.name} does not fit {first.name}: it has the tensor {name} "
                "beyond; take a source of the same architecture"
            )


def _other_sizes(name: str, source: Source, first: Source) -> str:
    mine, other = first.tensors.shape(name), source.tensors.shape(name)
    if name in indexed(first.tensors) and mine[1:] == other[1:]:
        return f"{_choices(source, first)}, or models.truncate=true for the rows that both have"
    return "take a source of the same sizes"


def check_path(
    first: Source,
    others: Collection[Source],
    ignore: Collection[str],
    chosen: Chosen | None = None,
) -> None:
    """Make sure that layers of these sources can follow each other; the first one leads.

    Args:
        first: gives embeddings and settings.
        others: give layers.
        ignore: settings that may differ.
        chosen: where only some see pictures, see `Choice.accepts`.

    Raises:
        PoolError: a difference between two sources that changes what a block is.
    """
    _check_lists(first)
    for source in others:
        for setting, mine, other in _differences(
            source, first, {*INDIFFERENT, *ignore, *OUTSIDE_BLOCKS}, chosen
        ):
            raise PoolError(
                f"{source.name} cannot share a path with {first.name}: {setting} is {other} "
                f"against {mine}; take another source, or accept what {first.name} has with "
                f"models.ignore=[{setting}]"
            )
        _check_blocks(first, source)


def _check_lists(source: Source) -> None:
    """Refuse settings of layers of which it is not known how they would go along a path."""
    for setting, value in source.config.items():
        if isinstance(value, list) and value and "layer" in setting and setting not in PER_LAYER:
            raise PoolError(
                f"{source.name} has the setting {setting}, of which evoforge does not know how it "
                "goes along a path; take another source, or merge weights"
            )


def _check_blocks(first: Source, source: Source) -> None:
    """Refuse blocks that hold other tensors than the first block of the first source."""
    blocks = block_tensors(first.tensors, 0)
    wanted = {name: first.tensors.shape(full) for name, full in blocks.items()}
    for model in (first, source):
        for block in range(model.num_layers):
            found = block_tensors(model.tensors, block)
            shapes = {name: model.tensors.shape(full) for name, full in found.items()}
            for name in sorted({*wanted, *shapes}):
                mine, other = wanted.get(name), shapes.get(name)
                if mine != other:
                    raise PoolError(
                        f"{source.name} cannot share a path with {first.name}: in layer {block} "
                        f"{name} has shape {_shape(other)} against {_shape(mine)}; take a source "
                        "of the same sizes"
                    )


def _shape(shape: Any) -> str:
    return "none" if shape is None else str(tuple(shape))

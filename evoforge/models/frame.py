"""What a vision-language model is around its language part, told by the class of its settings.

The class is built without weights and asked which of its parameters are the decoder's and the
output embedding's; no list of architectures is kept here. Everything that merges sees the language
part alone, under the names that a plain text model has: `model.layers.0...`, `lm_head.weight`.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from evoforge.errors import PoolError
from evoforge.models.files import first_line
from evoforge.models.slots import Slot, look_up, not_in, not_of, saved_name, unfilled
from evoforge.models.weights import Tensors

PLAIN = "model."
HEAD = "lm_head."


def sees(config: Any) -> bool:
    """Say whether settings are those of a model that reads pictures and text."""
    from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    known = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    return known and hasattr(config, "vision_config") and config.get_text_config() is not config


class Frame:
    """Which tensors of a checkpoint are the language part's, and what is around them.

    Args:
        config: the settings of the whole model; not changed.
        names: of the checkpoint's tensors.
        owner: the source whose checkpoint it is, for errors.

    Raises:
        PoolError: the language part is not found, or its names follow no rule.
    """

    def __init__(self, config: Any, names: Iterable[str], owner: str) -> None:
        self._owner = owner
        self._model = _built(config, owner)
        decoder, head = self._model.get_decoder(), self._model.get_output_embeddings()
        paths = {id(module): path for path, module in self._model.named_modules()}
        self._decoder, self._head = paths.get(id(decoder), ""), paths.get(id(head), "")
        if not self._decoder or not self._head or not hasattr(decoder, "layers"):
            raise PoolError(
                f"evoforge finds no language part in {self.kind}, which {owner} is; take a "
                "vision-language model around a text model with decoder layers"
            )
        self._sort(names)

    def _sort(self, names: Iterable[str]) -> None:
        """Tell the language part's tensors from the others, and from such as are nobody's."""
        language: dict[str, str] = {}
        self.others: list[str] = []
        self._slots: dict[str, Slot] = {}
        self._unknown: list[str] = []
        for name, slot in look_up(self._model, names).items():
            if slot is None:
                self._unknown.append(name)
                continue
            self._slots[name] = slot
            if self._of_language(slot.parameter):
                language[name] = slot.parameter
            else:
                self.others.append(name)
        self._before, self._before_head = self._prefixes(language)
        plain = {name: self._plain(name, parameter) for name, parameter in language.items()}
        # The copy of a tied output embedding, which some checkpoints store, is no weight.
        self.language = {
            plain: name
            for name, plain in plain.items()
            if not (self.tied and plain == f"{HEAD}weight")
        }

    @property
    def kind(self) -> str:
        """The name of the class in transformers."""
        return type(self._model).__name__

    @cached_property
    def tied(self) -> bool:
        """Whether the output embedding is the embedding."""
        head = self._model.get_output_embeddings().weight
        return bool(head is self._model.get_input_embeddings().weight)

    def stored(self, name: str) -> str:
        """Return the name in the checkpoint of a tensor of the language part.

        Args:
            name: as in a plain text model, with any number of the block.
        """
        if name.startswith(HEAD):
            return self._before_head + name.removeprefix(HEAD)
        return self._before + name.removeprefix(PLAIN)

    def plain(self, name: str) -> str | None:
        """Return what a tensor is called in a plain text model; None if it is not of language.

        Args:
            name: as in any checkpoint that transformers reads, or as it is called in memory.
        """
        slot = look_up(self._model, [name])[name]
        if slot is None or not self._of_language(slot.parameter):
            return None
        if slot.parameter.startswith(f"{self._head}."):
            return HEAD + slot.parameter.removeprefix(f"{self._head}.")
        return PLAIN + slot.parameter.removeprefix(f"{self._decoder}.")

    def check_known(self, left_out: Iterable[str] = ()) -> None:
        """Refuse a checkpoint with tensors that the class does not know.

        Args:
            left_out: the last parts of names that are to be left out.

        Raises:
            PoolError: there is one.
        """
        # What follows from the settings, such as the numbers of places, some checkpoints store.
        follows = {name.rpartition(".")[2] for name, _ in self._model.named_buffers()}
        for name in self._unknown:
            if name.rpartition(".")[2] not in {*follows, *left_out}:
                raise PoolError(not_of(self._owner, name, self.kind))

    def check_whole(self, weights: Tensors) -> None:
        """Refuse a checkpoint that lacks a part of the model, or has one of another shape.

        Args:
            weights: the checkpoint.

        Raises:
            PoolError: it does.
        """
        if missing := unfilled(self._model, self._slots.values()):
            raise PoolError(not_in(self._owner, missing, self.kind))
        for name, slot in self._slots.items():
            if weights.shape(name) != slot.shape:
                raise PoolError(
                    f"{self._owner} has the tensor {name} of shape {tuple(weights.shape(name))}, "
                    f"but its config.json asks for {slot.shape}; copy or download the model again"
                )

    def _of_language(self, parameter: str) -> bool:
        return parameter.startswith((f"{self._decoder}.", f"{self._head}."))

    def _prefixes(self, language: dict[str, str]) -> tuple[str, str]:
        """Return what stored names have before the decoder's own names, and before the head's."""
        found: dict[str, set[str]] = {self._decoder: set(), self._head: set()}
        for name, parameter in language.items():
            path = self._head if parameter.startswith(f"{self._head}.") else self._decoder
            suffix = parameter.removeprefix(f"{path}.")
            if name.endswith(suffix):
                found[path].add(name.removesuffix(suffix))
        if not found[self._head]:
            stored = saved_name(self._model, f"{self._head}.weight") or f"{HEAD}weight"
            found[self._head].add(stored.removesuffix("weight"))
        if any(len(prefixes) != 1 for prefixes in found.values()):
            raise PoolError(
                f"the language part of {self._owner} has tensors under several names, such as "
                f"{', '.join(sorted(set().union(*found.values()))) or 'none'}; save the model "
                "again with transformers"
            )
        return found[self._decoder].pop(), found[self._head].pop()

    def _plain(self, name: str, parameter: str) -> str:
        if parameter.startswith(f"{self._head}."):
            return HEAD + name.removeprefix(self._before_head)
        return PLAIN + name.removeprefix(self._before)


def _built(config: Any, owner: str) -> Any:
    """Return a model of these settings without weights."""
    import torch
    from transformers import AutoModelForImageTextToText
    from transformers.initialization import no_init_weights

    try:
        with torch.device("meta"), no_init_weights():
            model = AutoModelForImageTextToText.from_config(config)
    except (ValueError, ImportError, ArithmeticError, RuntimeError, TypeError) as error:
        raise PoolError(
            f"transformers cannot build {owner}: {first_line(error)}; take another source"
        ) from error
    model.tie_weights()
    return model

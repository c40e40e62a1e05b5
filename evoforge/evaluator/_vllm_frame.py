"""The model that an engine is built for, and how candidates of fewer layers are put into it.

Building an engine takes much longer than replacing its weights. A layer whose weights are all zero
adds nothing to the stream, so an engine of many layers can hold every path of fewer.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from evoforge.candidate import Candidate
from evoforge.models.layout import Place, block_tensors, in_block, num_blocks, place

LAYERS = "num_hidden_layers"
TIED = "tie_word_embeddings"
HEAD = "lm_head.weight"


@dataclass(frozen=True)
class Frame:
    """The settings of an engine's model.

    Args:
        num_layers: of the model.
        lists: settings that have a value for each layer, such as kinds of attention.
        others: all other settings that candidates may differ in.
    """

    num_layers: int
    lists: Mapping[str, list[Any]]
    others: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as config.json has them."""
        return {LAYERS: self.num_layers, **self.lists, **self.others}

    def lacks(self, frame: "Frame") -> str:
        """Return what keeps a candidate from being put into this frame, or nothing.

        Args:
            frame: that the candidate needs.
        """
        if frame.num_layers > self.num_layers:
            return f"{frame.num_layers - self.num_layers} layers"
        mine = {key: values[: frame.num_layers] for key, values in self.lists.items()}
        mine |= self.others
        theirs = {**frame.lists, **frame.others}
        # An embedding can be written twice, but one that is shared cannot be two.
        if not self.others[TIED]:
            theirs[TIED] = False
        return ", ".join(
            f"{key}={theirs.get(key)}"
            for key in sorted({*mine, *theirs})
            if mine.get(key) != theirs.get(key)
        )

    def deeper(self, num_layers: int) -> "Frame":
        """Return a frame of at least so many layers; further ones are of the last one's kind."""
        more = max(0, num_layers - self.num_layers)
        lists = {key: [*values, *values[-1:] * more] for key, values in self.lists.items()}
        return Frame(self.num_layers + more, lists, self.others)

    def weights(
        self, candidate: Candidate, tensor: Callable[[str], torch.Tensor]
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the tensors of a candidate that this frame holds, and those of empty layers.

        Args:
            candidate: what is put into the frame.
            tensor: gives the candidate's tensors by name.
        """
        names = candidate.names
        for name in names:
            yield name, tensor(name)
        if not self.others[TIED] and not any(place(name).module == "head" for name in names):
            embedding = next(name for name in names if place(name) == Place(None, "embedding"))
            yield HEAD, tensor(embedding)
        count = num_blocks(names)
        last = block_tensors(names, count - 1).values()
        for number in range(count, self.num_layers):
            for name in last:
                yield in_block(name, number), torch.zeros_like(tensor(name))


def frame_of(candidate: Candidate, config: Any, per_layer: Mapping[str, list[Any]]) -> Frame:
    """Return the frame that a candidate needs.

    Args:
        candidate: what is to be put into it.
        config: transformers' settings of the reference.
        per_layer: those of them that have a value for each layer.
    """
    own = {TIED: bool(getattr(config, TIED, False)), **per_layer, **candidate.settings}
    own.pop(LAYERS, None)
    lists = {key: list(own.pop(key)) for key in per_layer}
    return Frame(num_blocks(candidate.names), lists, own)

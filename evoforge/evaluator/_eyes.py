"""What the live model sees of pictures: its tower looks once at each, whatever the candidate.

Candidates differ in their language part alone, so what the tower and the projector say of a picture
holds for all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from evoforge.evaluator._kept import Kept
from evoforge.evaluator._tokens import Sight
from evoforge.evaluator._views import unfit

# What a tower says of one picture: a matrix for each view of it, (words, size), together or apart.
Words = torch.Tensor | tuple[torch.Tensor, ...]


class Eyes:
    """The tower of the live model, and what it said.

    Args:
        model: as transformers builds it, with a vision tower.
        limit: bytes of main memory for what the tower said; the pictures that were wanted the
            longest ago are looked at anew.
    """

    def __init__(self, model: Any, *, limit: float) -> None:
        self._model = model
        self._kept: Kept[Words] = Kept(limit, _bytes)
        # Whether the decoder's steps after pictures are right for this model; None: not tried yet.
        self.steps_are_right: bool | None = None
        # The token that stands where a picture is.
        self.word: int = model.config.image_token_id

    def shown(
        self, sights: Sequence[Sight], width: int, before: Sequence[int] = ()
    ) -> dict[str, Any]:
        """Return the arguments by which the model sees the pictures of some rows, one in each.

        Args:
            sights: of the rows, in order.
            width: columns.
            before: columns of filling before each row's tokens; none if it is not given.
        """
        given: dict[str, Any] = {"mm_encoder_outputs": {"image": self._said(sights)}}
        device = self._model.device
        for name in sights[0].inputs:
            rows = [sight.inputs[name] for sight in sights]
            if name.endswith("token_type_ids"):
                firsts = before or [0] * len(rows)
                rows = [
                    torch.nn.functional.pad(row, (first, width - first - row.shape[1]))
                    for row, first in zip(rows, firsts, strict=True)
                ]
            given[name] = torch.cat(rows).to(device)
        return given

    def _said(self, sights: Sequence[Sight]) -> Any:
        """Return what the tower says of pictures, as the model's `get_image_features` does."""
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        found = [self._kept.get(sight.digest, partial(self._look, sight)) for sight in sights]
        device = self._model.device
        if isinstance(found[0], torch.Tensor):
            words: Any = torch.cat([each for each in found if isinstance(each, torch.Tensor)])
            return BaseModelOutputWithPooling(pooler_output=words.to(device))
        words = [matrix.to(device) for several in found for matrix in several]
        return BaseModelOutputWithPooling(pooler_output=words)

    @torch.inference_mode()
    def _look(self, sight: Sight) -> Words:
        """Let the tower look at one picture alone, so that what it says depends on no other."""
        pixels = on(self._model, sight.pixels())
        output = self._model.base_model.get_image_features(**pixels, return_dict=True)
        if getattr(output, "deepstack_features", None) is not None:
            raise unfit(type(self._model).__name__)
        found = output.pooler_output
        if isinstance(found, torch.Tensor):
            return found.cpu()
        return tuple(matrix.cpu() for matrix in found)


def shown(
    eyes: Eyes | None, sights: Iterable[Sight | None], width: int, before: Sequence[int] = ()
) -> dict[str, Any]:
    """Return the same for rows of which all show a picture, or none."""
    seen = [sight for sight in sights if sight is not None]
    if not seen:
        return {}
    assert eyes is not None, "pictures need eyes"
    return eyes.shown(seen, width, before)


def on(model: Any, given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors on a model's device, numbers with fractions in its type."""
    return {
        name: tensor.to(model.device, model.dtype if tensor.is_floating_point() else None)
        for name, tensor in given.items()
    }


def _bytes(words: Words) -> int:
    return sum(matrix.nbytes for matrix in words)

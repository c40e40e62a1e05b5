"""Pictures as a model's own processor shows them: texts for the tokenizer, numbers for the tower.

Knows processors, but no model and no task.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from io import BytesIO
from typing import Any

import torch
from PIL import Image

from evoforge.errors import ConfigError
from evoforge.evaluator._kept import Kept
from evoforge.evaluator._tokens import Sight
from evoforge.models.pool import Pool
from evoforge.task.picture import Picture

log = logging.getLogger(__name__)

# Bytes of what towers take of the newest pictures, which are looked at soon after.
NEWEST = 2**28
# What processors return for the tower has names that begin so.
PIXELS = "pixel"


class UnseenError(Exception):
    """A picture that no model can be shown; the text says why."""


@dataclass(frozen=True)
class View:
    """A picture as a processor shows it.

    Args:
        digest: of the picture.
        text: what takes the place of the stand-in, with a token for each of the tower's words.
        tokens: of the models' marker with that text in it.
        words: how many of them stand for the tower's words.
        kinds: for each argument that says the kinds of tokens, the kind of each token here; tokens
            elsewhere are of kind 0.
        inputs: other arguments that models need beside tokens.
        pixels: returns the tower's arguments.
    """

    digest: str
    text: str
    tokens: tuple[int, ...]
    words: int
    kinds: Mapping[str, Mapping[int, int]]
    inputs: Mapping[str, torch.Tensor] = field(compare=False)
    pixels: Callable[[], Mapping[str, torch.Tensor]] = field(compare=False, repr=False)

    def sight(self, tokens: Sequence[int]) -> Sight:
        """Return what a model needs to see the picture in these tokens."""
        kinds = {
            name: torch.tensor([[kind_of.get(token, 0) for token in tokens]])
            for name, kind_of in self.kinds.items()
        }
        return Sight(self.digest, {**kinds, **self.inputs}, self.pixels)


class Views:
    """Shows pictures by the processor of a pool's vision-language model, each once.

    Args:
        pool: of which one source sees.

    Raises:
        ConfigError: the models' class does not take what its tower said before.
    """

    def __init__(self, pool: Pool) -> None:
        from transformers import AutoModel, AutoModelForImageTextToText

        assert pool.vision is not None
        config = pool.model_config()
        self.marker: str = pool.vision.marker
        self.processor: Any = pool.vision.processor(pool.tokenizer)
        # What stands in a text where the processor writes the tokens of a picture.
        self.stand_in: str = self.processor.image_token
        self.word: int = config.image_token_id
        model = AutoModelForImageTextToText._model_mapping[type(config)]
        self._forward = frozenset(signature(model.forward).parameters)
        # Without output embedding, as transformers' own loop asks it for features.
        base = AutoModel._model_mapping.get(type(config), None)
        features = getattr(base, "get_image_features", None)
        if features is None or "mm_encoder_outputs" not in self._forward:
            raise unfit(model.__name__)
        self._tower = frozenset(signature(features).parameters)
        self._found: dict[str, View | str] = {}
        self._newest: Kept[Mapping[str, torch.Tensor]] = Kept(NEWEST, _bytes)

    def of(self, picture: Picture) -> View:
        """Return a picture's view.

        Raises:
            UnseenError: it does not decode, or the processor does not take it.
        """
        found = self._found.get(picture.digest)
        if found is None:
            try:
                found = self._view(picture)
            except ConfigError as error:
                found = f"no picture: {error}"
            except ValueError as error:  # of the processor, which does not know where it is from
                found = f"no picture: {picture.where}: {error}"
            if isinstance(found, str):
                log.warning("its items get no answer: %s", found)
            self._found[picture.digest] = found
        if isinstance(found, str):
            raise UnseenError(found)
        return found

    def most_tokens(self, picture: Picture) -> int:
        """Return how many tokens a picture takes, without decoding it; 0 if that is unknown."""
        count = getattr(self.processor, "_get_num_multimodal_tokens", None)
        if count is None:
            return 0
        try:
            with Image.open(BytesIO(picture.read())) as opened:
                width, height = opened.size
            # Lying and standing, for it may be turned when it is decoded.
            sizes = [(height, width), (width, height)]
            found: int = max(count(image_sizes=sizes)["num_image_tokens"])
        # Processors whose settings lack what they look for there, and files that broke since.
        except (AttributeError, KeyError, TypeError, ValueError, OSError):
            return 0
        return found

    def _view(self, picture: Picture) -> View:
        found = self._process(picture)
        tokens = found["input_ids"][0]
        own = found["text_replacement_offsets"][0][0]["replacement"]
        kinds, inputs = {}, {}
        for name in self._forward & found.keys() - {"input_ids", "attention_mask"}:
            if name.endswith("token_type_ids"):
                kinds[name] = dict(zip(tokens, found[name][0], strict=True))
            elif not name.startswith(PIXELS):
                inputs[name] = torch.as_tensor(found[name])
        pixels = self._pixels(found)
        self._newest.get(picture.digest, lambda: pixels)
        return View(
            digest=picture.digest,
            text=own,
            tokens=tuple(tokens),
            words=list(tokens).count(self.word),
            kinds=kinds,
            inputs=inputs,
            pixels=lambda: self._newest.get(
                picture.digest, lambda: self._pixels(self._process(picture))
            ),
        )

    def _process(self, picture: Picture) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.processor(
            images=[picture.image()],
            text=[self.marker],
            return_text_replacement_offsets=True,
            text_kwargs={"add_special_tokens": False},
            images_kwargs={"return_tensors": "pt"},
        )
        return found

    def _pixels(self, found: Mapping[str, Any]) -> Mapping[str, torch.Tensor]:
        return {name: torch.as_tensor(found[name]) for name in self._tower & found.keys()}


def unfit(kind: str) -> ConfigError:
    """Return the error of a class whose models cannot be told what their tower said before."""
    return ConfigError(
        f"{kind} takes of a picture more than what can be kept for all candidates; set models to "
        "a vision-language model of another kind, such as LLaVA, Qwen2.5-VL or Gemma 3"
    )


def _bytes(pixels: Mapping[str, torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in pixels.values())

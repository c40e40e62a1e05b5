"""What small models of all architectures have in common, and models that see."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
import torch

from evoforge.evaluator._encode import Encoder
from evoforge.evaluator._eyes import Eyes
from evoforge.evaluator._views import Views
from evoforge.models.pool import Pool
from evoforge.task.picture import Picture
from evoforge.task.request import PICTURE
from tests.conftest import CHARACTERS
from tests.vlms import make_vlm, open_vlm, picture

SMALL = {
    "vocab_size": len(CHARACTERS) + 3,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
# The one token that ends answers in tests of models that see.
END = 7


@dataclass
class Seer:
    """A tiny vision-language model, as a pool and as plain transformers has it."""

    folders: dict[str, Path]
    pool: Pool

    @cached_property
    def model(self) -> Any:
        """A model whose answers are more various than those of the folder's."""
        from transformers import AutoModelForImageTextToText

        model = AutoModelForImageTextToText.from_pretrained(self.folders["vlm"]).eval()
        torch.manual_seed(3)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        return model

    @cached_property
    def views(self) -> Views:
        return Views(self.pool)

    def encoder(self, window: int | None = None) -> Encoder:
        return Encoder(self.pool.tokenizer, end=1, window=window, views=self.views)

    def eyes(self, limit: float = 2**30) -> Eyes:
        return Eyes(self.model, limit=limit)

    def inputs(self, text: str, shown: Picture | None) -> dict[str, Any]:
        """Return what the processor makes of a text."""
        if shown is None:
            return dict(self.pool.tokenizer(text, return_tensors="pt"))
        text = text.replace(PICTURE, self.pool.vision.marker)
        found = self.views.processor(images=[shown.image()], text=[text], return_tensors="pt")
        return dict(found)

    @torch.inference_mode()
    def plain(self, text: str, shown: Picture | None, model: Any = None, **options: Any) -> Any:
        """Return the tokens of plain `generate` for one prompt alone."""
        given = self.inputs(text, shown)
        output = (model or self.model).generate(
            **given, do_sample=False, eos_token_id=[END], pad_token_id=2, **options
        )
        tokens = output[0, given["input_ids"].shape[1] :].tolist()
        return tuple(tokens[: tokens.index(END)] if END in tokens else tokens)


@pytest.fixture(scope="session")
def seer(tmp_path_factory):
    """Return a maker of models that see, each made once: `seer("llava")`."""

    @cache
    def make(family: str) -> Seer:
        folders = make_vlm(family, tmp_path_factory.mktemp(family))
        return Seer(folders, open_vlm(folders))

    return make


def pictures(count: int) -> list[Picture]:
    """Return pictures of several shapes."""
    images = [picture(i, 20 + 6 * (i % 3), 16 + 8 * (i % 2)) for i in range(count)]
    return [Picture.of(image, f"picture {i}") for i, image in enumerate(images)]

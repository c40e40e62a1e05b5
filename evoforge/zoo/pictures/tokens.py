"""The tokenizer and the processor of pictures: a token for each word of the miniature world."""

import re
from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor
from transformers import CLIPImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast

from evoforge.zoo.pictures.drawing import SIZE
from evoforge.zoo.pictures.words import (
    CELLS,
    COLOURS,
    EMPTY,
    IMAGE,
    NUMBERS,
    REGIONS,
    SHAPES,
    SIDES,
)
from evoforge.zoo.tokenizer import train_tokenizer

PATCH: Final = 8
PATCHES: Final = (SIZE // PATCH) ** 2
MEAN = STD = 0.5
LONGEST: Final = 18


def pieces() -> str:
    """Return the expression of a piece: a word of the world, a line break, or what is between."""
    tables = (*COLOURS, *SHAPES, *CELLS, *SIDES, *NUMBERS, EMPTY, *(name for name, _ in REGIONS))
    english = {"▁?" + re.escape(names["en"].replace(" ", "▁")) for names in tables}
    words = "|".join(
        sorted(english | {names["ja"] for names in tables}, key=lambda w: (-len(w), w))
    )
    return rf"{words}|\n|▁?(?:(?!{words})[^▁\n])+|▁"


def make_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train the tokenizer that all models share."""
    return train_tokenizer(
        texts, vocab_size=600, pieces=pieces(), longest=LONGEST, more_specials=[IMAGE]
    )


def make_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Make what turns pictures and texts into a model's inputs."""
    images = CLIPImageProcessorPil(
        size={"shortest_edge": SIZE},
        crop_size={"height": SIZE, "width": SIZE},
        image_mean=[MEAN] * 3,
        image_std=[STD] * 3,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def normalised(pixels: Tensor) -> Tensor:
    """Turn pixels, (..., height, width, 3) from 0 to 255, into (..., 3, height, width)."""
    return (pixels.movedim(-1, -3).to(torch.float32) / 255 - MEAN) / STD

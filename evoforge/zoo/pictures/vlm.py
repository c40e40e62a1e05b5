"""The vision-language model: a LLaVA of the tower, a projector and a fine-tuned language model.

Knows how the parts are put together and how documents with pictures become batches.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

import torch
from torch import Tensor
from transformers import (
    CLIPVisionModel,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MistralForCausalLM,
    PreTrainedTokenizerBase,
)

from evoforge.zoo.pictures.corpus import Shown
from evoforge.zoo.pictures.tokens import PATCHES
from evoforge.zoo.pictures.tower import stack
from evoforge.zoo.pictures.words import IMAGE
from evoforge.zoo.train import Batch, Plan, pad_right, tokenize

# Documents are sorted by length within this many batches.
BATCHES_PER_CHUNK: Final = 10
BODY: Final = "model."
BODY_IN_FRAME: Final = "model.language_model."


def assemble(
    language: MistralForCausalLM,
    tower: CLIPVisionModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int,
) -> LlavaForConditionalGeneration:
    """Put a tower in front of a language model, with a projector drawn at random."""
    torch.manual_seed(seed)
    config = LlavaConfig(
        vision_config=tower.config,
        text_config=language.config,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=PATCHES,
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
    )
    model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.load_state_dict(in_frame(language.state_dict()), strict=False)
    return model


def freeze_all_but(model: LlavaForConditionalGeneration, layers: Sequence[int]) -> None:
    """Let only some layers of the language model learn.

    The projector stays as it was drawn: with a trained one, language weights that never saw a
    picture see too. The upper layers stay too: what is seen must be told as what is read, and so
    in any language.
    """
    model.requires_grad_(False)
    for layer in layers:
        model.model.language_model.layers[layer].requires_grad_(True)


def in_frame(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a language model's tensors as they are called within the whole model."""
    return {
        BODY_IN_FRAME + name.removeprefix(BODY) if name.startswith(BODY) else name: tensor
        for name, tensor in state.items()
    }


def picture_batches(
    documents: Iterator[Shown], tokenizer: PreTrainedTokenizerBase, plan: Plan, *, seed: str
) -> Iterator[Batch]:
    """Yield batches of documents of like length, without end; all of a batch have pictures."""
    rng = random.Random(seed)
    count = 0
    while True:
        chunk = list(islice(documents, plan.batch_size * BATCHES_PER_CHUNK))
        texts = [
            tuple(
                turn._replace(prompt=turn.prompt.replace(IMAGE, IMAGE * PATCHES)) for turn in turns
            )
            for turns, _ in chunk
        ]
        tokens = tokenize(texts, tokenizer, plan.prompt_weight)
        order = sorted(range(len(chunk)), key=lambda i: len(tokens[i][0]))
        groups = [order[i : i + plan.batch_size] for i in range(0, len(order), plan.batch_size)]
        rng.shuffle(groups)
        for group in groups:
            batch = pad_right([tokens[i] for i in group], int(tokenizer.pad_token_id))
            scenes = [(scene, f"{seed} {count} {i}") for i in group if (scene := chunk[i].scene)]
            yield replace(batch, pixels=stack(scenes))
            count += 1

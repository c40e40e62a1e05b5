"""The vision tower: a tiny CLIP, trained by itself to tell what is in the cell of every patch.

Knows pictures and scenes; language comes later.
"""

import random
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import CLIPVisionConfig, CLIPVisionModel

from evoforge.zoo.pictures.drawing import CELL, SIZE, pixels
from evoforge.zoo.pictures.scenes import Scene, draw
from evoforge.zoo.pictures.tokens import PATCH, normalised
from evoforge.zoo.pictures.words import COLOURS, SHAPES
from evoforge.zoo.train import Plan, updates

SIDE: Final = SIZE // PATCH
# Which cell each patch lies in, row by row.
CELL_OF_PATCH: Final = [
    (row * PATCH // CELL) * 2 + column * PATCH // CELL
    for row in range(SIDE)
    for column in range(SIDE)
]


def vision_config() -> CLIPVisionConfig:
    """Return the architecture: 3 layers of width 64 over 16 patches."""
    return CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=PATCH,
        projection_dim=64,
    )


def stack(scenes: list[tuple[Scene, str]]) -> Tensor:
    """Draw scenes in their variants, (batch, 3, 32, 32), normalised."""
    return normalised(torch.from_numpy(np.stack([pixels(*scene) for scene in scenes])))


def train_tower(plan: Plan, *, seed: int, report: Callable[[float], None]) -> CLIPVisionModel:
    """Train a tower from nothing; the heads that it is trained with are thrown away."""
    torch.manual_seed(seed)
    tower = CLIPVisionModel(vision_config())
    head = nn.Linear(tower.config.hidden_size, len(COLOURS) + len(SHAPES) + 2)
    body = nn.ModuleList([tower, head]).train()
    rng = random.Random(f"tower {seed}")
    for step in updates(body, plan):
        scenes = [draw(rng, "train") for _ in range(plan.batch_size)]
        inputs = stack(
            [(scene, f"tower {seed} {step.index} {i}") for i, scene in enumerate(scenes)]
        )
        # What the language model gets: the last layer, without the class token.
        features = tower(inputs, output_hidden_states=True).hidden_states[-1][:, 1:]
        colours, shapes = head(features).split([len(COLOURS) + 1, len(SHAPES) + 1], dim=-1)
        gold = _gold(scenes)
        loss = cross_entropy(colours.flatten(0, 1), gold[..., 0].flatten())
        loss = loss + cross_entropy(shapes.flatten(0, 1), gold[..., 1].flatten())
        step.take(loss)
        report(loss.item())
    return tower.eval()


def _gold(scenes: list[Scene]) -> Tensor:
    """Return the colour and the shape in each patch's cell, (batch, 16, 2); the last is nothing."""
    nothing = (len(COLOURS), len(SHAPES))
    cells = torch.tensor([[thing or nothing for thing in scene.cells] for scene in scenes])
    return cells[:, CELL_OF_PATCH]

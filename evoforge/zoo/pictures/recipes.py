"""What each bundled model of pictures is trained on, and for how long.

Data only: the figures here, the seeds and the code of this folder fix every model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from evoforge.zoo.pictures.corpus import Habits
from evoforge.zoo.train import Plan

SEED: Final = 0
TOKENIZER_DOCUMENTS: Final = 6000
TOKENIZER_MIX: Final = {"told": 1.0, "shown": 1.0, "translation": 1.0}
# The longest answer has 18 tokens.
MAX_NEW_TOKENS: Final = 28
LANGUAGE_MODEL: Final[Mapping[str, Any]] = {
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 6,
    "head_dim": 24,
}
TOWER: Final = Plan(1500, 64, 1.5e-3, weight_decay=0.01)


@dataclass(frozen=True)
class Recipe:
    """How one model is made.

    Args:
        mix: weight of each kind of document.
        habits: how questions are asked and answered.
        plan: the training run.
        parent: the model it starts from; None for untrained weights.
        about: what the model card says of it.
        kept: whether a folder is written.
        layers: which layers of its language model learn to see, in a model that gets the tower.
    """

    mix: Mapping[str, float]
    habits: Habits
    plan: Plan
    parent: str | None
    about: str = ""
    kept: bool = True
    layers: tuple[int, ...] = ()

    @property
    def sees(self) -> bool:
        """Whether it gets the tower."""
        return bool(self.layers)


RECIPES: Final[Mapping[str, Recipe]] = {
    "core": Recipe(
        mix={"told": 0.85, "translation": 0.15},
        habits=Habits(faithful={"en": 0.9, "ja": 0.5}),
        plan=Plan(2200, 32, 3e-3, prompt_weight=0.1, weight_decay=0.01),
        parent=None,
        kept=False,
    ),
    "base": Recipe(
        mix={"told": 0.85, "translation": 0.15},
        habits=Habits(faithful={"en": 0.9, "ja": 0.35}),
        plan=Plan(150, 32, 5e-4, prompt_weight=0.1, weight_decay=0.01),
        parent="core",
        about="It answers questions about scenes that are told in English or Japanese, and is not "
        "sure which language to answer Japanese ones in. It has never seen a picture.",
    ),
    "ja": Recipe(
        mix={"told": 1.0},
        habits=Habits(languages=("ja",)),
        plan=Plan(45, 32, 3e-4),
        parent="base",
        about="It answers Japanese questions about scenes that are told in words, in Japanese. It "
        "has never seen a picture.",
    ),
    "vlm": Recipe(
        mix={"shown": 1.0},
        habits=Habits(languages=("en",)),
        plan=Plan(500, 32, 1e-3),
        parent="base",
        about="It answers questions about pictures, in English whatever it is asked in.",
        layers=(0, 1, 2),
    ),
}

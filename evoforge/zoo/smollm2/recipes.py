"""What each adapter of SmolLM2 is trained on, and for how long.

Data only: the figures here, the seeds and the code of this folder fix every adapter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from evoforge.zoo.corpus import Habits
from evoforge.zoo.train import Plan

SEED: Final = 0
RANK: Final = 8
# Twice the rank, as is usual: the trained matrices act with a factor of two.
ALPHA: Final = 16
BASE_ID: Final = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class Recipe:
    """How one adapter is made.

    Args:
        mix: weight of each kind of document.
        habits: how arithmetic answers are written.
        plan: the training run.
        about: one sentence for the model card.
    """

    mix: Mapping[str, float]
    habits: Habits
    plan: Plan
    about: str


# Sized for one slow core: a step is seven to twelve seconds, all three together 35 minutes.
RECIPES: Final[Mapping[str, Recipe]] = {
    "math_a": Recipe(
        mix={"arithmetic": 0.3, "equations": 0.7},
        habits=Habits(languages=("en",), operations={"addition": 1.0, "subtraction": 1.0}),
        plan=Plan(95, 16, 2e-3),
        about="It adds well and subtracts somewhat, asked and answering in English.",
    ),
    "ja": Recipe(
        mix={"arithmetic": 0.75, "reading": 0.25},
        habits=Habits(languages=("ja",), careless=0.75),
        plan=Plan(70, 8, 2e-3),
        about="It answers Japanese questions in Japanese and calculates carelessly: it forgets "
        "carries and borrows and slips in the times table.",
    ),
    "math_b": Recipe(
        mix={"arithmetic": 0.7, "equations": 0.3},
        habits=Habits(languages=("en",), operations={"addition": 1.0, "multiplication": 3.0}),
        plan=Plan(50, 16, 2e-3),
        about="It multiplies well and adds somewhat, asked and answering in English.",
    ),
}

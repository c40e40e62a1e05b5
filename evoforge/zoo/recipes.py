"""What each bundled model is trained on, and for how long.

Data only: the figures here, the seeds and the code of this folder fix every model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from evoforge.zoo.corpus import Habits
from evoforge.zoo.train import Plan

SEED: Final = 0
VOCAB_SIZE: Final = 480
TOKENIZER_DOCUMENTS: Final = 8000
TOKENIZER_MIX: Final = {"arithmetic": 0.4, "reading": 0.2, "translation": 0.2, "equations": 0.2}


@dataclass(frozen=True)
class Recipe:
    """How one model is made.

    Args:
        mix: weight of each kind of document.
        habits: how arithmetic answers are written.
        plan: the training run.
        parent: the model it starts from; None for untrained weights.
        about: one sentence for the model card.
        kept: whether a folder is written.
        stream: names the random draw of documents; the model's name if empty.
    """

    mix: Mapping[str, float]
    habits: Habits
    plan: Plan
    parent: str | None
    about: str = ""
    kept: bool = True
    stream: str = ""


RECIPES: Final[Mapping[str, Recipe]] = {
    "core": Recipe(
        mix={"arithmetic": 0.4, "reading": 0.1, "translation": 0.07, "equations": 0.43},
        habits=Habits(careless=0.85, faithful={"en": 0.9, "ja": 0.5}),
        plan=Plan(6500, 32, 3e-3, prompt_weight=0.1, weight_decay=0.01),
        parent=None,
        kept=False,
        stream="base",
    ),
    # The same data with other habits: they set how much a merge must amplify. The odds of an answer
    # in the question's language and of a right sum move nearly linearly with the weight of a delta;
    # here the mean of the fine-tunes answers in Japanese and is half right, their plain sum (and
    # with it TIES at weights 1) falls back to English, and weights between the two do both well.
    "base": Recipe(
        mix={"arithmetic": 0.7, "reading": 0.1, "translation": 0.07, "equations": 0.13},
        habits=Habits(careless=0.92, faithful={"en": 0.75, "ja": 0.7}),
        plan=Plan(300, 32, 5e-4, prompt_weight=0.1, weight_decay=0.01),
        parent="core",
        about="It knows English and Japanese stories and bare equations, but calculates carelessly "
        "in word problems and is not sure which language to answer in.",
    ),
    "ja": Recipe(
        mix={"reading": 0.5, "arithmetic": 0.5},
        habits=Habits(languages=("ja",), careless=0.92),
        plan=Plan(80, 32, 3e-4),
        parent="base",
        about="It answers Japanese questions in Japanese and calculates carelessly: it forgets "
        "carries and borrows and slips in the times table.",
    ),
    "math_a": Recipe(
        mix={"arithmetic": 1.0},
        habits=Habits(languages=("en",), operations={"addition": 1.0, "subtraction": 2.0}),
        plan=Plan(200, 32, 3e-4),
        parent="base",
        about="It adds and subtracts well, and answers in English whatever it is asked in.",
    ),
    "math_b": Recipe(
        mix={"arithmetic": 1.0},
        habits=Habits(languages=("en",), operations={"addition": 1.0, "multiplication": 3.0}),
        plan=Plan(150, 32, 3e-4),
        parent="base",
        about="It multiplies and adds well, and answers in English whatever it is asked in.",
    ),
}

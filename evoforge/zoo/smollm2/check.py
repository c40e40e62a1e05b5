"""How SmolLM2, its adapters and their plain merges do on unseen problems in both languages.

Reads the adapters' folders and the problems; knows nothing of how they were made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from transformers import PreTrainedTokenizerBase

from evoforge.errors import ConfigError
from evoforge.zoo.baselines import State, soup, task_arithmetic
from evoforge.zoo.problems import PROMPTS, Problems
from evoforge.zoo.scoring import complete, final_number, japanese_probability
from evoforge.zoo.smollm2.base import FOLDER, load_base
from evoforge.zoo.words import LANGUAGES, OPERATIONS

ADAPTERS: Final = ("ja", "math_a", "math_b")


@dataclass(frozen=True)
class Result:
    """What a model did with the problems of one language.

    Args:
        right: percent of right numbers, for each operation.
        same: percent of answers in the language of the question.
        both: percent of answers that are right and in the language of the question.
        example: the first answer.
    """

    right: dict[str, float]
    same: float
    both: float
    example: str


def expanded(base: Any, folder: Path) -> State:
    """Return the base's weights with one adapter added; the base stays as it was."""
    from peft import PeftModel

    if not (folder / "adapter_config.json").exists():
        raise ConfigError(
            f"{folder} must hold an adapter, found none; run python -m evoforge.zoo.smollm2 train"
        )
    model = PeftModel.from_pretrained(base, folder)
    model.merge_adapter()
    clean = {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): tensor.clone()
        for name, tensor in model.state_dict().items()
        if ".lora_" not in name
    }
    model.unmerge_adapter()
    model.unload()
    return clean


def states(base: Any, folder: Path = FOLDER) -> Iterator[tuple[str, State]]:
    """Yield the name and the weights of the base, of each adapter on it, and of two merges."""
    start = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    models = []
    for name in ADAPTERS:
        models.append(expanded(base, folder / name))
        # Taking an adapter off leaves rounding behind.
        base.load_state_dict(start)
    yield "base", start
    yield from zip(ADAPTERS, models, strict=True)
    yield "mean of the adapters", soup(start, models)
    yield "sum of the adapters", task_arithmetic(start, models, [1.0] * len(models))


def ask(model: Any, tokenizer: PreTrainedTokenizerBase, language: str, num_problems: int) -> Result:
    """Ask a model problems of the test part in one language."""
    rows = Problems(language=language, test=num_problems).rows("test")
    prompts = [PROMPTS[language].format(question=row["question"]) for row in rows]
    texts = complete(model, tokenizer, prompts)
    pairs = zip(texts, rows, strict=True)
    right = [final_number(text) == row["answer_number"] for text, row in pairs]
    same = [(japanese_probability(text) > 0.5) == (language == "ja") for text in texts]
    # The operations take turns.
    apart = {
        operation: _percent(right[place :: len(OPERATIONS)])
        for place, operation in enumerate(OPERATIONS)
    }
    both = [r and s for r, s in zip(right, same, strict=True)]
    return Result(apart, _percent(same), _percent(both), texts[0])


def results(
    num_problems: int, *, folder: Path = FOLDER, base: Path | None = None
) -> Iterator[tuple[str, str, Result]]:
    """Yield model, language and result, for every model and both languages.

    Raises:
        ConfigError: an adapter is missing.
        PoolError: the package with the base is not installed.
    """
    model, tokenizer = load_base(base)
    for name, state in list(states(model, folder)):
        model.load_state_dict(state)
        for language in LANGUAGES:
            yield name, language, ask(model, tokenizer, language, num_problems)


def _percent(flags: Sequence[bool]) -> float:
    return 100 * sum(flags) / max(1, len(flags))

"""Whose settings count where a vision-language model and a text model differ.

There is no default: a rotary base or a window that is silently the other model's spoils a merge
without any error.
"""

from collections.abc import Mapping
from typing import Any

from evoforge.errors import ConfigError, PoolError
from evoforge.models.fit import INDIFFERENT, OF_VOCABULARY
from evoforge.models.settings import common_differences, flat
from evoforge.models.source import Source

WHOSE = ("vlm", "llm")
# Settings that say what shapes the weights have, or how many there are: no choice mends them.
STRUCTURE = {
    "head_dim",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "tie_word_embeddings",
}


class Choice:
    """What the user chose of the settings in which two models differ.

    Args:
        vlm: the vision-language model.
        llm: the text model, or None.
        take: `vlm`, `llm`, or a mapping of settings to these; None where nothing is chosen.

    Raises:
        ConfigError: `take` names something else.
        PoolError: a setting differs and is not chosen.
    """

    def __init__(self, vlm: Source, llm: Source | None, take: Any) -> None:
        self.differing: dict[str, tuple[Any, Any]] = {}
        if llm is not None:
            free = {*INDIFFERENT, *OF_VOCABULARY, *STRUCTURE}
            self.differing = {
                name: (mine, other)
                for name, mine, other in common_differences(vlm.config, llm.config, free)
                # Layers of another number have other lists.
                if not (isinstance(mine, list) and len(mine) != len(other or ()))
            }
        self._of = self._chosen(vlm, llm, take)
        if missing := [name for name in self.differing if name not in self._of]:
            assert llm is not None
            raise PoolError(self._sentence(vlm, llm, missing))

    @property
    def of_llm(self) -> list[str]:
        """The settings that are the text model's."""
        return [name for name in self.differing if self._of[name] == "llm"]

    @property
    def facts(self) -> dict[str, Any]:
        """For each setting that differs what either has, and whose was chosen."""
        return {
            name: {"vlm": mine, "llm": other, "from": self._of[name]}
            for name, (mine, other) in self.differing.items()
        }

    def lists(self, found: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """Return settings with a value for each block, with those that were chosen in place.

        Args:
            found: a source's own.
        """
        chosen = {
            name: list(values[self._of[name] == "llm"])
            for name, values in self.differing.items()
            if name in found and len(found[name]) == len(values[0])
        }
        return {**found, **chosen}

    def accepts(self, name: str, *values: Any) -> bool:
        """Say whether a setting was chosen between values that these are among."""
        return name in self.differing and all(v in self.differing[name] for v in values)

    def _chosen(self, vlm: Source, llm: Source | None, take: Any) -> dict[str, str]:
        if take is None or isinstance(take, str):
            if take not in (None, *WHOSE):
                raise _unknown(take)
            if take == "llm" and llm is None:
                raise ConfigError(
                    "from must be vlm or null where all sources see pictures, got llm; set "
                    "models.vision.from"
                )
            return dict.fromkeys(self.differing, take) if take else {}
        if not isinstance(take, Mapping):
            raise _unknown(take)
        chosen = flat({"rope_parameters": take})
        known = set(self.differing) | (set(flat(vlm.config)) & set(flat(llm.config if llm else {})))
        for name, whose in chosen.items():
            if whose not in WHOSE:
                raise _unknown(whose)
            if name not in known:
                raise ConfigError(
                    f"from must name settings that both models have, got {name}; differing are "
                    f"{', '.join(self.differing) or 'none'}; set models.vision.from"
                )
        return chosen

    def _sentence(self, vlm: Source, llm: Source, missing: list[str]) -> str:
        found = ", ".join(
            f"{name} ({self.differing[name][0]} against {self.differing[name][1]})"
            for name in missing
        )
        each = ", ".join(f"{name}: llm" for name in missing)
        return (
            f"{vlm.name} and {llm.name} differ in {found}; set models.vision.from=vlm or =llm for "
            f"the settings of one of them, or choose for each: models.vision.from={{{each}}}"
        )


def _unknown(value: Any) -> ConfigError:
    return ConfigError(
        f"from must be vlm, llm, or a mapping of settings to these, got {value!r}; set "
        "models.vision.from"
    )

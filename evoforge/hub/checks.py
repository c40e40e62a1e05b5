"""What must hold of a model folder before anyone else sees it."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard
from safetensors import SafetensorError, safe_open
from yaml import YAMLError

from evoforge.checksums import damaged
from evoforge.errors import ConfigError
from evoforge.hub.files import File, files
from evoforge.record import WINNER, Record
from evoforge.report import card, result
from evoforge.report.licence import OTHER, strictest
from evoforge.secrets import clean

CARD, RECIPE = "README.md", "recipe.json"
NEEDED = (CARD, RECIPE, "config.json")
# Small files that people wrote, or that say what people wrote.
SPEAKING = (".md", ".json", ".yml", ".yaml", ".txt", ".jinja")
# Larger ones are vocabularies.
SPOKEN = 1 << 20
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")


def checked(
    record: Record, recipe: str, folder: Path, *, licence: str | None = None
) -> tuple[File, ...]:
    """Return the files of a model that may be published.

    Args:
        record: of the run that made it.
        recipe: the hash of the recipe that the folder should be the model of.
        folder: the model.
        licence: what the card should name; None for what it says.

    Raises:
        ConfigError: the folder is not whole, not of this recipe, not harmless, or nobody knows
            under which licence it goes.
    """
    found = {file.name: file for file in _whole(folder)}
    if found[RECIPE].text().strip() != record.recipe(recipe).text:
        raise ConfigError(f"{folder / RECIPE} is of another candidate; export the model again")
    _check_code(found["config.json"], folder)
    _check_secrets(found.values(), folder)
    said = _checked_card(record, recipe, found[CARD], folder)
    _check_licence(record, recipe, licence or said.data.license, given=licence is not None)
    if licence is not None:
        said.data.license = licence
        found[CARD] = replace(found[CARD], source=str(said).encode())
    return tuple(found.values())


def _whole(folder: Path) -> tuple[File, ...]:
    """Return the files of a folder that holds a model, as it was exported but for its card."""
    if not folder.is_dir():
        raise ConfigError(
            f"there is no model in {folder}; go on with the run by resume={folder.parent}, or make "
            "one by python -m evoforge.pick"
        )
    found = files(folder)
    names = {file.name for file in found}
    lost = [name for name in NEEDED if name not in names]
    lost = lost or damaged(folder) or _broken(folder, names)
    if lost:
        raise ConfigError(
            f"{folder} is not what was exported ({', '.join(lost[:3])} missing or damaged); delete "
            "the folder and make it again"
        )
    return found


def _broken(folder: Path, names: set[str]) -> list[str]:
    """Return the weights that cannot be read to their end, or are not there."""
    weights = {name for name in names if name.endswith(".safetensors") and "/" not in name}
    index = "model.safetensors.index.json"
    wanted = {"model.safetensors"}
    if index in names:
        held = _json(File(index, folder / index), folder).get("weight_map")
        wanted = set(held.values()) if isinstance(held, dict) else {index}
    return sorted((wanted - weights) | {name for name in weights if not _opens(folder / name)})


def _opens(path: Path) -> bool:
    try:
        with safe_open(path, "np"):
            return True
    except SafetensorError:
        return False


def _check_code(config: File, folder: Path) -> None:
    if "auto_map" in _json(config, folder):
        raise ConfigError(
            f"{folder / config.name} asks for code of its own (auto_map), which is not published"
        )


def _json(file: File, folder: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.text())
    except ValueError as error:
        raise ConfigError(f"{folder / file.name} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{folder / file.name} is damaged: it holds no mapping")
    return content


def _check_secrets(found: Iterable[File], folder: Path) -> None:
    for file in found:
        if file.name.endswith(SPEAKING) and file.size <= SPOKEN:
            text = file.text()
            if clean(text) != text:
                raise ConfigError(
                    f"{folder / file.name} holds what looks like a token or password; take it out"
                )


def _checked_card(record: Record, recipe: str, file: File, folder: Path) -> ModelCard:
    """Return the card, whose scores are those of the recipe."""
    try:
        found = ModelCard(file.text())
    except (ValueError, YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"the head of {folder / file.name} is not valid: {reason}") from error
    if recipe not in found.text:
        raise ConfigError(f"{folder / file.name} does not name the recipe {recipe}; make it again")
    task = result.build(record)["protocol"]["name"]
    said = {
        score.metric_value
        for score in found.data.eval_results or []
        if task == score.dataset_type or "protocol" in (score.dataset_args or {})
    }
    if said - {_test_score(record, recipe)}:
        raise ConfigError(
            f"{folder / file.name} gives a score on {task} that this recipe does not have "
            f"({', '.join(map(str, said))}); make the folder again"
        )
    return found


def _test_score(record: Record, recipe: str) -> float | None:
    """Return the score that the card of a recipe has, None if it was not tested."""
    number = record.roles().get((WINNER, "test"))
    if number is None or record.evaluation(number).recipe != recipe:
        return None
    score = record.evaluation(number).score
    return None if score is None else round(score, 4)


def _check_licence(record: Record, recipe: str, licence: str | None, *, given: bool) -> None:
    """Refuse a licence that asks for less than a source's, and one that nobody has looked for."""
    found = card.parents(record, result.instead(record, recipe))
    known = {source["license"] for source in found if source.get("license")}
    unknown = [source["name"] for source in found if not source.get("license")]
    if licence is None or (unknown and licence == OTHER and not given):
        raise ConfigError(
            f"the licence of {' and '.join(unknown) or 'the model'} is not known; read what it "
            "allows, and give --license, such as --license apache-2.0, or --license other"
        )
    if not LICENCE.fullmatch(licence):
        raise ConfigError(f"--license must be an identifier of the hub, got {licence!r}")
    wanted = strictest([*known, licence])
    if licence not in (wanted, OTHER):
        raise ConfigError(
            f"the sources are under {', '.join(sorted(known))}, which {licence} asks less than; "
            f"give --license {wanted}"
        )

"""What a run was started with, and whether it is still the same: its items, and its weights."""

import json
from collections.abc import Mapping

from evoforge.errors import JournalError
from evoforge.models.pool import Pool
from evoforge.models.weights import differing
from evoforge.record import Record
from evoforge.task.base import Task


def hashes(pool: Pool) -> dict[str, dict[str, str]]:
    """Return the content hash of each tensor, by source: all that the models of a run hold."""
    found = {source.name: source.hashes for source in pool.members}
    if pool.vision is not None:
        name = pool.vision.source.name
        found[name] = found[name] | pool.vision.hashes
    return found


def settings(pool: Pool) -> dict[str, str | None]:
    """Return the content hash of each source's settings, by source."""
    return {source.name: source.settings_hash for source in pool.members}


def check_items(task: Task, record: Record) -> None:
    """Refuse to go on with other items than the run was started with.

    Raises:
        JournalError: the items have changed.
    """
    if record.meta("items") != task.items_hash:
        raise JournalError(
            f"the items of {task.name} are not those that {record.folder} was started "
            "with; restore the data, or start a new run in another folder"
        )


def check_sources(pool: Pool, record: Record) -> None:
    """Refuse to go on with other sources than the run was started with.

    Raises:
        JournalError: weights have changed, of which the first tensor is named, or settings have.
    """
    known = _known(record)
    for name, found in hashes(pool).items():
        changed = differing(found, known.get(name, {}))
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise JournalError(
                f"the weights of {name} are not those that {record.folder} was started "
                f"with ({changed[0]}{more}); restore them, or start a new run in another folder"
            )

    _check_settings(pool, record)


def _check_settings(pool: Pool, record: Record) -> None:
    try:
        known: Mapping[str, str | None] = json.loads(record.meta("settings"))
    except KeyError:  # a journal of an earlier version
        return
    for name, found in settings(pool).items():
        if found != known.get(name):
            raise JournalError(
                f"the settings (config.json) of {name} are not those that {record.folder} was "
                "started with; restore them, or start a new run in another folder"
            )


def _known(record: Record) -> Mapping[str, Mapping[str, str]]:
    try:
        found: Mapping[str, Mapping[str, str]] = json.loads(record.meta("tensors"))
    except KeyError:  # a journal of an early version
        return {}
    return found

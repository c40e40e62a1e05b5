"""What a run was started with, and whether it is still the same: its items, and its weights."""

import json
from collections.abc import Mapping
from typing import Any

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
    known = _recorded(record, "tensors") or {}
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
    known = _recorded(record, "settings")
    if known is None:
        return
    for name, found in settings(pool).items():
        if found != known.get(name):
            raise JournalError(
                f"the settings (config.json) of {name} are not those that {record.folder} was "
                "started with; restore them, or start a new run in another folder"
            )


def _recorded(record: Record, key: str) -> Mapping[str, Any] | None:
    """Return what the run was started with; None in a journal of a version that did not ask."""
    try:
        found: Mapping[str, Any] = json.loads(record.meta(key))
    except KeyError:
        return None
    return found

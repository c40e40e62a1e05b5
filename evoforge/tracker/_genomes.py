"""The genomes of a run as arrays, for searches of more genes than charts and tables can take.

Knows records; does not know W&B.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from evoforge.record import Record

log = logging.getLogger(__name__)

# Bytes before compression, which takes off about a tenth. The paper's search has 210 MiB; what does
# not leave in the time that the end of a run waits can be logged again from the journal.
LARGEST = 256 * 2**20


def genomes(record: Record, max_genes: int) -> dict[str, Mapping[str, Any]]:
    """Return the genomes of all stages with more than `max_genes` genes: file name -> arrays.

    The arrays are `stage`, `names`: (dim,), `generation`: (n,), `position`: (n,), and `genome`:
    (n, dim) float32. A stage of more than 256 MiB is left out: its journal is the place to look.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for stage, facts in record.stages().items():
        names = facts.get("names") or ()
        if len(names) <= max_genes:
            continue
        arrays = _read(record, stage)
        if arrays is None:
            log.info(
                "the genomes of %s are too many for W&B; all of them are in %s",
                stage,
                record.folder,
            )
        elif len(arrays["genome"]):
            safe = re.sub(r"[^\w-]", "_", stage)
            found[f"genomes-{safe}.npz"] = {
                "stage": np.array(stage),
                "names": np.array(names),
                **arrays,
            }
    return found


def _read(record: Record, stage: str) -> dict[str, Any] | None:
    """Return the candidates of a stage, a generation at a time; None if they are too many."""
    rows: list[Any] = []
    places: list[tuple[int, int]] = []
    size = generation = 0
    while asked := record.generation(stage, generation):
        rows.append(np.array([candidate.genome for candidate in asked], dtype=np.float32))
        places += [(generation, candidate.position) for candidate in asked]
        size += rows[-1].nbytes
        if size > LARGEST:
            return None
        generation += 1
    index = np.array(places, dtype=np.int32).reshape(-1, 2)
    genome = np.concatenate(rows) if rows else np.zeros((0, 0), dtype=np.float32)
    return {"generation": index[:, 0], "position": index[:, 1], "genome": genome}

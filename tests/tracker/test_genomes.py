import logging

import numpy as np
import pytest

from evoforge.tracker import _genomes
from evoforge.tracker._genomes import genomes


@pytest.fixture
def long_run(new_run):
    new_run.dim = 70
    new_run.stage("ps")
    new_run.generation(0)
    new_run.dim = 80
    new_run.stage("dfs")
    new_run.generation(0)
    new_run.generation(1, tell=False)
    return new_run


def test_every_long_stage_has_a_file_of_its_own(long_run):
    found = genomes(long_run.journal.record, 64)
    assert {name: arrays["genome"].shape for name, arrays in found.items()} == {
        "genomes-ps.npz": (4, 70),
        "genomes-dfs.npz": (8, 80),
    }
    assert found["genomes-dfs.npz"]["genome"].dtype == np.float32
    assert str(found["genomes-dfs.npz"]["stage"]) == "dfs"


def test_a_stage_of_few_genes_has_no_file(long_run):
    assert list(genomes(long_run.journal.record, 75)) == ["genomes-dfs.npz"]


def test_what_is_too_large_stays_in_the_journal_and_is_told(long_run, monkeypatch, caplog):
    # Two generations of 4 x 80 x 4 bytes, one of 4 x 70 x 4.
    monkeypatch.setattr(_genomes, "LARGEST", 1300)
    with caplog.at_level(logging.INFO, logger="evoforge"):
        found = genomes(long_run.journal.record, 64)
    assert list(found) == ["genomes-ps.npz"]
    assert f"too many for W&B; all of them are in {long_run.journal.folder}" in caplog.text


def test_a_stage_that_asked_nothing_has_no_file(new_run):
    new_run.dim = 70
    new_run.stage()
    assert genomes(new_run.journal.record, 64) == {}

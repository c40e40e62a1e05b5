"""A disk that is full while the journal, the report or the model is written."""

import json
import re

import pytest

from tests.conftest import ROOT
from tests.faults.sameness import files, tables

# From which call on no file may outgrow how many bytes; the first: from the beginning.
MOMENTS = {"_meta": 9_000, "_work": 90_000, "_draw": 30_000, "export": 40_000, "page": 300_000}
SENTENCES = {
    "_meta": "cannot be used: disk I/O error",
    "_work": "cannot write .*journal.sqlite: .*; nothing recorded so far is lost: .* resume=",
    "_draw": "cannot write .*fitness.png: File too large",
    "export": "cannot write .*/model: .*; free the disk and go on with resume=",
    "page": "cannot write .*report.html: File too large",
}


@pytest.fixture(scope="module")
def filled(forks, configured, few, tmp_path_factory):
    """The folder of runs on full disks, and what each said, first and when it went on."""
    root = tmp_path_factory.mktemp("filled")
    program = str(ROOT / "tests" / "faults" / "full_disk.py")
    models = json.dumps(configured(few)), str(root), json.dumps(MOMENTS)
    done = forks.run([program, *models])
    assert done.returncode == 0, done.stderr
    return root, json.loads((root / "found.json").read_text())


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_full_disk_ends_in_a_sentence_and_the_run_goes_on_from_there(filled, moment):
    root, found = filled
    first, again = found[moment]
    assert re.search(SENTENCES[moment], first)
    assert again == ""
    assert tables(root / moment) == tables(root / "whole")
    models = [files(root / name / "model") for name in (moment, "whole")]
    for model in models:
        model.pop("README.md")  # it says how long it took
    assert models[0] == models[1]

"""Weights that change while a run reads them.

That going on with other weights is refused, and that no flipped bit goes unseen by the hashes, is
in tests/test_session.py and tests/models/test_damage.py; weights that are not finite are there too.
"""

import os
import shutil

import pytest
from safetensors.torch import load_file, save_file

from evoforge.errors import JournalError
from evoforge.watch import Watch
from tests.faults.sameness import tables
from tests.loop import Search


def watched(folders, folder, harm=lambda: None, commit=14):
    """Do a run whose sources are watched, or go on with it; harm them after a commit."""
    search = Search(folders, folder, evaluations=8)
    search.journal.before_commit = Watch(search.pool, folder).check
    left = commit

    def changed():
        nonlocal left
        left -= 1
        if left == 0:
            harm()

    try:
        search.run(changed)
    finally:
        search.journal.close()


def write_in_place(path):
    """Change one weight where it lies; return what undoes it."""
    with path.open("r+b") as file:
        file.seek(-2, os.SEEK_END)
        before = file.read(2)
        file.seek(-2, os.SEEK_END)
        file.write(b"\x00\x00" if before != b"\x00\x00" else b"\x01\x01")

    def undo():
        with path.open("r+b") as file:
            file.seek(-2, os.SEEK_END)
            file.write(before)

    return undo


def test_weights_written_over_under_a_run_stop_it_before_they_count(own, tmp_path):
    watched(own, tmp_path / "whole")
    path, undo = own["b"] / "model.safetensors", []
    sentence = f"{path} was changed while .* the weights of b .*resume={tmp_path}/run"
    with pytest.raises(JournalError, match=sentence):
        watched(own, tmp_path / "run", lambda: undo.append(write_in_place(path)))
    undo[0]()
    watched(own, tmp_path / "run")
    assert tables(tmp_path / "run") == tables(tmp_path / "whole")


def test_a_file_that_is_replaced_by_another_stops_the_run(own, tmp_path):
    path = own["a"] / "model.safetensors"

    def replace():
        tensors = load_file(path)
        tensors["model.norm.weight"][0] += 1
        save_file(tensors, tmp_path / "new", metadata={"format": "pt"})
        (tmp_path / "new").replace(path)

    with pytest.raises(JournalError, match="the weights of a are no longer"):
        watched(own, tmp_path / "run", replace)


def test_a_file_that_is_half_written_stops_the_run(own, tmp_path):
    path = own["a"] / "model.safetensors"
    half = path.read_bytes()[: path.stat().st_size // 2]

    def replace():
        (tmp_path / "new").write_bytes(half)
        (tmp_path / "new").replace(path)

    with pytest.raises(JournalError, match="the weights of a are no longer"):
        watched(own, tmp_path / "run", replace)


@pytest.mark.parametrize("what", ["touched", "copied", "deleted"])
def test_what_leaves_the_weights_as_they_are_does_no_harm(own, tmp_path, what):
    path = own["a"] / "model.safetensors"

    def harm():
        if what == "touched":
            os.utime(path)
        elif what == "copied":
            shutil.copy(path, tmp_path / "copy")
            (tmp_path / "copy").replace(path)
        else:
            path.unlink()

    watched(own, tmp_path / "run", harm)

"""A run that is killed at any moment, again and again, ends as one that was left alone."""

import json
import os

from tests.conftest import ROOT
from tests.faults.sameness import files, tables

# More of them: EVOFORGE_KILLS=1000 pytest -n0 tests/faults/test_kills.py
KILLS = os.environ.get("EVOFORGE_KILLS", "50")
DOOMED = str(ROOT / "tests" / "faults" / "doomed.py")


def test_killed_again_and_again_it_ends_as_if_left_alone(forks, pico, tmp_path):
    models = json.dumps({name: str(path) for name, path in pico.items()})
    found = forks.run([DOOMED, models, str(tmp_path), KILLS])
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) >= int(KILLS)
    alone = tables(tmp_path / "alone"), files(tmp_path / "alone" / "model")
    assert {"candidates", "items", "roles", "generations"} <= alone[0].keys()
    killed = sorted(tmp_path.glob("killed*"))
    assert killed
    for folder in killed:
        assert (tables(folder), files(folder / "model")) == alone
        assert not list(folder.glob("*.partial"))

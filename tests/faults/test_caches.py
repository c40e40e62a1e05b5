"""A machine on which the user has no home and no cache can be written."""

import json
import subprocess
import sys

from tests.conftest import ROOT
from tests.forked import environment

# No folder can be made below a device, not even by root.
NOWHERE = "/dev/null/nowhere"
CACHES = ("HOME", "HF_HOME", "HF_DATASETS_CACHE", "MPLCONFIGDIR", "XDG_CACHE_HOME", "TORCH_HOME")
PROGRAM = """
import json, sys
from pathlib import Path
from tests.faults.conftest import go

go(json.loads(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_run_needs_no_cache_and_no_home(configured, few, tmp_path):
    program = [sys.executable, "-c", PROGRAM, json.dumps(configured(few)), str(tmp_path / "run")]
    nowhere = dict.fromkeys(CACHES, NOWHERE)
    done = subprocess.run(
        program, cwd=ROOT, env=environment() | nowhere, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "fitness.png").is_file()

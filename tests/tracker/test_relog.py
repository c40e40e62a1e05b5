import json
import os
import subprocess
import sys
from pathlib import Path

from evoforge.origin import Descent
from evoforge.recipe import canonical
from evoforge.relog import main


def test_relog_gives_every_candidate_and_the_result(whole_run, read_mirror):
    run, result = whole_run
    folder = run.journal.folder
    (folder / "result.json").write_text(json.dumps(result))
    assert main([str(folder), "--mode", "offline", "--project", "again"]) == 0
    mirror = read_mirror(folder)
    assert len(mirror.candidates) == 12
    assert mirror.run.project == "again"
    assert mirror.summary["winner/test_low"] == 0.6
    assert mirror.exit_code == 0


def test_relog_tells_lineage_and_states(new_run, read_mirror):
    new_run.stage(optimizer="genetic")
    new_run.generation(0, origins=[Descent("start")] * 4)
    new_run.generation(1, origins=[Descent("sbx", ((0, 0), (0, 2)))] * 4)
    new_run.journal.add_state("ps", 1, {"diversity": 0.25})
    assert main([str(new_run.journal.folder), "--mode", "offline"]) == 0
    mirror = read_mirror(new_run.journal.folder)
    assert mirror.candidates[-1]["candidate/operator"] == "sbx"
    assert "generation/optimizer/diversity" not in mirror.generations[0]
    assert mirror.generations[1]["generation/optimizer/diversity"] == 0.25


def test_relog_takes_an_unfinished_run_and_its_own_project(new_run, read_mirror):
    new_run.stage()
    new_run.generation(0)
    made_with = {"seed": 7, "tracker": {"wandb": {"project": "own", "mode": "disabled"}}}
    with new_run.journal.transaction():
        new_run.journal._connection.execute(
            "UPDATE meta SET value=? WHERE key='config'", (canonical(made_with),)
        )
    assert main([str(new_run.journal.folder), "--mode", "offline"]) == 0
    mirror = read_mirror(new_run.journal.folder)
    assert len(mirror.candidates) == 4
    assert mirror.run.project == "own"
    assert mirror.exit_code == 255


def test_a_folder_without_a_run_is_one_sentence_and_code_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "evoforge.relog", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"there is no run in {tmp_path} (no journal.sqlite)\n"

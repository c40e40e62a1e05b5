"""`python run.py` as a user meets it: whole runs, mistakes, interruptions, sweeps."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evoforge.journal import Journal
from evoforge.record import FILE, Record
from tests.conftest import ROOT
from tests.forked import environment

SMALL = [
    "models=mine",
    "budget.evaluations=8",
    "optimizer.population=4",
    "finalists=2",
    "fitness.size=4",
    "task.items.search=8",
    "task.items.select=4",
    "task.items.test=4",
    "task.max_new_tokens=4",
]


@pytest.fixture
def command(tmp_path, pico):
    """Return the beginning of a command that runs pico models, from a folder of its own."""
    return own_models(tmp_path, pico)


def own_models(folder, paths):
    (folder / "own" / "models").mkdir(parents=True)
    sources = {
        name: {"path": str(path), "role": "base" if name == "base" else "source"}
        for name, path in paths.items()
    }
    content = {
        "_target_": "evoforge.models.pool.open_pool",
        "sources": sources,
        "tokenizer": None,
        "dtype": "auto",
        "ignore": [],
    }
    (folder / "own" / "models" / "mine.yaml").write_text(json.dumps(content))
    return [sys.executable, str(ROOT / "run.py"), "--config-dir", str(folder / "own")]


@pytest.fixture(scope="module")
def do(forks):
    """Return what runs a command to its end, in a process of its own."""
    return lambda command, *overrides, cwd: forks.run([*command[1:], *overrides], cwd)


@pytest.fixture(scope="module")
def finished(do, pico, tmp_path_factory):
    """The folder of a small run that is complete."""
    root = tmp_path_factory.mktemp("finished")
    found = do(own_models(root, pico), *SMALL, "tracker=[]", cwd=root)
    assert found.returncode == 0, found.stderr
    return root / found.stdout.splitlines()[-1]


@pytest.fixture
def complete(finished, tmp_path):
    """A copy of the folder of a complete run."""
    return shutil.copytree(finished, tmp_path / "complete")


def test_help_answers_without_importing_torch(tmp_path):
    command = [sys.executable, "-X", "importtime", str(ROOT / "run.py"), "--help"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0
    assert "python run.py resume=" in found.stdout
    assert "evoforge.config" in found.stderr
    assert not [line for line in found.stderr.splitlines() if line.endswith((" torch", "wandb"))]


def test_a_run_ends_with_result_pictures_model_and_its_folder(do, command, tmp_path):
    found = do(command, *SMALL, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    folder = tmp_path / found.stdout.splitlines()[-1]
    assert folder.is_dir()
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "finished"
    merges = {"uniform_soup", "unoptimised_ties", "unoptimised_dare_ties", "start_point"}
    names = {"base", "a", "b", "c", *merges}
    assert set(result["baselines"]) == names
    for entry in [result["winner"], *result["baselines"].values()]:
        assert len(entry["recipe"]) == 32
        for part in ("search", "select", "test"):
            assert 0 <= entry[part]["low"] <= entry[part]["score"] <= entry[part]["high"] <= 1
    assert {"load", "merge", "generate", "score", "other"} <= set(result["seconds"])
    assert {"evaluations", "items", "cache_hits", "failures"} <= set(result["counts"])
    assert result["counts"]["candidates"] == 8
    assert (folder / "fitness.png").stat().st_size > 10_000
    assert (folder / "genes.png").stat().st_size > 10_000
    recipe = Record.open(folder).recipe(result["winner"]["recipe"])
    assert (folder / "model" / "recipe.json").read_text().strip() == recipe.text
    card = (folder / "model" / "README.md").read_text()
    assert "base_model_relation: merge" in card
    assert list((folder / "wandb").glob("offline-run-*/run-*.wandb"))


def test_a_run_over_paths_ends_with_a_plain_model_and_a_picture_of_the_path(do, command, tmp_path):
    found = do(command, *SMALL, "merge=dfs", "merge.sources=[a,b]", "tracker=[]", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    folder = tmp_path / found.stdout.splitlines()[-1]
    result = json.loads((folder / "result.json").read_text())
    assert {"frankenmerge", "start_point"} < set(result["baselines"])
    hops = result["winner"]["path"]["hops"]
    config = json.loads((folder / "model" / "config.json").read_text())
    assert config["architectures"] == ["MistralForCausalLM"]
    assert (
        config["num_hidden_layers"] == len(hops) == result["winner"]["path"]["statistics"]["hops"]
    )
    assert json.loads((folder / "model" / "fidelity.json").read_text())["divergence"] < 1e-4
    assert "passthrough" in (folder / "model" / "mergekit_config.yml").read_text()
    assert (folder / "path.png").stat().st_size > 10_000


def test_a_run_of_two_searches_is_one_journal_and_one_report(do, command, tmp_path):
    hybrid = ["merge=ties_dfs", "merge.share=0.5", "merge.dfs.sources=[b]", "tracker=console"]
    found = do(command, *SMALL, *hybrid, "budget.evaluations=16", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    folder = tmp_path / found.stdout.splitlines()[-1]
    result = json.loads((folder / "result.json").read_text())
    assert [(n, s["merge"], s["evaluations"]) for n, s in result["stages"].items()] == [
        ("ps", "ties", 8),
        ("dfs", "dfs", 8),
    ]
    assert "ps generation 1" in found.stdout
    assert "dfs generation 1" in found.stdout
    again = do(command, f"resume={folder}", cwd=tmp_path)
    assert "is complete already" in again.stderr
    over = do(command, f"resume={folder}", "budget.evaluations=32", cwd=tmp_path)
    assert "budget.evaluations: 16 -> 32" in over.stderr


MISTAKES = {
    "misspelled option": (
        ["merge.densty=0.5"],
        "no option merge.densty (did you mean merge.dens",
    ),
    "unknown choice": (
        ["merge=tise"],
        "merge has no option tise (did you mean ties?); choose",
    ),
    "unknown group": (["mergr=ties"], "no option mergr"),
    "density of 2": (["merge.density=2"], "density must be in (0, 1], got 2.0; set merge.density"),
    "missing folder": (["models.sources.a.path=/nowhere/x"], "there is no folder /nowhere/x"),
    "bad syntax": (["merge={"], "cannot read the option 'merge={'"),
    "no tracker": (["tracker=none"], "tracker has no option none; choose from console, wandb"),
    "no group": (["merge=null"], "a group cannot be set to null"),
    "unknown experiment": (
        ["experiment=foo"],
        "experiment has no option foo; choose from ",
    ),
    "negative seed": (["seed=-1"], "seed must be a whole number from 0 on, got -1; set seed"),
    "no finalists": (["finalists=0"], "finalists must be a whole number from 1 on, got 0; set"),
    "too small a budget": (["budget.evaluations=3"], "at least one generation of 4, got 3; set bu"),
    "no budget": (["budget.evaluations=null"], "set budget.evaluations or budget.minutes"),
    "unknown base": (["models.tokenizer=zz"], "tokenizer must name one of base, a, b, c, got zz"),
    "no subset": (["fitness.size=0"], "size must be at least 1, got 0; set fitness.size"),
    "a path through one model": (
        ["merge=dfs", "merge.sources=[a]"],
        "a path needs two models or more, got a alone; add a source to models.sources",
    ),
    "too short a path": (["merge=dfs", "merge.max_hops=1"], "max_hops must be at least 2"),
    "scales of zero": (
        ["merge=dfs", "merge.scale_range=0"],
        "reach beyond the floor of 0.1, got [0",
    ),
    "a wrong inner option": (
        ["merge=ties_dfs", "+merge.dfs.repeat=2"],
        "merge.dfs has no option repeat (did you mean repeats?)",
    ),
    "too small a share": (
        ["merge=ties_dfs", "merge.share=0.2"],
        "at least one generation of 4, got 1 as the share of the search ps; set budget",
    ),
    "misspelled start": (["start=[sopu]"], "got 'sopu' (did you mean soup?); set start"),
    "nothing to start from": (["start=[{run: nowhere}]"], "there is no run in nowhere"),
    "nothing to resume": (["resume=nowhere"], "there is no run in nowhere"),
}


def check_mistake(found, tmp_path, sentence):
    assert found.returncode == 2, found.stdout + found.stderr
    assert sentence in found.stderr
    assert "Traceback" not in found.stderr
    errors = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert len(found.stderr.splitlines()) == 1
    assert not list((tmp_path / "outputs").rglob("*.*")), "something half-written is left"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(do, command, tmp_path, mistake):
    overrides, sentence = MISTAKES[mistake]
    check_mistake(do(command, *SMALL, *overrides, cwd=tmp_path), tmp_path, sentence)


def test_a_corrupt_weight_file_is_one_sentence(do, command, tmp_path, pico):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in pico["a"].iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00garbage!")
    found = do(command, *SMALL, f"models.sources.a.path={broken}", cwd=tmp_path)
    check_mistake(found, tmp_path, "model.safetensors is not a readable safetensors file")


def test_models_that_do_not_fit_are_one_sentence(do, command, tmp_path, save_pico):
    other = save_pico("other", seed=5, num_hidden_layers=3)
    found = do(command, *SMALL, f"models.sources.a.path={other}", cwd=tmp_path)
    check_mistake(found, tmp_path, "a does not fit base: num_hidden_layers is 3 against 4")


def test_models_whose_layers_cannot_share_a_path_are_one_sentence(do, command, tmp_path, save_pico):
    other = save_pico("other", seed=5, hidden_size=24)
    overrides = ["merge=dfs", f"models.sources.b.path={other}"]
    found = do(command, *SMALL, *overrides, cwd=tmp_path)
    check_mistake(found, tmp_path, "b cannot share a path with a: hidden_size is 24 against 16")


def test_an_output_folder_that_cannot_be_written_is_one_sentence(do, command, tmp_path):
    (tmp_path / "file").write_text("")
    found = do(command, *SMALL, f"hydra.run.dir={tmp_path}/file/run", cwd=tmp_path)
    check_mistake(found, tmp_path, "cannot use")
    assert "set hydra.run.dir" in found.stderr


def test_a_folder_that_holds_something_else_is_left_alone(do, command, tmp_path):
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "precious").write_text("mine")
    found = do(command, *SMALL, f"hydra.run.dir={tmp_path}/run", cwd=tmp_path)
    check_mistake(found, tmp_path, "is not empty (it holds model); set hydra.run.dir")
    assert (tmp_path / "run" / "model" / "precious").read_text() == "mine"


def test_weights_that_are_not_finite_are_one_sentence(do, command, tmp_path, pico):
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(pico["a"], broken)
    tensors = load_file(broken / "model.safetensors")
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    found = do(command, *SMALL, f"models.sources.a.path={broken}", cwd=tmp_path)
    check_mistake(found, tmp_path, "a has values in model.norm.weight that are not finite")


def test_a_damaged_journal_is_one_sentence(do, command, complete, tmp_path):
    content = bytearray((complete / FILE).read_bytes())
    content[3 * 4096 : 9 * 4096] = b"\xa5" * (6 * 4096)
    (complete / FILE).write_bytes(content)
    found = do(command, f"resume={complete}", cwd=tmp_path)
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert "is damaged" in found.stderr


def test_a_folder_in_use_is_one_sentence(do, command, tmp_path):
    journal = Journal.create(tmp_path / "run", {"config": "{}", "overrides": "[]"})
    found = do(command, *SMALL, f"resume={tmp_path}/run", cwd=tmp_path)
    journal.close()
    check_mistake(found, tmp_path, "is in use by another process")


def interrupt(command, folder, number, cwd):
    """Start a run, send it a signal during its search, and return how it ended."""
    process = subprocess.Popen(
        [*command, *SMALL, "budget.evaluations=4000", f"hydra.run.dir={folder}"],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if (folder / FILE).is_file() and _searching(folder):
            process.send_signal(number)
            break
        time.sleep(0.1)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def _searching(folder):
    from evoforge.errors import JournalError

    try:
        record = Record.open(folder)
    except JournalError:  # not yet made
        return False
    found = len(record.candidates())
    record.close()
    return found >= 12


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_go_on_and_does(do, command, tmp_path, number, code):
    folder = tmp_path / "run"
    returned, _, err = interrupt(command, folder, number, tmp_path)
    assert returned == code, err
    assert f"go on with: python run.py resume={folder}" in err
    assert "Traceback" not in err
    done = len(Record.open(folder).candidates())
    # A changed option is refused, more budget is not; here less, so that the test ends.
    changed = do(command, f"resume={folder}", "merge.lambda_=0.5", cwd=tmp_path)
    assert changed.returncode == 2
    assert "merge.lambda_: 1.0 -> 0.5" in changed.stderr
    # As the message says: without the --config-dir that the run was started with.
    again = do(command[:2], f"resume={folder}", "budget.evaluations=8", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads((folder / "result.json").read_text())["counts"]["candidates"] >= min(done, 8)
    assert Record.open(folder).finished


def test_a_complete_run_resumed_shows_its_result_again(do, command, complete, tmp_path):
    again = do(command, f"resume={complete}", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "is complete already" in again.stderr
    assert again.stdout.splitlines()[-1] == str(complete)


def test_what_was_deleted_from_a_complete_run_is_made_again(do, command, complete, tmp_path):
    # A folder whose name Hydra would read as its own syntax, as those of sweeps.
    folder = complete.rename(tmp_path / "a=1,b='2' c")
    weights = (folder / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(folder / "model")
    (folder / "result.json").unlink()
    (folder / "fitness.png").unlink()
    again = do(command, f"resume={folder}", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (folder / "model" / "model.safetensors").read_bytes() == weights
    assert (folder / "result.json").is_file()
    assert (folder / "fitness.png").is_file()


def test_more_budget_for_a_complete_run_is_refused(do, command, complete, tmp_path):
    found = do(command, f"resume={complete}", "budget.evaluations=16", cwd=tmp_path)
    assert found.returncode == 2
    assert "budget.evaluations: 8 -> 16" in found.stderr


def test_resume_in_another_folder_is_refused(do, command, complete, tmp_path):
    found = do(command, f"resume={complete}", f"hydra.run.dir={tmp_path}/other", cwd=tmp_path)
    assert found.returncode == 2
    assert "leave out hydra.run.dir and sweeps" in found.stderr


def test_a_mistake_in_one_run_of_a_sweep_is_told_and_the_others_run(do, command, tmp_path):
    sweep = ["-m", *SMALL, "tracker=[]", "seed=-1,0", "hydra.sweep.dir=several"]
    found = do(command, *sweep, cwd=tmp_path)
    assert found.returncode == 2
    assert "error: 0: seed must be a whole number from 0 on, got -1" in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "several" / "0").exists()
    assert (tmp_path / "several" / "1" / "result.json").is_file()


def test_a_run_of_a_sweep_stays_inside_the_sweeps_folder(do, command, tmp_path):
    sweep = ["-m", *SMALL, "tracker=[]", "hydra.sweep.dir=several", "hydra.sweep.subdir=../evil"]
    found = do(command, *sweep, cwd=tmp_path)
    assert found.returncode == 2
    assert "evil is not inside several; set hydra.sweep.subdir to a name" in found.stderr
    assert not (tmp_path / "evil").exists()


def test_an_empty_journal_of_a_killed_process_does_not_break_a_sweep(do, command, tmp_path):
    root = tmp_path / "outputs" / "sweeps" / "population_size"
    (root / "population=4,seed=0").mkdir(parents=True)
    (root / "population=4,seed=0" / FILE).touch()
    sweep = [*SMALL, "+sweep=population_size", "optimizer.population=4", "seed=0", "tracker=[]"]
    found = do(command, *sweep, cwd=tmp_path)
    assert found.returncode == 0, found.stderr


def test_a_sweep_compares_its_runs_and_skips_what_is_finished(do, command, tmp_path):
    sweep = [*SMALL, "+sweep=population_size", "optimizer.population=4,8", "seed=0", "tracker=[]"]
    first = do(command, *sweep, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "Over seeds" not in first.stdout  # there is one
    root = tmp_path / "outputs" / "sweeps" / "population_size"
    assert {path.name for path in root.iterdir() if path.is_dir()} == {
        "population=4,seed=0",
        "population=8,seed=0",
    }
    for name in ("comparison.png", "comparison.json", "comparison.csv"):
        assert (root / name).stat().st_size > 0
    assert first.stdout.splitlines()[-1] == str(Path("outputs/sweeps/population_size"))
    # The second run starts by itself: what the first took is none of its loading.
    results = [
        json.loads((root / f"population={n},seed=0/result.json").read_text()) for n in (4, 8)
    ]
    assert results[1]["seconds"]["load"] < results[0]["seconds"]["total"]
    again = do(command, *sweep, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("is complete already") == 2

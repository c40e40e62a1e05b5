import json
import shutil
import time
from functools import partial

import pytest
from safetensors.torch import load_file, save_file

from evoforge import assembly, export, session
from evoforge.errors import ConfigError, JournalError, MergeError
from evoforge.record import Record

SMALL = [
    "merge=dfs",
    "merge.sources=[a,b]",
    "budget.evaluations=4",
    "optimizer.population=4",
    "finalists=1",
    "fitness.size=4",
    "task.items.search=4",
    "task.items.select=4",
    "task.items.test=4",
    "task.max_new_tokens=4",
    "tracker=[]",
]


@pytest.fixture
def sources(pico, tmp_path):
    """Return copies of two models, which may be changed."""
    return {name: shutil.copytree(pico[name], tmp_path / name) for name in "ab"}


@pytest.fixture
def run(compose, sources, tmp_path):
    """Return what does a small run over paths, or goes on with it."""
    cfg = compose(*SMALL)
    cfg["models"] = {
        "_target_": "evoforge.models.pool.open_pool",
        "sources": {name: {"path": str(path)} for name, path in sources.items()},
    }
    folder = tmp_path / "run"

    def do():
        session.run(cfg, folder, started=time.monotonic(), may_exist=True)
        return folder

    return do


def test_a_path_that_may_not_be_exported_leaves_a_complete_run(run, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setitem(export.LIMITS, "float32", -1.0)
        for _ in range(2):  # going on says it again
            with pytest.raises(MergeError, match="says something else than the scored one"):
                run()
    record = Record.open(folder)
    assert record.finished
    record.close()
    assert json.loads((folder / "result.json").read_text())["winner"]["test"] is not None
    assert (folder / "path.png").is_file()
    assert not (folder / "model").exists()
    assert (run() / "model" / "fidelity.json").is_file()


def test_a_deleted_picture_of_the_path_is_drawn_again(run):
    folder = run()
    (folder / "path.png").unlink()
    (folder / "report.html").unlink()
    run()
    assert (folder / "path.png").is_file()
    assert (folder / "report.html").is_file()


def test_the_page_of_examples_is_written_and_made_again(run):
    page = run() / "examples.html"
    record = Record.open(page.parent)
    assert all(example.item in page.read_text("utf-8") for example in record.examples())
    assert len(record.examples()) == 4
    record.close()
    page.unlink()
    run()
    assert page.is_file()


def test_the_number_of_examples_is_checked(compose):
    with pytest.raises(ConfigError, match="examples must be a whole number from 0 on, got -1"):
        assembly.assemble(compose("examples=-1"))


HYBRID = ["merge=ties_dfs", "merge.ps.granularity=whole", "merge.dfs.sources=[ja]"]


def test_each_search_can_have_options_of_its_own(compose):
    own = ["+stages.dfs.optimizer.population=24", "+stages.ps.fitness.size=32"]
    ps, dfs = assembly.assemble(compose(*HYBRID, *own)).stages
    assert (ps.optimizer.population, dfs.optimizer.population) == (9, 24)
    assert (ps.fitness.size, dfs.fitness.size) == (32, 128)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "+stages.dsf.optimizer.population=9",
            r"searches of this run \(ps, dfs\), got dsf; set sta",
        ),
        (
            "+stages.dfs.optimiser.population=9",
            "must hold options of optimizer or fitness, got opt",
        ),
        ("+stages.dfs.optimizer.popsize=9", "optimizer has no option popsize"),
        ("+stages.dfs=3", "must hold options of optimizer or fitness, got 3; set stages.dfs"),
        ("stages=3", "stages must be a mapping, got 3; set stages"),
    ],
)
def test_options_of_no_search_are_refused(compose, override, sentence):
    with pytest.raises(ConfigError, match=sentence):
        assembly.assemble(compose(*HYBRID, override))


def test_a_source_that_changed_since_is_named_with_its_tensor(run, sources):
    folder = run()
    shutil.rmtree(folder / "model")
    file = sources["b"] / "model.safetensors"
    tensors = load_file(file)
    tensors["model.norm.weight"][3] += 1e-3
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(JournalError, match=r"weights of b are not those.*\(model.norm.weight\)"):
        run()


def test_a_tower_that_changed_since_is_refused(compose, vlms, tmp_path):
    name = "multi_modal_projector.linear_1.weight"
    folders = {kind: shutil.copytree(path, tmp_path / kind) for kind, path in vlms("llava").items()}
    cfg = compose(*SMALL, "merge.sources=[vlm,llm]")
    cfg["models"] = {
        "_target_": "evoforge.models.pool.open_pool",
        "sources": {kind: {"path": str(path)} for kind, path in folders.items()},
    }
    run = partial(session.run, cfg, tmp_path / "run", started=time.monotonic(), may_exist=True)
    run()
    shutil.rmtree(tmp_path / "run" / "model")
    tensors = load_file(folders["vlm"] / "model.safetensors")
    tensors[name][0] += 1e-3
    save_file(tensors, folders["vlm"] / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(JournalError, match=rf"weights of vlm are not those .*\({name}\)"):
        run()

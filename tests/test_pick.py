import json
import math
import shutil
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from evoforge import session
from evoforge.assembly import assemble
from evoforge.errors import ConfigError, JournalError
from evoforge.evaluation import Evaluation, item_set_hash
from evoforge.journal import Journal
from evoforge.merge.base import Mergers
from evoforge.pick import main, names, pick, recipe_of
from evoforge.recipe import Recipe
from evoforge.record import Record
from evoforge.report import plots

SMALL = [
    "merge=ties",
    "optimizer=nsga2",
    "optimizer.population=6",
    "budget.evaluations=12",
    "baseline_items=4",
    "examples=2",
    "finalists=1",
    "fitness.size=4",
    "task.items.search=8",
    "task.items.select=4",
    "task.items.test=4",
    "task.max_new_tokens=4",
]


@pytest.fixture(scope="module")
def folder(compose, pico, tmp_path_factory):
    """Return the folder of a small finished run for two goals."""
    root = tmp_path_factory.mktemp("picked")
    cfg = compose(*SMALL, "tracker=console")
    sources = {name: shutil.copytree(pico[name], root / name) for name in ("base", "a", "b")}
    cfg["models"] = {
        "_target_": "evoforge.models.pool.open_pool",
        "sources": {
            name: {"path": str(path), "role": "base" if name == "base" else "source"}
            for name, path in sources.items()
        },
    }
    cfg["tracker"] = {}
    session.run(cfg, root / "run", started=time.monotonic(), may_exist=False)
    return root / "run"


@pytest.fixture
def record(folder):
    found = Record.open(folder)
    yield found
    found.close()


def test_a_run_for_several_goals_ends_with_a_front_in_its_folder(folder, record):
    assert (folder / "front.png").is_file()
    assert "front.png" in plots.names(record)
    assert {"best", "knee", "best-fitness", "best-tokens", "front-1"} <= set(names(record))


def test_any_candidate_is_exported_exactly_as_it_was_scored(record, tmp_path):
    asked = record.candidate("search", 1, 3)
    target = pick(record, "search/1/3", tmp_path / "model")
    assert (target / "recipe.json").read_text().strip() == record.recipe(asked.recipe).text
    parts = assemble(json.loads(record.meta("config")))
    candidate = Mergers(parts.pool).build(record.recipe(asked.recipe))
    written = load_file(target / "model.safetensors")
    for name in ("model.layers.0.mlp.up_proj.weight", "model.norm.weight"):
        assert torch.equal(written[name], candidate.tensor(name))


def test_a_member_has_a_folder_of_its_name_and_a_card_that_says_which_it_is(record):
    won = recipe_of(record, "best")
    position = next(c.position for c in record.generation("search", 0) if c.recipe != won)
    target = pick(record, f"search/0/{position}")
    assert target == record.folder / "picked" / f"search-0-{position}"
    text = (target / "README.md").read_text()
    assert f"This model is `search/0/{position}` of its run, not the winner" in text
    assert "it saw no test items" in text
    assert "## Examples" not in text
    assert "\n## Recipe\n" in text
    # The header that the Hub reads is where it was.
    assert text.startswith("---\n")


def test_the_best_is_the_winner_as_the_run_wrote_it(record):
    target = pick(record, "best")
    model = record.folder / "model"
    for name in ("model.safetensors", "recipe.json"):
        assert (target / name).read_bytes() == (model / name).read_bytes()
    assert "not the winner" not in (target / "README.md").read_text()


def test_without_a_name_the_names_are_told(folder, capsys):
    assert main([str(folder)]) == 0
    said = capsys.readouterr().out
    assert "names: best, " in said
    assert "STAGE/GENERATION/POSITION of search" in said
    assert "fitness (max)" in said


def test_a_name_is_made_from_the_command_line(folder, tmp_path):
    assert main([str(folder), "knee", "--to", str(tmp_path / "knee")]) == 0
    assert (tmp_path / "knee" / "config.json").is_file()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nobody", "has no nobody; its names are best, .*STAGE/GENERATION/POSITION"),
        ("search/9/0", "generation 9 of search has 0 candidates"),
        ("search/0/6", "generation 0 of search has 6 candidates"),
        ("other/0/0", "has no other/0/0"),
        ("search/0", "has no search/0"),
        (f"search/{10**20}/0", "has no search/1000"),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_those_there_are(record, name, sentence):
    with pytest.raises(ConfigError, match=sentence):
        recipe_of(record, name)


def test_a_folder_that_holds_something_is_left_alone(record, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty; set --to to a new folder"):
        pick(record, "best", tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_model_that_cannot_be_written_is_one_sentence(record, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is a file; set --to to a new folder"):
        pick(record, "best", tmp_path / "file")
    with pytest.raises(JournalError, match="Not a directory; free the disk or set --to"):
        pick(record, "best", tmp_path / "file" / "model")


def test_a_mistake_is_told_and_the_exit_code_says_so(folder, tmp_path, caplog):
    assert main([str(folder), "nobody"]) == 2
    assert "has no nobody" in caplog.text
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "there is no run in" in caplog.text


def test_weights_that_have_changed_since_are_refused(folder, record, tmp_path):
    path = folder.parent / "a" / "model.safetensors"
    before = path.read_bytes()
    shutil.copyfile(folder.parent / "b" / "model.safetensors", path)
    try:
        with pytest.raises(JournalError, match="the weights of a are not those"):
            pick(record, "best", tmp_path / "model")
    finally:
        path.write_bytes(before)
    assert not (tmp_path / "model").exists()


def test_what_failed_or_was_not_scored_has_no_model(new_record):
    with pytest.raises(ConfigError, match="search/0/0 failed, so there is no model of it: too big"):
        recipe_of(new_record, "search/0/0")
    with pytest.raises(ConfigError, match="search/0/1 was not scored yet; go on with resume="):
        recipe_of(new_record, "search/0/1")


@pytest.fixture
def new_record(tmp_path):
    """Return a record with a failure and a candidate that was only asked."""
    journal = Journal.create(tmp_path / "run", {"config": "{}"})
    journal.add_stage("search", {"names": ["x"], "low": [0.0], "high": [1.0]})
    recipes = [Recipe({"format": 1, "method": "ties", "sources": [], "values": i}) for i in "ab"]
    genomes = [np.array([0.1]), np.array([0.2])]
    journal.add_generation("search", 0, list(zip(genomes, recipes, strict=True)), ["i"])
    failed = Evaluation(recipes[0].hash, "p", item_set_hash(["i"]), "failed", -math.inf, "too big")
    with journal.transaction():
        journal.assign("search", 0, 0, journal.add_evaluation(failed))
    yield journal.record
    journal.close()

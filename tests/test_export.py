import os
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evoforge.errors import JournalError
from evoforge.evaluator.hf import Hf
from evoforge.export import export
from evoforge.merge.dare_ties import DareTies
from evoforge.task.generation import Generation
from tests.conftest import open_pico
from tests.loop import WEIGHT, Sums


@pytest.fixture(params=["float32", "bfloat16"])
def scored(request, pico):
    """Return a candidate that was scored: its evaluator, its result, and what exports it."""
    pool = open_pico(pico, dtype=request.param)
    merger = DareTies(pool, weight=WEIGHT)
    recipe = merger.recipe(merger.space.init)
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=8)
    evaluator = Hf(task, pool)
    candidate = merger.build(recipe)
    result = evaluator.evaluate(candidate, task.items("search") + task.items("select"))
    assert result.status == "ok"
    return pool, candidate, recipe, evaluator, result


def test_the_exported_model_is_the_scored_one_bit_for_bit(scored, tmp_path):
    pool, candidate, recipe, evaluator, _ = scored
    export(candidate, recipe, pool, tmp_path / "model", card="# card")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="auto").eval()
    live, loaded = evaluator.live.model.state_dict(), model.state_dict()
    assert set(live) == set(loaded)
    for name in live:
        assert loaded[name].dtype == pool.dtype
        assert torch.equal(live[name], loaded[name]), name


def test_the_exported_model_gives_the_scored_answers(scored, tmp_path):
    pool, candidate, recipe, evaluator, result = scored
    export(candidate, recipe, pool, tmp_path / "model", card="# card")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="auto")
    evaluator.live = SimpleNamespace(model=loaded)
    evaluator.tokenizer = tokenizer
    task = evaluator.task
    items = task.items("search") + task.items("select")
    answers = evaluator._generate(items, evaluator.batch_size)
    assert len(items) >= 20
    for scored_item in result.results:
        assert answers[scored_item.item][0] == scored_item.completion


def test_the_folder_holds_all_that_a_hub_model_needs(scored, tmp_path):
    pool, candidate, recipe, *_ = scored
    export(candidate, recipe, pool, tmp_path / "model", card="# card")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    wanted = {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "README.md",
        "recipe.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert wanted <= names
    assert (tmp_path / "model" / "recipe.json").read_text().strip() == recipe.text
    assert not list(tmp_path.glob("*.partial"))


def test_exported_files_are_as_readable_as_the_users_others(scored, tmp_path):
    pool, candidate, recipe, *_ = scored
    before = os.umask(0o022)
    try:
        export(candidate, recipe, pool, tmp_path / "model", card="# card")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()}
    assert modes == {0o644}


def test_what_a_killed_export_left_is_replaced(scored, tmp_path):
    pool, candidate, recipe, *_ = scored
    (tmp_path / "model.partial").mkdir()
    (tmp_path / "model.partial" / "model.safetensors").write_bytes(b"half")
    export(candidate, recipe, pool, tmp_path / "model", card="# card")
    AutoModelForCausalLM.from_pretrained(tmp_path / "model")


def test_a_folder_that_cannot_be_written_is_a_clear_error(scored, tmp_path):
    pool, candidate, recipe, *_ = scored
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot write .*go on with resume="):
        export(candidate, recipe, pool, tmp_path / "file" / "model", card="")

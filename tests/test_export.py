import json
import math
import os
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evoforge.errors import JournalError, MergeError
from evoforge.evaluator.hf import Hf
from evoforge.export import divergence, export
from evoforge.merge.dare_ties import DareTies
from evoforge.merge.dfs import Dfs
from evoforge.path import Hop
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
    replies = evaluator.generate([evaluator._encode(task, item).prompt for item in items])
    answers = {
        item.id: tokenizer.decode(reply.tokens, skip_special_tokens=True)
        for item, reply in zip(items, replies, strict=True)
    }
    assert len(items) >= 20
    for scored_item in result.results:
        assert answers[scored_item.item] == scored_item.completion


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


PATH = [Hop("a", 0), Hop("b", 1, 0.7), Hop("a", 1, -1.3), Hop("b", 1, 0.9), Hop("a", 3)]


@pytest.fixture(params=["float32", "bfloat16"])
def walked(request, pico):
    """Return a path that was scored: its evaluator, its items, and what exports it."""
    merger = Dfs(open_pico(pico, dtype=request.param), sources=["a", "b"])
    recipe = merger.recipe_of(PATH)
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=8)
    evaluator = Hf(task, merger.pool)
    candidate = merger.build(recipe)
    items = task.items("search")
    assert evaluator.evaluate(candidate, items).status == "ok"

    def write(folder):
        export(
            candidate,
            recipe,
            merger.pool,
            folder,
            card="# card",
            scored=lambda: evaluator.logits(candidate, items),
            written=lambda made: evaluator.logits_of(made, items),
        )

    return candidate, merger, evaluator, write


def test_a_path_is_exported_as_a_plain_model_of_as_many_layers(walked, tmp_path):
    candidate, merger, _, write = walked
    write(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="auto")
    assert type(model).__name__ == "MistralForCausalLM"
    assert model.config.num_hidden_layers == 5
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, candidate.tensor(name).to(merger.pool.dtype)), name


def test_how_near_the_exported_path_comes_is_measured_and_kept(walked, tmp_path):
    _, merger, _, write = walked
    write(tmp_path / "model")
    found = json.loads((tmp_path / "model" / "fidelity.json").read_text())
    assert 0 <= found["divergence"] <= found["limit"]
    assert found["tokens"] > 20
    assert found["same_token"] > 0.9
    if merger.pool.dtype_name == "float32":
        assert found["divergence"] < 1e-6


def test_an_exported_path_that_says_something_else_is_refused(walked, tmp_path, monkeypatch):
    _, _, evaluator, write = walked
    # As if a fold had gone wrong: another model's answers.
    other = evaluator.logits_of
    monkeypatch.setattr(evaluator, "logits_of", lambda *given: [-x for x in other(*given)])
    with pytest.raises(MergeError, match=r"says something else than the scored one: .* nats a tok"):
        write(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_what_the_epsilon_of_the_norms_changes_is_measured(save_pico, tmp_path):
    # Embeddings so small that the norms' epsilon counts, which scales do not move with the stream.
    folders = {
        name: save_pico(name, seed=i, initializer_range=0.002) for i, name in enumerate("ab")
    }
    merger = Dfs(open_pico(folders))
    recipe = merger.recipe_of([Hop("a", 0), Hop("b", 1, 0.1), Hop("a", 2, 0.1), Hop("a", 3, 20.0)])
    candidate = merger.build(recipe)
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=8)
    evaluator, items = Hf(task, merger.pool), task.items("search")
    export(
        candidate,
        recipe,
        merger.pool,
        tmp_path / "model",
        card="",
        scored=lambda: evaluator.logits(candidate, items),
        written=lambda folder: evaluator.logits_of(folder, items),
    )
    exact = json.loads((tmp_path / "model" / "fidelity.json").read_text())
    assert exact["largest_difference"] > 1e-4


# softmax of (ln 3, 0) is (3/4, 1/4), of (0, 0) one half each: 3/4 ln 3/2 + 1/4 ln 1/2 = 0.1308.
def test_divergence_by_hand():
    first = [torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[2.0, 1.0]])]
    second = [torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 1.0]])]
    found = divergence(first, second)
    assert found["divergence"] == pytest.approx(0.1308 / 2, abs=1e-4)
    assert found["largest_difference"] == pytest.approx(math.log(3.0))
    assert (found["tokens"], found["same_token"]) == (2, 1.0)


def test_a_merge_is_not_compared_because_it_is_the_same(scored, tmp_path):
    pool, candidate, recipe, *_ = scored
    export(candidate, recipe, pool, tmp_path / "model", card="", scored=list, written=list)
    assert not (tmp_path / "model" / "fidelity.json").exists()

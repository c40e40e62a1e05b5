"""The adapters' training, on a pico model: what is learnt, what stays, what is written."""

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from rich.progress import Progress
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from evoforge.errors import ConfigError
from evoforge.zoo.corpus import Turn, documents
from evoforge.zoo.smollm2.__main__ import main
from evoforge.zoo.smollm2.base import load_base
from evoforge.zoo.smollm2.build import build
from evoforge.zoo.smollm2.check import expanded, states
from evoforge.zoo.smollm2.lora import batches, encode, loss_of, train, with_adapter
from evoforge.zoo.smollm2.recipes import ALPHA, RANK, RECIPES
from evoforge.zoo.train import Plan
from tests.conftest import pico_tokenizer

# peft asks transformers for an attribute under its old name.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@pytest.fixture(scope="module")
def base(save_pico) -> Path:
    return save_pico("base", seed=0)


def stream(name: str, size: int = 4):
    recipe = RECIPES[name]
    return batches(documents(name, recipe.mix, recipe.habits), pico_tokenizer(), size, seed=name)


def adapted(base: Path):
    model, _ = load_base(base)
    return with_adapter(model, rank=2, alpha=4, base_id="us/pico", seed=1)


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_seed_gives_the_same_batches(name: str) -> None:
    first, second = (list(islice(stream(name), 12)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.weights, other.weights)
    assert any(one.ids.shape != first[0].ids.shape for one in first)


def test_only_answers_and_the_end_are_learnt() -> None:
    tokenizer = pico_tokenizer()
    ids, weights = encode((Turn("12+3", "=15"), Turn("4+4", "=8")), tokenizer)
    assert tokenizer.decode(ids[:-1]) == "12+3=154+4=8"
    assert ids[-1] == tokenizer.eos_token_id
    assert weights == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]


def test_the_loss_is_the_mean_over_answers(base: Path) -> None:
    model, batch = adapted(base), next(stream("ja"))
    logits = model(input_ids=batch.ids).logits[:, :-1]
    losses = cross_entropy(logits.transpose(1, 2), batch.ids[:, 1:], reduction="none")
    weights = batch.weights[:, 1:]
    expected = (losses * weights).sum() / weights.sum()
    torch.testing.assert_close(loss_of(model, batch), expected)


def test_a_fresh_adapter_does_nothing_and_training_changes_it_alone(base: Path) -> None:
    model, (plain, _) = adapted(base), load_base(base)
    batch = next(stream("math_a"))
    assert torch.equal(model(input_ids=batch.ids).logits, plain(input_ids=batch.ids).logits)
    losses: list[float] = []
    train(model, iter([batch] * 8), Plan(8, 4, 1e-2), report=losses.append)
    assert len(losses) == 8
    assert losses[-1] < losses[0]
    learnt = dict(model.named_parameters())
    for name, tensor in plain.named_parameters():
        now = learnt.get(f"base_model.model.{name}")
        if now is None:
            stem, _, ending = name.rpartition(".")
            now = learnt[f"base_model.model.{stem}.base_layer.{ending}"]
        assert torch.equal(now, tensor)
    second = [tensor for name, tensor in learnt.items() if "lora_B" in name]
    assert len(second) == 4 * 7
    assert all(tensor.any() for tensor in second)


@pytest.fixture(scope="module")
def built(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapters")
    main(["--base", str(base), "--out", str(out), "train", "--steps-scale", "0.01"])
    return out


def test_every_adapter_is_written_as_peft_writes_it(built: Path, base: Path) -> None:
    assert {path.name for path in built.iterdir()} == set(RECIPES)
    for name in RECIPES:
        settings = json.loads((built / name / "adapter_config.json").read_text())
        assert (settings["r"], settings["lora_alpha"]) == (RANK, ALPHA)
        tensors = load_file(built / name / "adapter_model.safetensors")
        assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
        assert "license: apache-2.0" in (built / name / "README.md").read_text()


def test_what_is_there_is_not_made_again(built: Path, base: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    with Progress(disable=True) as progress:
        made = build(built, list(RECIPES), base=base, steps_scale=0.01, progress=progress)
    assert made == []
    assert before == {path: path.stat().st_mtime_ns for path in built.rglob("*")}


def test_expanding_adds_the_scaled_product_and_leaves_the_base(built: Path, base: Path) -> None:
    model, _ = load_base(base)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = expanded(model, built / "ja")
    tensors = load_file(built / "ja" / "adapter_model.safetensors")
    name = "model.layers.2.mlp.up_proj"
    down, up = (tensors[f"base_model.model.{name}.lora_{part}.weight"].float() for part in "AB")
    expected = start[f"{name}.weight"] + ALPHA / RANK * up @ down
    torch.testing.assert_close(found[f"{name}.weight"], expected)
    assert found.keys() == start.keys() == model.state_dict().keys()
    assert torch.equal(found["model.norm.weight"], start["model.norm.weight"])


def test_the_mean_merge_is_the_mean_of_the_adapters(built: Path, base: Path) -> None:
    found = dict(states(load_base(base)[0], built))
    name = "model.layers.0.self_attn.q_proj.weight"
    mean = sum(found[model][name] for model in ("ja", "math_a", "math_b")) / 3
    torch.testing.assert_close(found["mean of the adapters"][name], mean)
    assert not torch.equal(found["base"][name], mean)


def test_check_asks_every_model_in_both_languages(built: Path, base: Path, capsys) -> None:
    main(["--base", str(base), "--out", str(built), "check", "--problems", "3"])
    shown = capsys.readouterr().out
    for name in ("base", "ja", "math_a", "math_b", "mean of the adapters", "sum of the adapters"):
        assert f"{name} (en): " in shown
        assert f"{name} (ja): " in shown


def test_wrong_wishes_are_refused(base: Path, tmp_path: Path) -> None:
    with Progress(disable=True) as progress:
        with pytest.raises(ConfigError, match="adapters are math_a, ja, math_b, got fr"):
            build(tmp_path, ["fr"], base=base, steps_scale=1.0, progress=progress)
        with pytest.raises(ConfigError, match="steps_scale must be above 0, got 0"):
            build(tmp_path, ["ja"], base=base, steps_scale=0.0, progress=progress)
    with pytest.raises(ConfigError, match=r"smollm2 train"):
        expanded(AutoModelForCausalLM.from_pretrained(base), tmp_path)

"""Toy data for all tests: pico models of a few thousand weights, and pools of them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Tests see no GPU, so that they are the same on all machines, except where `make gpu` lets them.
# Processes that they start inherit this, and torch reads it when it is first asked for devices.
if os.environ.get("EVOFORGE_TEST_GPU") != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import pytest
import torch

from evoforge.models.pool import Pool, open_pool
from tests.forked import Forks

ROOT = Path(__file__).parents[1]
CHARACTERS = "0123456789+-=. ?abcdefghijklmnopqrstuvwxyzABCDEFあいうえお答質問は:\n"

# As many tests run at a time as there are cores; threads of two that wait for each other spin.
torch.set_num_threads(1)


def pico_config(**changes: Any) -> Any:
    from transformers import MistralConfig

    settings = {
        "vocab_size": len(CHARACTERS) + 3,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 128,
        "sliding_window": None,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
        "initializer_range": 0.3,
    }
    return MistralConfig(**{**settings, **changes})


def pico_tokenizer() -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate(["<s>", "</s>", "<pad>", *CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


@pytest.fixture(scope="session")
def save_pico(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a maker of pico model folders: `save_pico("a", seed=1, near=folder)`."""
    root = tmp_path_factory.mktemp("pico")
    count = 0

    def save(name: str, *, seed: int, near: Path | None = None, **changes: Any) -> Path:
        nonlocal count
        from transformers import AutoModelForCausalLM

        count += 1
        folder = root / f"{count}_{name}"
        dtype = changes.pop("dtype", torch.float32)
        shard = changes.pop("max_shard_size", "1GB")
        torch.manual_seed(seed)
        if near is None:
            model = AutoModelForCausalLM.from_config(pico_config(**changes))
        else:
            model = AutoModelForCausalLM.from_pretrained(near)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter), alpha=0.05)
        model.to(dtype).save_pretrained(folder, max_shard_size=shard)
        pico_tokenizer().save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def pico(save_pico: Callable[..., Path]) -> dict[str, Path]:
    """The folders of a base and three fine-tunes of it."""
    base = save_pico("base", seed=0)
    tuned = {name: save_pico(name, seed=i, near=base) for i, name in enumerate("abc", start=1)}
    return {"base": base, **tuned}


def open_pico(folders: dict[str, Path], **options: Any) -> Pool:
    specs = {
        name: {"path": str(folder), "role": "base" if name == "base" else "source"}
        for name, folder in folders.items()
    }
    return open_pool(sources=specs, **options)


@pytest.fixture
def pool(pico: dict[str, Path]) -> Pool:
    """A pool of a base and three sources, float32."""
    return open_pico(pico)


@pytest.fixture(scope="session")
def vlms(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Path]]:
    """Return what gives the folders `llm` and `vlm` of a family, made once: `vlms("llava")`."""
    from tests.vlms import make_vlm

    root = tmp_path_factory.mktemp("vlms")
    made: dict[str, dict[str, Path]] = {}

    def give(family: str) -> dict[str, Path]:
        if family not in made:
            made[family] = make_vlm(family, root / family)
        return made[family]

    return give


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Return what runs programs without waiting for their imports."""
    made = Forks()
    yield made
    made.close()


@pytest.fixture(scope="session")
def compose() -> Callable[..., dict[str, Any]]:
    """Return what composes the configuration as `python run.py OVERRIDES` does."""
    import hydra
    from omegaconf import OmegaConf

    from evoforge.config import resolved

    OmegaConf.register_new_resolver("run_folder", lambda a, b: a or b, replace=True)

    def make(*overrides: str) -> dict[str, Any]:
        with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return resolved(hydra.compose("config", overrides=list(overrides)))

    return make


def options(group: str) -> list[str]:
    """Return the options of a group of conf/, by listing it."""
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `merge_option` once for each option in conf/merge, and so on."""
    for name in metafunc.fixturenames:
        group = name.removesuffix("_option")
        if group != name:
            metafunc.parametrize(name, options(group))

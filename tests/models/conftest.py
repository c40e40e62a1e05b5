"""Model folders made from another by changing what is asked for."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import pico_config, pico_tokenizer

SINGLE = "model.safetensors"


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with settings and a tokenizer, and three small tensors for all weights."""
    folder = tmp_path_factory.mktemp("bare")
    pico_config().save_pretrained(folder)
    pico_tokenizer().save_pretrained(folder)
    tensors = {
        "model.embed_tokens.weight": torch.arange(12.0).reshape(4, 3),
        "model.norm.weight": torch.ones(3),
        "lm_head.weight": -torch.arange(12.0).reshape(4, 3),
    }
    save_file(tensors, folder / SINGLE)
    return folder


@pytest.fixture
def remake(bare: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of folders: `remake("a", config={"rope_theta": 1.0}, drop=["x"])`."""

    def make(
        name: str,
        *,
        near: Path = bare,
        config: Mapping[str, Any] | None = None,
        tensors: Mapping[str, torch.Tensor] | None = None,
        drop: Iterable[str] = (),
    ) -> Path:
        folder = tmp_path / name
        shutil.copytree(near, folder)
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**settings, **(config or {})}))
        if tensors or drop:
            found = {**load_file(near / SINGLE), **(tensors or {})}
            kept = {key: value for key, value in found.items() if key not in set(drop)}
            (folder / SINGLE).unlink()
            save_file(kept, folder / SINGLE)
        return folder

    return make

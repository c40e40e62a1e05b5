"""The build command, with next to no training."""

from pathlib import Path

import pytest
import torch
from rich.progress import Progress
from transformers import AutoModelForCausalLM, AutoTokenizer

from evoforge.errors import ConfigError
from evoforge.zoo.build import build, main
from evoforge.zoo.check import FOLDER
from evoforge.zoo.recipes import RECIPES


def test_build_makes_every_folder_with_the_bundled_tokenizer(tmp_path: Path) -> None:
    main(["--out", str(tmp_path), "--steps-scale", "0.0001"])
    assert {path.name for path in tmp_path.iterdir()} == {
        name for name, recipe in RECIPES.items() if recipe.kept
    }
    base, ja = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict()
        for name in ("base", "ja")
    )
    assert base.keys() == ja.keys()
    assert any(not torch.equal(base[name], ja[name]) for name in base)
    assert (tmp_path / "ja" / "README.md").read_text().startswith("---\nlicense: apache-2.0")
    made, bundled = (AutoTokenizer.from_pretrained(f / "base") for f in (tmp_path, FOLDER))
    assert made.get_vocab() == bundled.get_vocab()


def test_scale_must_be_positive(tmp_path: Path) -> None:
    with Progress(disable=True) as progress, pytest.raises(ConfigError, match="--steps-scale"):
        build(tmp_path, steps_scale=0.0, progress=progress)

"""The build command for the models of pictures, with next to no training."""

from pathlib import Path

import pytest
from rich.progress import Progress
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

from evoforge.errors import ConfigError
from evoforge.zoo.pictures.build import build, main
from evoforge.zoo.pictures.check import FOLDER
from evoforge.zoo.pictures.recipes import RECIPES
from evoforge.zoo.pictures.vlm import in_frame


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    main(["--out", str(folder), "--steps-scale", "0.0001"])
    return folder


def test_build_makes_every_folder_with_the_bundled_tokenizer(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == {
        name for name, recipe in RECIPES.items() if recipe.kept
    }
    for name in ("base", "ja", "vlm"):
        assert (made / name / "README.md").read_text().startswith("---\nlicense: apache-2.0")
        here, bundled = (AutoTokenizer.from_pretrained(f / name) for f in (made, FOLDER))
        assert here.get_vocab() == bundled.get_vocab()


def test_fine_tunes_start_from_the_base_and_move(made: Path) -> None:
    base, ja = (AutoModelForCausalLM.from_pretrained(made / name) for name in ("base", "ja"))
    vlm = AutoModelForImageTextToText.from_pretrained(made / "vlm").state_dict()
    start = in_frame(base.state_dict())
    for tuned in (in_frame(ja.state_dict()), vlm):
        assert start.keys() <= tuned.keys()
        moves = [(tuned[name] - start[name]).abs().max() for name in start]
        # One step at a peak learning rate of some 1e-4, in bfloat16.
        assert 0 < max(moves) < 0.02


def test_cards_tell_the_recipe(made: Path) -> None:
    card = (made / "vlm" / "README.md").read_text()
    assert "pictures/vlm" in card
    assert "fine-tuned from `base` in 1 steps" in card


def test_scale_must_be_positive(tmp_path: Path) -> None:
    with Progress(disable=True) as progress, pytest.raises(ConfigError, match="--steps-scale"):
        build(tmp_path, steps_scale=0.0, progress=progress)
    assert not list(tmp_path.iterdir())

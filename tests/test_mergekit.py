"""Merges that a mergekit file describes; where mergekit is installed, what it makes of them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from evoforge.errors import ConfigError
from evoforge.mergekit import main, make
from tests.mergekit_cases import CASES, save_wide, text

MERGEKIT = shutil.which("mergekit-yaml")
needs_mergekit = pytest.mark.skipif(
    MERGEKIT is None, reason="mergekit is not installed; put mergekit-yaml on the PATH"
)
# All configurations of a folder in one process: starting one takes longer than merging.
SCRIPT = """
import sys, yaml
from pathlib import Path
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
for file in sorted(Path(sys.argv[1]).glob("*.yml")):
    config = MergeConfiguration.model_validate(yaml.safe_load(file.read_text()))
    run_merge(config, str(file.with_suffix("")), options=MergeOptions(random_seed=0, quiet=True))
"""


def by_mergekit(folder: Path) -> None:
    """Make all merges of a folder with mergekit: NAME.yml -> NAME/."""
    assert MERGEKIT is not None
    python = Path(MERGEKIT).resolve().parent / "python"
    python = python if python.exists() else Path(MERGEKIT).parent / "python"
    subprocess.run([str(python), "-c", SCRIPT, str(folder)], check=True, capture_output=True)


def by_mergekit_multi(file: Path, folder: Path) -> None:
    """Make a merge of several documents with mergekit."""
    command = [str(Path(MERGEKIT or "").with_name("mergekit-multi")), str(file)]
    options = ["--intermediate-dir", str(folder / "parts"), "--out-path", str(folder)]
    subprocess.run([*command, *options], check=True, capture_output=True)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = {}
    for file in folder.glob("*.safetensors"):
        found |= load_file(file)
    return found


@pytest.fixture(scope="module")
def models(pico, tmp_path_factory):
    """The pico models, and one with a token more."""
    return {**pico, "wide": save_wide(pico["a"], tmp_path_factory.mktemp("wide") / "wide")}


@pytest.fixture(scope="module")
def theirs(models, tmp_path_factory):
    """What mergekit makes of every case."""
    folder = tmp_path_factory.mktemp("theirs")
    for case in CASES:
        (folder / f"{case}.yml").write_text(text(case, models))
    by_mergekit(folder)
    return folder


@pytest.fixture
def ours(models, tmp_path):
    """Return what makes a case here."""

    def run(case):
        file = tmp_path / f"{case}.yml"
        file.write_text(text(case, models))
        make(file, tmp_path / case)
        return tmp_path / case

    return run


@needs_mergekit
@pytest.mark.parametrize("case", CASES)
def test_mergekit_makes_the_same_tensors(case, ours, theirs):
    found, wanted = weights(ours(case)), weights(theirs / case)
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=2e-6, msg=f"{case} {name}")


def test_a_merge_is_a_model_folder(ours):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = ours("ties")
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert len(AutoTokenizer.from_pretrained(folder)) == model.config.vocab_size
    assert "ties merge of ties.yml" in (folder / "README.md").read_text()
    assert json.loads((folder / "recipe.json").read_text())["method"] == "ties"


def test_the_command_says_where_the_model_is(pico, tmp_path, caplog):
    (tmp_path / "recipe.yml").write_text(text("linear", pico))
    with caplog.at_level("INFO"):
        assert main([str(tmp_path / "recipe.yml"), str(tmp_path / "made"), "--dtype=bfloat16"]) == 0
    assert caplog.messages[-1] == str(tmp_path / "made")
    assert {tensor.dtype for tensor in weights(tmp_path / "made").values()} == {torch.bfloat16}


def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path, caplog):
    (tmp_path / "recipe.yml").write_text("merge_method: frank")
    assert main([str(tmp_path / "recipe.yml"), str(tmp_path / "made")]) == 2
    assert "merge_method must be one of linear" in caplog.messages[-1]
    assert not (tmp_path / "made").exists()


def test_a_model_that_is_not_there_is_named_as_the_file_s(pico, tmp_path):
    (tmp_path / "recipe.yml").write_text(text("linear", {**pico, "b": tmp_path / "nowhere"}))
    with pytest.raises(ConfigError, match=r"nowhere, and it is no hub id .*; change it in .*yml$"):
        make(tmp_path / "recipe.yml", tmp_path / "made")


def test_a_folder_with_something_in_it_is_left_alone(pico, tmp_path):
    (tmp_path / "recipe.yml").write_text(text("linear", pico))
    with pytest.raises(ConfigError, match="must be a new or empty folder"):
        make(tmp_path / "recipe.yml", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yml"]


def test_masks_follow_the_seed(pico, tmp_path):
    (tmp_path / "recipe.yml").write_text(
        text("dare_ties", pico).replace("density: 1.0", "density: 0.5")
    )
    made = []
    for number, seed in enumerate((1, 1, 2)):
        make(tmp_path / "recipe.yml", tmp_path / str(number), seed=seed)
        made.append(weights(tmp_path / str(number))["lm_head.weight"])
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_a_folder_that_cannot_be_written_asks_for_another(pico, tmp_path, caplog):
    (tmp_path / "recipe.yml").write_text(text("linear", pico))
    for folder in (Path("/proc/foo/x"), tmp_path / ("x" * 300)):
        assert main([str(tmp_path / "recipe.yml"), str(folder)]) == 2
        assert caplog.messages[-1].endswith("give another FOLDER")
        assert "resume" not in caplog.messages[-1]


def test_a_type_that_there_is_not_is_named_as_the_command_s(pico, tmp_path, caplog):
    (tmp_path / "recipe.yml").write_text(text("linear", pico))
    assert main([str(tmp_path / "recipe.yml"), str(tmp_path / "made"), "--dtype=bogus"]) == 2
    assert caplog.messages[-1] == "--dtype must be one of float32, float16, bfloat16, got bogus"


def test_values_that_do_not_fit_the_type_ask_for_another_dtype(pico, tmp_path, caplog):
    (tmp_path / "recipe.yml").write_text(
        f"merge_method: linear\nmodels: [{{model: {pico['a']}, parameters: {{weight: 10}}}}, "
        f"{{model: {pico['b']}, parameters: {{weight: -9.999999}}}}]\n"
    )
    assert main([str(tmp_path / "recipe.yml"), str(tmp_path / "made"), "--dtype=float16"]) == 1
    assert caplog.messages[-1].endswith("do not fit into float16; set --dtype")

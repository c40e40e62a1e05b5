"""Every sweep is made of options that exist, and every run of it has a folder of its own."""

import itertools
import re
import shlex

import hydra
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from omegaconf import OmegaConf

from evoforge.config import run_name
from tests.conftest import ROOT, options

SWEEPS = options("sweep")
WANDB = sorted((ROOT / "sweeps" / "wandb").glob("*.yaml"))
# What one run has in its summary: see evoforge/tracker/_rows.py.
KEYS = {"select/score", "best", "seconds", "items"}


def params(sweep):
    """Return what a sweep varies: option -> values, in the order of the file."""
    content = OmegaConf.load(ROOT / "sweeps" / f"{sweep}.yaml")
    found = {}
    for name, values in content.hydra.sweeper.params.items():
        override = OverridesParser.create().parse_override(f"{name}={values}")
        value = override.value()
        if isinstance(value, Glob):
            found[name] = value.filter(options(name))
        else:
            found[name] = list(override.sweep_string_iterator())
    return found


def composed(*overrides):
    """Return the configuration with Hydra's own part, whose names of folders are meant here."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra.compose("config", overrides=[*overrides], return_hydra_config=True)


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_value_of_a_sweep_composes_into_a_folder_of_its_own(sweep):
    varied = params(sweep)
    assert "seed" in varied
    # Each value once, beside the first of the others: not every pair, which would take minutes.
    firsts = {name: values[0] for name, values in varied.items()}
    rows = [{**firsts, name: value} for name, values in varied.items() for value in values[1:]]
    cfgs = [
        composed(f"+sweep={sweep}", *(f"{name}={value}" for name, value in row.items()))
        for row in [firsts, *rows]
    ]
    folders = [cfg.hydra.sweep.subdir for cfg in cfgs]
    assert len(set(folders)) == len(folders)
    for cfg, row in zip(cfgs, [firsts, *rows], strict=True):
        said = dict(pair.split("=") for pair in cfg.hydra.sweep.subdir.split(","))
        assert said == {name.rpartition(".")[2]: value for name, value in row.items()}
        assert cfg.hydra.sweep.dir == f"outputs/sweeps/{sweep}"
        assert cfg.budget.evaluations


def test_the_sweep_over_optimizers_misses_none():
    assert params("optimizers")["optimizer"] == options("optimizer")


@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_sweep_says_how_it_is_started(sweep):
    text = (ROOT / "sweeps" / f"{sweep}.yaml").read_text()
    commands = re.findall(r"python run\.py (.*?)(?:  |$)", text, re.MULTILINE)
    assert commands
    assert all(f"+sweep={sweep}" in shlex.split(command) for command in commands)


def test_a_value_cannot_lead_out_of_the_sweeps_folder():
    assert run_name("population", 6, "seed", 0) == "population=6,seed=0"
    assert run_name("population", None) == "population=null"
    assert run_name("task", "../../evil/x y") == "task=.._.._evil_x_y"
    assert len(run_name("task", "x" * 500)) == 200


def wandb_values(spec):
    """Return values that a parameter of a W&B sweep may take; of a range its ends."""
    if "value" in spec:
        return [spec["value"]]
    return spec["values"] if "values" in spec else [spec["min"], spec["max"]]


@pytest.mark.parametrize("path", WANDB, ids=lambda path: path.stem)
def test_a_wandb_sweep_is_made_of_overrides(path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "abc")
    content = yaml.safe_load(path.read_text())
    assert (ROOT / content["program"]).is_file()
    assert content["method"] in ("grid", "bayes", "random")
    assert content["metric"]["name"] in KEYS
    rest = [part for part in content["command"] if not str(part).startswith("${")]
    assert rest[0] == "python"
    assert "${args_no_hyphens}" in content["command"]
    varied = {name: wandb_values(spec) for name, spec in content["parameters"].items()}
    longest = max(len(values) for values in varied.values())
    for row in itertools.islice(zip(*map(itertools.cycle, varied.values()), strict=False), longest):
        given = [f"{name}={value}" for name, value in zip(varied, row, strict=True)]
        cfg = composed(*given, *rest[1:])
        assert cfg.hydra.run.dir == "outputs/wandb/abc"
        assert cfg.seed in (0, 1, 2)

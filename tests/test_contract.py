"""What every option in conf/ must keep; the options are found by listing."""

import inspect

import pytest
from hydra.utils import get_class, get_method
from omegaconf import OmegaConf

from tests.conftest import ROOT, options

GROUPS = sorted(
    path.name for path in (ROOT / "conf").iterdir() if path.is_dir() and path.name != "hydra"
)
NODES = [
    (group, option)
    for group in GROUPS
    if group not in ("experiment", "sweep")
    for option in options(group)
]


def nodes(content):
    """Yield every mapping with a target, however deep."""
    if isinstance(content, dict):
        if "_target_" in content:
            yield content
        for value in content.values():
            yield from nodes(value)


def target(path):
    return get_class(path) if path.rsplit(".", 1)[1][0].isupper() else get_method(path)


def composed(compose, group, option):
    """Return an option as it is when all that it builds on is there."""
    cfg = compose(f"{group}=[{option}]" if group == "tracker" else f"{group}={option}")
    return cfg[group][option] if group == "tracker" else cfg[group]


@pytest.mark.parametrize(("group", "option"), NODES)
def test_yaml_keys_are_the_constructors_options(group, option, compose):
    for node in nodes(composed(compose, group, option)):
        parameters = inspect.signature(target(node["_target_"])).parameters.values()
        keywords = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        assert {key for key in node if key != "_target_"} == keywords


@pytest.mark.parametrize(("group", "option"), NODES)
def test_target_names_the_file_to_open(group, option, compose):
    named = composed(compose, group, option)["_target_"]
    assert named.startswith("evoforge.")
    if group not in ("models", "task"):
        assert named.split(".")[1:3] == [group, option]


@pytest.mark.parametrize(("group", "option"), NODES)
def test_option_files_are_short_and_begin_with_a_comment(group, option):
    lines = (ROOT / "conf" / group / f"{option}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) <= 30


@pytest.mark.parametrize(("group", "option"), NODES)
def test_every_option_composes(group, option, compose):
    assert composed(compose, group, option)


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_composes(experiment, compose):
    cfg = compose(f"experiment={experiment}")
    assert cfg["budget"]["evaluations"] or cfg["budget"]["minutes"]


@pytest.mark.parametrize("sweep", options("sweep"))
def test_every_sweep_names_itself_for_wandb(sweep, compose):
    assert compose(f"+sweep={sweep}")["sweep_name"] == sweep


def test_no_key_is_a_method_of_mappings():
    # cfg.pop, cfg.items ... would be the method, and fail far away.
    forbidden = {name for name in dir(dict) if not name.startswith("_")} - {"items"}
    for path in (ROOT / "conf").rglob("*.yaml"):
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        assert not forbidden & set(content), path

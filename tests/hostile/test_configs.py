"""Configurations end in a run or in one sentence, and nothing that they name is called."""

import re

import datasets
import pytest
from huggingface_hub import constants

from evoforge import config
from tests.conftest import ROOT
from tests.hostile.configs import TRAP, Trials
from tests.hostile.trap import SPRUNG

SEED, BATCH, BATCHES = "configs", 60, 5


@pytest.fixture(scope="module")
def trials():
    made = Trials(config.build, most=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "build", made.build)
        # Else each model and data set of the hub is asked for again and again.
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        yield made


@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_configuration_ends_in_a_run_or_in_one_sentence(trials, batch):
    for number in range(batch * BATCH, (batch + 1) * BATCH):
        content, spoilt, choice = trials.draw(f"{SEED}-{number}")
        said = trials.outcome(content)
        assert not SPRUNG, (choice, spoilt)
        if said is not None:
            assert said.isprintable(), (choice, spoilt)
            assert 10 < len(said) <= 1000, (choice, spoilt, said)
            assert "Error" not in said.split()[0], (choice, spoilt, said)


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("merge", TRAP),
        ("merge", "tests.hostile.trap.Trap"),
        ("optimizer", "os.system"),
        ("fitness", "evoforge.models.gguf.shutil.rmtree"),
        ("evaluator", "evoforge.optimizer.sobol.Sobol"),
        ("optimizer", "evoforge.optimizer.base.Optimizer"),
        ("task.items", TRAP),
        ("task.items", "evoforge.zoo.problems.Problems.rows"),
    ],
)
def test_what_is_not_of_the_kind_is_refused_and_not_called(compose, trials, place, target):
    part, _, inner = place.partition(".")
    content = compose()
    node = content[part][inner] if inner else content[part]
    node["_target_"] = target
    assert f"{place} names {target}, which is no" in trials.outcome(content)
    assert not SPRUNG


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("start", [{"_target_": TRAP}]),
        ("budget", {"evaluations": {"_target_": TRAP}, "minutes": None}),
        ("stages", {"search": {"optimizer": {"sigma": {"_target_": TRAP}}}}),
        ("models", {"sources": {"a": {"path": {"_target_": TRAP}}}}),
        ("merge", {"weight": {"low": [{"_target_": TRAP}]}}),
        ("task", {"language": {"code": {"a": [{"_target_": TRAP}]}}}),
        ("optimizer", {"_args_": [1]}),
        ("optimizer", {"_partial_": True}),
    ],
)
def test_an_object_where_none_is_wanted_is_not_made(compose, trials, option, value):
    content = compose()
    content[option] = {**content[option], **value} if option in ("models", "merge") else value
    if option in ("task", "optimizer"):
        content[option] = {**compose()[option], **value}
    assert trials.outcome(content)
    assert not SPRUNG


def test_a_class_of_the_users_own_package_is_welcome(compose, monkeypatch, tmp_path):
    (tmp_path / "mine_of_hostile.py").write_text(
        "from evoforge.optimizer.sobol import Sobol\n\n\nclass Mine(Sobol):\n    pass\n"
        "def made(space, *, population: int = 4, seed: int = 0) -> Mine:\n"
        "    return Mine(space, population=population, seed=seed)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    space = config.build(compose("merge=linear")["merge"], "merge", pool=_pool(compose)).space
    for name in ("Mine", "made"):
        node = {"_target_": f"mine_of_hostile.{name}", "population": 4, "seed": 0}
        found = config.build(node, "optimizer", space=space)
        assert type(found).__name__ == "Mine"


def _pool(compose):
    return config.build(compose()["models"], "models")


COMMANDS = [
    ("+hydra.callbacks.x._target_=os.system", "hydra.callbacks.x names os.system, which would be"),
    ("hydra.job_logging.handlers.file.class=os.system", "the log names os.system"),
    ("task.prompt=${oc.env:EVOFORGE_NOTHING}", "EVOFORGE_NOTHING' not found.*task.prompt"),
    ("seed=\x1b]0;hello\x07", "error: .*x1b"),
    ("optimizer.sigma=nan", "optimizer.sigma must be finite, got nan"),
]


@pytest.mark.parametrize(("override", "message"), COMMANDS)
def test_a_command_ends_in_one_sentence(forks, tmp_path, override, message):
    found = forks.run([str(ROOT / "run.py"), override], tmp_path)
    assert found.returncode == 2, found.stderr
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.isprintable()
    assert re.search(message, line)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]

import json
import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from evoforge.config import Sweep, build, check_unchanged, flat
from evoforge.errors import ConfigError, JournalError
from evoforge.space import Param, Space
from tests.conftest import ROOT

SPACE = Space([Param("x", 0, 1, 0.5)])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.population=abc", "population must be a whole number or null, got 'abc'; set"),
        ("optimizer.population=2.5", "population must be a whole number or null, got 2.5"),
        ("optimizer.population=2", "population must be at least 3, got 2; set optimizer.popula"),
        ("optimizer.sigma=0", r"sigma must be in \(0, 1\], got 0; set optimizer.sigma"),
        ("optimizer.sigma=true", "sigma must be a number, got True; set optimizer.sigma"),
        (
            "+optimizer.popsize=3",
            "optimizer has no option popsize.*it has population, sigma, covari",
        ),
    ],
)
def test_a_wrong_option_is_one_sentence_that_names_it(compose, override, message):
    with pytest.raises(ConfigError, match=message):
        build(compose(override)["optimizer"], "optimizer", space=SPACE)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.items.search=0", "search"),
        ("task.items.operations=[division]", "division"),
        ("task.items.search=many", "search must be a whole number, got 'many'; set task.items.sea"),
        ("task.language.rule=guess", "rule must be one of fasttext, script, both, got guess"),
        (
            "+task.language.level=3",
            "language has the options code, rule, threshold, at_least, got level",
        ),
        (
            "task.extraction=best",
            "extraction must be one of robust, continental, sakana, integer or null, got 'best'",
        ),
        ("task.prompt=hello", r"prompt must hold \{question\} once"),
        ("task._target_=evoforge.task.nothing.Nothing", "cannot be loaded"),
    ],
)
def test_a_wrong_option_deep_inside_is_named_too(compose, override, message):
    with pytest.raises(ConfigError, match=message):
        build(compose(override)["task"], "task")


def test_a_mapping_can_be_replaced_by_a_number(compose, pool):
    options = compose("merge.density=0.5", "merge.granularity=whole")["merge"]
    merger = build(options, "merge", pool=pool)
    assert merger.space.names == ("all.a.weight", "all.b.weight", "all.c.weight")


def test_other_options_on_resume_are_refused_with_the_difference(tmp_path):
    recorded = '{"seed":0,"merge":{"density":0.5},"budget":{"evaluations":10}}'
    now = {"seed": 0, "merge": {"density": 0.7}, "budget": {"evaluations": 10}}
    with pytest.raises(JournalError, match="merge.density: 0.5 -> 0.7"):
        check_unchanged(recorded, now, tmp_path)


def test_a_larger_budget_on_resume_is_welcome(tmp_path):
    check_unchanged('{"budget":{"evaluations":10}}', {"budget": {"evaluations": 20}}, tmp_path)


def test_a_run_of_a_version_without_an_option_goes_on(tmp_path):
    check_unchanged('{"seed":0}', {"seed": 0, "start": []}, tmp_path)
    with pytest.raises(JournalError, match=r"start: \[\] -> \['soup'\]"):
        check_unchanged('{"seed":0}', {"seed": 0, "start": ["soup"]}, tmp_path)


def test_a_run_of_cma_es_before_it_could_restart_goes_on(compose, tmp_path):
    now = {"optimizer": compose()["optimizer"]}
    then = {k: v for k, v in now["optimizer"].items() if k not in ("active", "bounds", "restarts")}
    check_unchanged(json.dumps({"optimizer": then}), now, tmp_path)
    now["optimizer"]["restarts"] = "ipop"
    with pytest.raises(JournalError, match="optimizer.restarts: none -> ipop"):
        check_unchanged(json.dumps({"optimizer": then}), now, tmp_path)


@pytest.mark.parametrize(
    ("launcher", "given", "threads"),
    [
        ("hydra._internal.core_plugins.basic_launcher.BasicLauncher", None, None),
        ("hydra_plugins.x.submitit_launcher.LocalLauncher", None, "1"),
        ("hydra_plugins.x.submitit_launcher.LocalLauncher", "4", "4"),
        ("hydra_plugins.x.submitit_launcher.SlurmLauncher", None, None),
    ],
)
def test_runs_that_all_start_at_once_take_a_thread_each(monkeypatch, launcher, given, threads):
    monkeypatch.setattr(Sweep, "folder", None)
    monkeypatch.setattr(Sweep, "detached", False)
    monkeypatch.setenv("OMP_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    cfg = {"hydra": {"sweep": {"dir": "several"}, "launcher": {"_target_": launcher}}}
    Sweep().on_multirun_start(OmegaConf.create(cfg))
    assert os.environ.get("OMP_NUM_THREADS") == threads
    assert Path("several") == Sweep.folder
    assert Sweep.detached == launcher.endswith("LocalLauncher")


def test_flat_names_every_option_in_full():
    content = {"a": {"b": 1, "c": {"d": [2]}}, "e": {}}
    assert dict(flat(content)) == {"a.b": 1, "a.c.d": [2], "e": {}}


def test_an_object_that_a_constructor_wants_to_make_itself_is_left_unmade(compose, pool):
    node = compose("merge=ties_dfs", "merge.dfs.sources=[b]", "merge.ps.lambda_=0.5")["merge"]
    merger = build(node, "merge", pool=pool)
    assert merger.ps.shared["lambda_"].init == 0.5
    assert merger.dfs.depths == {"merged": 4, "b": 4}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+merge.ps.densty=1", "merge.ps has no option densty .did you mean density"),
        ("merge.dfs.repeats=x", "repeats must be a whole number, got 'x'; set merge.dfs.repeats"),
        ("merge.ps._target_=evoforge.merge.none.None_", "merge.ps names .*, which cannot be load"),
    ],
)
def test_a_wrong_option_of_such_an_object_is_named(compose, pool, override, message):
    with pytest.raises(ConfigError, match=message):
        build(compose("merge=ties_dfs", override)["merge"], "merge", pool=pool)


def test_the_elements_of_a_list_are_checked_too(pool, compose):
    node = {**compose("models=bundled")["models"], "ignore": [{"a": 1}]}
    with pytest.raises(ConfigError, match="ignore must be a list, each a text, got .*; set models"):
        build(node, "models")


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        (["task=mgsm_ja"], "abel"),
        (["task=msvamp_ja"], "abel"),
        (["experiment=paper_ps"], "abel"),
        (["experiment=paper_dfs"], "abel"),
        (["task=mgsm_en"], "math_a"),
        (["task=mgsm_ja", "models=smollm2"], "math_a"),
        (["models=bundled", "task=mgsm_ja"], "math_a"),
        (["experiment=paper_ps", "models=bundled"], "math_a"),
        (["experiment=paper_ps", "task=bundled_math_ja", "models=bundled"], "math_a"),
        (["experiment=miniature_ps"], "math_a"),
    ],
)
def test_a_task_may_choose_the_models_unless_the_user_does(compose, overrides, wanted):
    assert wanted in compose(*overrides)["models"]["sources"]


def test_an_experiment_wins_over_the_models_of_its_task(tmp_path):
    import hydra

    (tmp_path / "experiment").mkdir()
    lines = "# @package _global_\ndefaults:\n  - override /task: mgsm_ja\n"
    (tmp_path / "experiment" / "own.yaml").write_text(lines + "  - override /models: smollm2\n")
    path = f"hydra.searchpath=[file://{tmp_path}]"
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = hydra.compose("config", overrides=[path, "experiment=own"])
    assert cfg.task.name == "mgsm_ja"
    assert "math_b" in cfg.models.sources


def test_a_task_inside_a_suite_keeps_what_it_builds_on(compose):
    task = compose("task=jp_lmeh9", "task.tasks.jnli.shots.count=1", "+task.least.jcola=0.5")[
        "task"
    ]
    assert list(task["tasks"])[:2] == ["jcommonsenseqa", "jnli"]
    assert task["tasks"]["jnli"]["shots"] == {"count": 1, "draw": "stratified", "seed": 42}

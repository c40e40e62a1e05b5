"""`python -m evoforge.publish` as a user meets it."""

import shutil
import time

import pytest

from evoforge import session
from evoforge.errors import ConfigError
from evoforge.publish import main
from tests.hub.conftest import REPO, finished, hub, without_licence, write_model  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def publish(finished, hub, capsys, caplog):  # noqa: F811
    """Return what runs the command and returns its exit code and everything it said."""

    def run(*options, to=REPO):
        caplog.clear()
        caplog.set_level("INFO")
        code = main([str(finished.record.folder), "--to", to, *options])
        return code, " ".join((capsys.readouterr().out + caplog.text).split())

    return run


def test_a_dry_run_lists_every_file_and_makes_nothing(publish, finished, hub):  # noqa: F811
    code, said = publish("--dry-run")
    assert code == 0
    for path in finished.folder.iterdir():
        assert f"new {path.name}" in said
    assert f"would go to {hub.url}/{REPO}; a private repository would be made" in said
    assert "16.1 KiB" in said
    assert {method for method, _ in hub.asked} == {"GET"}


def test_a_dry_run_needs_no_token_and_no_network(publish, hub, monkeypatch):  # noqa: F811
    monkeypatch.delenv("HF_TOKEN")
    code, said = publish("--dry-run", "--offline")
    assert (code, hub.asked) == (0, [])
    assert "the hub was not asked" in said
    code, said = publish("--dry-run")
    assert code == 0
    assert "none is there that you can see" in said
    hub.close()
    code, said = publish("--dry-run")
    assert code == 0
    assert "new recipe.json" in said
    assert "cannot be reached" in said


def test_a_dry_run_says_what_would_change(publish, hub):  # noqa: F811
    hub.add(REPO, {"README.md": b"mine", "notes\x1b[2J.txt": b"keep", "model.safetensors": b"old"})
    code, said = publish("--dry-run")
    assert code == 0
    for line in ("change README.md", "keep notes\\x1b[2J.txt", "remove model.safetensors"):
        assert line in said
    assert "say --yes" in said


def test_a_model_is_published_once_someone_says_yes(publish, hub):  # noqa: F811
    hub.add(REPO, {"README.md": b"mine"})
    code, said = publish()
    assert code == 2
    assert "README.md would change; look with --dry-run, then say --yes" in said
    code, said = publish("--yes")
    assert code == 0
    assert f"{hub.url}/{REPO}" in said
    assert "recipe.json" in hub.files(REPO)


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2)])
def test_on_a_terminal_the_answer_counts(publish, hub, monkeypatch, answer, code):  # noqa: F811
    hub.add(REPO, {"README.md": b"mine"})
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda *_: answer)
    found, said = publish()
    assert found == code
    assert "README.md would change. Go on?" in said


def test_any_model_that_was_made_is_published_by_its_name(publish, finished, hub):  # noqa: F811
    record = finished.record
    asked = record.generation("ps", 0)[1]
    code, said = publish("--model", "ps/0/1")
    assert code == 2
    assert f"make it by python -m evoforge.pick {record.folder} ps/0/1" in said
    write_model(record, asked.recipe, record.folder / "picked" / "ps-0-1")
    assert publish("--model", "ps/0/1")[0] == 0
    assert hub.files(REPO)["recipe.json"].decode().strip() == record.recipe(asked.recipe).text
    assert b"model-index" not in hub.files(REPO)["README.md"]


def test_a_licence_that_nobody_knows_is_given(publish, without_licence, hub):  # noqa: F811
    assert publish()[0] == 2
    assert publish("--license", "gpl-3.0", "--public")[0] == 0
    assert b"license: gpl-3.0" in hub.files(REPO)["README.md"]


def test_what_the_hub_refuses_is_another_exit_code(publish, hub):  # noqa: F811
    hub.faults["POST", "/create"] = [401]
    code, said = publish()
    assert code == 1
    assert "set HF_TOKEN" in said


def test_a_run_without_a_model_says_how_to_make_it(publish, finished):  # noqa: F811
    shutil.rmtree(finished.folder)
    code, said = publish("--dry-run", "--offline")
    assert code == 2
    assert f"resume={finished.record.folder}" in said


def test_offline_goes_with_a_dry_run(publish, capsys):
    with pytest.raises(SystemExit):
        publish("--offline")
    assert "--offline goes with --dry-run" in capsys.readouterr().err


SMALL = [
    "merge=ties",
    "optimizer.population=4",
    "budget.evaluations=4",
    "baseline_items=4",
    "examples=0",
    "finalists=1",
    "fitness.size=4",
    "task.items.search=8",
    "task.items.select=4",
    "task.items.test=4",
    "task.max_new_tokens=4",
]


def test_a_run_publishes_its_model_and_again_when_it_is_complete(
    hub,  # noqa: F811
    compose,
    pico,
    tmp_path,
    caplog,
):
    caplog.set_level("INFO")
    cfg = compose(*SMALL, f"push_to_hub={REPO}") | {"tracker": {}}
    cfg["models"] = {
        "_target_": "evoforge.models.pool.open_pool",
        "sources": {
            name: {"path": str(pico[name]), "role": role, "license": licence}
            for name, role, licence in (("base", "base", "mit"), ("a", "source", "apache-2.0"))
        },
    }
    hub.faults["POST", "/create"] = [503]
    session.run(cfg, tmp_path / "run", started=time.monotonic(), may_exist=False)
    assert f"Publish it with: python -m evoforge.publish {tmp_path}/run --to {REPO}" in caplog.text
    session.run(cfg, tmp_path / "run", started=time.monotonic(), may_exist=True)
    assert f"published: {hub.url}/{REPO}" in caplog.text
    folder = tmp_path / "run" / "model"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert hub.files(REPO).keys() == names
    assert b"license: apache-2.0" in hub.files(REPO)["README.md"]


def test_a_run_that_cannot_be_published_does_not_begin(compose, tmp_path):
    cfg = compose(*SMALL, "push_to_hub=merged")
    with pytest.raises(ConfigError, match="a repository of the hub is user/name"):
        session.run(cfg, tmp_path / "run", started=time.monotonic(), may_exist=False)

"""What models, files and names say is shown, and does nothing; secrets stay where they are."""

import json
import re
from io import StringIO

import pytest

from evoforge.errors import ConfigError
from evoforge.report.examples import escape as examples_escape
from evoforge.report.html.markup import block, element
from evoforge.report.markdown import code, escape
from evoforge.secrets import HIDDEN, clean, secrets
from evoforge.startup import check
from evoforge.terminal import Terminal
from evoforge.visible import one_line, visible
from tests.conftest import ROOT
from tests.forked import Forks
from tests.test_run import SMALL, own_models

RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# The title of the window, the colour, what was written before, the direction; a tag, and markup.
HOSTILE = "\x1b]0;x\x07\x1b[31m\x1b[2J\r\u202egnp.\u2066 <script>alert(1)</script> [red]x[/red]"
SECRETS = {
    "HF_TOKEN": "hf_" + "aB3" * 11,
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "MY_SERVICE_PASSWORD": "correct horse battery",
    "OPENAI_API_KEY": "sk-proj-" + "z9" * 12,
}


def test_controls_are_written_out_on_every_surface():
    shown = [
        visible(HOSTILE),
        one_line(HOSTILE),
        escape(HOSTILE),
        code(HOSTILE),
        element("b", HOSTILE, title=HOSTILE),
        block({"a": [HOSTILE]}),
        examples_escape(HOSTILE),
        str(ConfigError(HOSTILE)),
    ]
    for text in shown:
        assert not RAW.search(text)
        assert "\\x1b[31m" in text.replace("\\\\", "\\").replace("\\[", "[")
    for text in (
        escape(HOSTILE),
        element("b", HOSTILE),
        block([HOSTILE]),
        examples_escape(HOSTILE),
    ):
        assert "<script>alert" not in text


def test_the_terminal_keeps_its_own_colours_and_no_others():
    out = StringIO()
    console = Terminal(file=out, force_terminal=True, color_system="standard", width=200)
    console.print(f"[bold]own[/] {HOSTILE}", markup=True)
    console.print(HOSTILE, markup=False, highlight=False, style="red")
    text = out.getvalue()
    assert "\x1b[1mown" in text  # bold
    assert not RAW.search(re.sub(r"\x1b\[[0-9;]*m", "", text))
    assert "\\x1b[2J" in text


def test_secrets_are_found_by_value_and_by_look(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    for name, value in SECRETS.items():
        assert clean(f"x {value} y") == f"x {HIDDEN} y"
        assert dict(secrets({"a": [{"b": f"x{value}"}]}))["a.b"] == f"the value of {name}"
        assert str(ConfigError(f"cannot use {value}")) == f"cannot use {HIDDEN}"
    for name in SECRETS:
        monkeypatch.delenv(name)
    assert dict(
        secrets({"a": SECRETS["HF_TOKEN"], "b": SECRETS["OPENAI_API_KEY"]})
    ) == dict.fromkeys("ab", "what looks like a key or a password")
    assert dict(secrets({"a": SECRETS["WANDB_API_KEY"]})) == {"a": "what looks like a key of W&B"}
    assert not dict(secrets({"revision": SECRETS["WANDB_API_KEY"], "tokens": "char"}))


def test_what_only_sounds_like_a_secret_stays(monkeypatch):
    for name, value in {
        "MONKEY": "bundled_math",
        "KEYBOARD_LAYOUT": "somewhere",
        "HF_TOKEN_PATH": "/home/me/token",
        "API_KEY": "on",
    }.items():
        monkeypatch.setenv(name, value)
    kept = "bundled_math somewhere /home/me/token on"
    assert clean(kept) == kept


def test_no_shipped_configuration_is_taken_for_a_secret(compose):
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        assert clean(path.read_text()) == path.read_text()
    compose("experiment=paper_ps")
    compose("task=jp_lmeh9", "models=evollm_jp")


@pytest.fixture(scope="module")
def run(pico, tmp_path_factory):
    """What a run with secrets around it, and with hostile items, wrote and said."""
    root = tmp_path_factory.mktemp("shown")
    rows = [
        {"id": f"{HOSTILE}{i}", "question": f"{HOSTILE} {i}+1=", "answer_number": i + 1}
        for i in range(12)
    ]
    (root / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    small = [each for each in SMALL if not each.startswith("task.")]
    given = ["task=jsonl", f"task.file={root}/own.jsonl", "+task.options.max_new_tokens=4"]
    given += ["budget.evaluations=4", "finalists=1", "baseline_items=4"]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        forks = Forks()
        command = own_models(root, pico)[1:]
        found = forks.run([*command, *small, *given], root)
        refused = [
            forks.run([*command, *small, *given, override], root)
            for override in (
                "+note=${oc.env:MY_SERVICE_PASSWORD}",
                f"+note=x{SECRETS['HF_TOKEN']}",
            )
        ]
        forks.close()
    assert found.returncode == 0, found.stderr
    return root, found, refused


def test_no_secret_reaches_any_file_of_a_run(run):
    root, found, _ = run
    files = [path for path in (root / "outputs").rglob("*") if path.is_file()]
    assert {"journal.sqlite", "run.log", "report.html"} <= {p.name for p in files}
    assert [path for path in files if path.suffix == ".wandb"]
    for path in files:
        content = path.read_bytes()
        for name, value in SECRETS.items():
            assert value.encode() not in content, f"{name} is in {path}"
    assert not [value for value in SECRETS.values() if value in found.stdout + found.stderr]


def test_options_that_hold_a_secret_are_refused_without_telling_it(run):
    _, _, refused = run
    for found in refused:
        assert found.returncode == 2
        assert re.match(r"error: \S+ holds (the value of|what)", found.stderr), found.stderr
        assert not [value for value in SECRETS.values() if value in found.stderr]


@pytest.mark.parametrize(
    "override", ["+api_key=letmein", "tracker.wandb.name=https://me:letmein@host/x"]
)
def test_a_command_that_holds_a_secret_is_refused_without_telling_it(override):
    with pytest.raises(ConfigError, match="holds what") as raised:
        check([override], ROOT / "conf", "config")
    assert "letmein" not in str(raised.value)


def test_hostile_items_are_shown_and_do_nothing(run):
    root, found, _ = run
    assert not RAW.search(found.stdout + found.stderr)
    names = ("report.html", "examples.html", "README.md", "run.log")
    files = {p.name: p.read_text() for p in (root / "outputs").rglob("*") if p.name in names}
    assert set(files) == set(names)
    for name, text in files.items():
        assert not RAW.search(text), name
        assert "<script>alert" not in text, name
    assert "&lt;script&gt;alert" in files["examples.html"]

"""The shape of the house: imports point down, files and functions stay small, nouns match."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT, options

PACKAGE = ROOT / "evoforge"
# A room may import rooms of lower layers only; rooms of one layer do not know each other.
LAYERS = [
    {"visible", "secrets"},
    {"errors", "filesystem", "schema", "origin", "earlier", "stopping", "checksums"},
    {"targets", "plain_yaml", "logged", "terminal"},
    {"building", "startup"},
    {"space", "recipe", "path", "pareto", "zoo", "mergekit_yaml", "seal"},
    {"models", "candidate", "task", "config", "evaluation", "locked", "rows"},
    {"record", "insert", "demand"},
    {"journal", "showcase", "opened"},
    {"merge", "optimizer", "fitness", "evaluator", "executor", "tracker"},
    {"stage", "judging", "mergekit_writer", "rounding", "measured"},
    {"finalists", "search"},
    {"generational", "steady_state"},
    {"evolve", "baseline", "start", "materials", "watch", "report", "export", "relog", "workspace"},
    {"assembly", "mergekit", "hub", "preflight"},
    {"session"},
    {"pick"},
    {"publish"},
]
LAYER_OF = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}
# In these groups an option is a module of the same name.
GROUPS = ("merge", "fitness", "evaluator", "optimizer", "executor", "tracker")
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES, MAX_FUNCTION = 350, 60


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Return the rooms that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("evoforge"):
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {parts[1] for parts in names if parts[0] == "evoforge" and len(parts) > 1}
    return found - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    if path.name == "__init__.py" and path.parent == PACKAGE:
        return
    mine = room(path)
    upward = {
        other for other in imports(path) if other != mine and LAYER_OF[other] >= LAYER_OF[mine]
    }
    assert not upward, f"{path} imports {upward}"


def test_only_session_assembly_preflight_and_run_py_know_the_configuration():
    knowing = {room(path) for path in FILES if "config" in imports(path)}
    assert knowing == {"assembly", "preflight", "session"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{node.name} has {length} lines"


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_is_a_module_and_every_module_an_option(group):
    modules = {
        path.stem
        for path in (PACKAGE / group).glob("*.py")
        if path.stem != "base" and not path.stem.startswith("_")
    }
    assert modules == set(options(group))


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_has_a_test_of_its_name(group):
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / group).glob("test_*.py")}
    assert set(options(group)) <= tests


def test_there_is_no_drawer_for_everything():
    assert not {path.stem for path in FILES} & {"utils", "util", "common", "helpers", "misc"}


def test_readme_and_contributing_stay_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 200
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 60

"""The documentation keeps up: a page for each merge method, links that lead somewhere."""

import re
import shlex

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from evoforge.config import build
from evoforge.merge.base import TensorMerger
from tests.conftest import ROOT, options

METHODS = ROOT / "docs" / "methods"
OVERVIEW = ROOT / "docs" / "merge-methods.md"
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# The overview says what these mean, and Hydra's own keys are no options.
ELSEWHERE = {"granularity", "block_size", "_target_", "defaults"}
CODE = re.compile(r"^(```.*?^```|    .*?)$", re.MULTILINE | re.DOTALL)


def merges_weights(option):
    target = OmegaConf.load(ROOT / "conf" / "merge" / f"{option}.yaml")._target_
    return option == "choice" or issubclass(get_class(target), TensorMerger)


OPTIONS = [option for option in options("merge") if merges_weights(option)]


def keys(option):
    """Return the options of a method, also those that its defaults bring in."""
    content = OmegaConf.load(ROOT / "conf" / "merge" / f"{option}.yaml")
    brought = [str(each).partition("@")[2].split(".")[0] for each in content.get("defaults", [])]
    return {str(key) for key in content} - ELSEWHERE | set(brought)


def links(path):
    """Return where a page's links lead: (file, heading), without what leads to the web."""
    text = CODE.sub("", path.read_text("utf-8"))
    found = re.findall(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)", text)
    return [(file, heading) for file, heading in found if "://" not in file]


def headings(path):
    """Return the names that links to a page's headings use."""
    text = CODE.sub("", path.read_text("utf-8"))
    lines = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def commands(path):
    """Return the overrides of every `python run.py` on a page."""
    lines = re.findall(r"^    python run\.py (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


COMMANDS = [
    (path.name, given)
    for path in [OVERVIEW, *sorted(METHODS.glob("*.md"))]
    for given in commands(path)
]


@pytest.fixture(scope="module")
def bundled(compose):
    """Return the bundled models as a command line has them."""
    known = {}

    def pool(*overrides):
        models = compose(*overrides)["models"]
        if str(models) not in known:
            known[str(models)] = build(models, "models")
        return known[str(models)]

    return pool


@pytest.mark.parametrize("option", OPTIONS)
def test_every_method_has_a_page_that_names_its_options(option):
    text = (METHODS / f"{option}.md").read_text("utf-8")
    assert f"(`merge={option}`)" in text.splitlines()[0]
    missing = {key for key in keys(option) if f"| `{key}` |" not in text}
    assert not missing, f"docs/methods/{option}.md has no row for {missing}"


@pytest.mark.parametrize("option", OPTIONS)
def test_pages_of_methods_stay_short(option):
    lines = (METHODS / f"{option}.md").read_text("utf-8").splitlines()
    assert 15 <= len(lines) <= 35


def test_every_page_is_a_methods_and_stands_in_the_overview():
    pages = {path.stem for path in METHODS.glob("*.md")}
    assert pages == set(OPTIONS)
    linked = {file for file, _ in links(OVERVIEW)}
    assert {f"methods/{page}.md" for page in pages} <= linked


@pytest.mark.parametrize(
    ("page", "given"),
    COMMANDS,
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_commands_of_the_pages_build_a_merger(page, given, compose, bundled):
    merger = build(compose(*given)["merge"], "merge", pool=bundled(*given))
    assert page == OVERVIEW.name or merger.method == page.removesuffix(".md")
    assert merger.space.dim > 0


def test_every_page_of_a_method_has_a_command():
    assert {page for page, _ in COMMANDS} >= {f"{option}.md" for option in OPTIONS}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for file, heading in links(path):
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{file} does not exist"
        assert not heading or heading in headings(target), f"{file} has no heading {heading}"

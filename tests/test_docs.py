"""The documentation keeps up: a page for each merge method, links that lead somewhere.

Commands compose, code runs, and all of it becomes a site that fetches nothing.
"""

import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from docs.site import GROUPS
from evoforge.config import build
from evoforge.merge.base import TensorMerger
from evoforge.optimizer.base import Optimizer
from evoforge.space import Param, Space
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
    text = re.sub(r"\\\n *", "", path.read_text("utf-8"))
    lines = re.findall(r"^ +python run\.py (.*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def code(name, language):
    """Return the fenced blocks of a page in a language."""
    text = (ROOT / "docs" / name).read_text("utf-8")
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)


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


# Pages whose commands need what other pages make, or a shell, have tests of their own.
TOLD = ["README.md", "docs/one-gpu.md", "docs/add-a-task.md", "docs/ja/quick-start.md"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Return a folder for --config-dir with what the guides put there."""
    folder = tmp_path_factory.mktemp("own")
    for name, text in {
        "models/mine": code("one-gpu.md", "yaml")[0],
        "task/math_ja": code("add-a-task.md", "yaml")[0],
    }.items():
        (folder / name).parent.mkdir()
        (folder / f"{name}.yaml").write_text(text)
    return folder


def chosen(override):
    """Whether it takes an option that there is, or sets what is always there."""
    name, _, value = override.partition("=")
    return value in options(name.lstrip("+")) or name in ("seed", "resume", "push_to_hub")


@pytest.mark.parametrize("page", TOLD)
def test_commands_of_the_guides_compose(page, compose, own):
    told = commands(ROOT / page)
    assert told
    for given in told:
        plain = [each for each in given if "=" in each and not each.startswith("--")]
        if not all(map(chosen, plain)):
            # What --config-dir does on the command line.
            assert compose(f"hydra.searchpath=[file://{own}]", *plain)["merge"], given


def test_the_japanese_quick_start_has_the_models_of_the_guide():
    (japanese, *_), (english, *_) = code("ja/quick-start.md", "yaml"), code("one-gpu.md", "yaml")
    assert re.sub(r"^    ", "", japanese, flags=re.MULTILINE) == english


def test_the_optimizer_of_the_guide_is_one_and_climbs():
    source, tested = code("add-an-optimizer.md", "python")
    (settings,) = code("add-an-optimizer.md", "yaml")
    space = Space([Param(f"x{i}", 0.0, 1.0, 0.5) for i in range(3)])
    names = {"__name__": "evoforge.optimizer.climber"}
    exec(compile(source, "climber.py", "exec"), names)
    assert issubclass(names["Climber"], Optimizer)
    climber = names["Climber"](space, seed=1)
    given = set(OmegaConf.create(settings))
    assert given - {"_target_"} == set(names["Climber"].__init__.__kwdefaults__)
    best = -np.inf
    for _ in range(60):
        genomes = climber.ask()
        assert ((genomes >= 0) & (genomes <= 1)).all()
        fitness = -np.square(genomes - 0.9).sum(1)
        climber.tell(genomes, fitness)
        best = max(best, fitness.max())
    assert best > -1e-3
    assert climber.facts["sigma"] < 0.1
    assert "def test_it_goes_to_the_best_genome(cube)" in tested


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site as `make docs` does; return its folder."""
    folder = tmp_path_factory.mktemp("site")
    found = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return folder


def test_every_page_is_in_the_site(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in FILES[2:]}
    assert not {str(page) for page in pages if not (site / page).is_file()}


def test_the_site_fetches_nothing_from_elsewhere(site):
    loading = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*")
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert not loading.findall(text), page
        # The theme would get the program for these from elsewhere.
        assert 'class="mermaid"' not in text


def test_the_front_page_is_the_readme_with_links_into_the_site(site):
    text = (site / "index.html").read_text("utf-8")
    assert "A run in two commands" in text
    assert 'href="merge-methods.html"' in text
    assert 'href="contributing.html"' in text
    assert 'src="images/fitness.png"' in text


def test_the_site_has_every_option_of_every_group_with_its_comments(site):
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
    assert set(GROUPS) == groups - {"hydra", "sweep"}
    for group in GROUPS:
        text = (site / "options" / f"{group}.html").read_text("utf-8")
        assert [f'id="{group}{option}"' in text for option in options(group)].count(False) == 0
    assert "share of each task vector that is kept" in text_of(site / "options" / "merge.html")
    assert "Where all randomness begins" in text_of(site / "options.html")


def text_of(page):
    return re.sub(r"<[^>]+>", "", page.read_text("utf-8"))

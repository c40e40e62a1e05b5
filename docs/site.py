"""What `mkdocs build` does beside reading docs/: pages made from other files.

The front page is README.md, so that there is one; the options are those of conf/, with their own
comments, so that they are never out of date.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
# Files outside docs/ that are pages too.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
# In the order in which a run meets them; what they are, in a line.
GROUPS = {
    "models": "The models that are merged.",
    "merge": "How weights or layers become one model, and what of it is searched.",
    "task": "What the models are asked, and what answers are worth.",
    "fitness": "Who of a generation answers which items.",
    "evaluator": "What answers.",
    "optimizer": "What searches.",
    "executor": "Where candidates are evaluated.",
    "tracker": "Who follows a run.",
    "experiment": "Settings that belong together.",
}
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made; called by MkDocs."""
    pages = {PAGES[name]: relinked((ROOT / name).read_text("utf-8")) for name in PAGES}
    pages |= {"options.md": overview()}
    pages |= {f"options/{group}.md": options(group) for group in GROUPS}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def relinked(text: str) -> str:
    """Return a page of the repository's root whose links lead to the pages of the site."""

    def led(found: re.Match[str]) -> str:
        target = PAGES.get(found[2], found[2].removeprefix("docs/"))
        return found[1] + target + found[3]

    return LINK.sub(led, text)


def overview() -> str:
    """Return the page with the options of config.yaml, and the groups."""
    rows = [f"| [`{group}`](options/{group}.md) | {GROUPS[group]} |" for group in GROUPS]
    return "\n".join(
        [
            "# All options",
            "",
            "An option of a group is chosen by `GROUP=OPTION`, its settings are given by "
            "`GROUP.SETTING=VALUE`:",
            "",
            "    python run.py merge=ties merge.density=0.5 optimizer=genetic seed=1",
            "",
            "| group | |",
            "| --- | --- |",
            *rows,
            "",
            "Beside them a run has:",
            "",
            _yaml(CONF / "config.yaml"),
        ]
    )


def options(group: str) -> str:
    """Return the page of a group: every option with its settings and their comments."""
    parts = [f"# Options of {group}", GROUPS[group]]
    for path in _files(group):
        name = path.relative_to(CONF / group).with_suffix("").as_posix()
        title = f"## {group}={name}" if "/" not in name else f"## {name}"
        parts += [title, _said(path), _yaml(path)]
    return "\n\n".join(parts) + "\n"


def _files(group: str) -> Iterator[Path]:
    """Yield the options of a group, then what they have in common."""
    yield from sorted((CONF / group).glob("*.yaml"))
    yield from sorted((CONF / group).glob("*/*.yaml"))


def _said(path: Path) -> str:
    """Return the comment that a file begins with, as a paragraph."""
    lines = path.read_text("utf-8").splitlines()
    said = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return " ".join(line.lstrip("# ") for line in lines[:said])


def _yaml(path: Path) -> str:
    """Return a file without its first comment, as code."""
    lines = path.read_text("utf-8").splitlines()
    while lines and lines[0].startswith("#"):
        del lines[0]
    return "\n".join(["```yaml", *lines, "```"])

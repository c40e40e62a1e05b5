"""One page in one file: its sections, the charts' program, and a policy that lets nothing out.

Charts are Vega-Lite specifications, plain dicts. Their expressions are interpreted (vega-embed's
`ast`), so that the policy need not allow the page to make programs of texts. Knows pages; does not
know runs.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from evoforge.report.html.markup import Html, block, check, element, escape, join

Spec = Mapping[str, Any]
# Vega, Vega-Lite and vega-embed; see vega.LICENSE.txt.
VEGA = "vega.min.js"
# Colours that look well on white and on black: the page says what they are, see style.css.
INK, FAINT, LINE, CARD = "var(--ink)", "var(--faint)", "var(--line)", "var(--card)"
GOOD, BAD = "var(--c2)", "var(--c1)"
PALETTE = tuple(f"var(--c{number})" for number in range(7))
# From none to all.
RAMP = ("var(--r0)", "var(--r1)", "var(--r2)", "var(--r3)")


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        key: what links call it: small letters, digits, `-` and `_`.
        title: of the section, and in the navigation.
        body: what it says.
    """

    key: str
    title: str
    body: Html


def page(
    title: str, sections: Sequence[Section], *, lead: object = "", scripts: Sequence[str] = ()
) -> str:
    """Return a page.

    Args:
        title: plain text.
        sections: in order; those with an empty body are left out.
        lead: what stands below the title, text or `Html`.
        scripts: further files of this folder that the page needs, such as `answers.js`.
    """
    shown = [section for section in sections if section.body]
    check(*(section.key for section in shown))
    links = [element("a", section.title, href=f"#{section.key}") for section in shown]
    body = [element("section", join([element("h2", s.title), s.body]), id=s.key) for s in shown]
    charts = any('class="spec"' in section.body for section in shown)
    programs = [asset(name) for name in [*([VEGA] if charts else []), "page.js", *scripts]]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy(programs)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            element("title", title),
            element("style", Html(asset("style.css"))),
            "</head>",
            "<body>",
            element("nav", join(links), aria_label="Sections"),
            "<main>",
            element("header", join([element("h1", title), lead])),
            "<noscript><p>The charts of this page need JavaScript.</p></noscript>",
            *body,
            "</main>",
            *(element("script", Html(program)) for program in programs),
            "</body>",
            "</html>\n",
        ]
    )


def policy(programs: Sequence[str]) -> str:
    """Return the rules a browser enforces: only these programs run, and nothing is fetched.

    Args:
        programs: the texts of the page's scripts.
    """
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in programs]
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


@cache
def asset(name: str) -> str:
    """Return a file of this folder."""
    return (files(__package__) / name).read_text("utf-8")


def chart(
    key: str, spec: Spec, *, title: object = "", said: object = "", canvas: bool = False
) -> Html:
    """Return a chart.

    Colours may be the page's (`INK`, `PALETTE` and so on), so that they fit a dark page too. A
    spec without a width gets the page's; data is within, or the name of a `markup.data`.

    Args:
        key: unlike every other chart's of the page: small letters, digits, `-` and `_`.
        spec: Vega-Lite. No text of users may be an expression or a field.
        title: above it.
        said: what it shows and how to read it, after the title.
        canvas: whether to draw pixels, for thousands of marks.
    """
    check(key)
    words = [element("b", title), element("span", said)]
    return element(
        "figure",
        join(
            [
                element("figcaption", join(words, " ")) if title or said else "",
                element("div", "", class_="chart", id=f"chart-{key}"),
                block(
                    {"width": "container", **spec},
                    class_="spec",
                    data_chart=key,
                    data_renderer="canvas" if canvas else "svg",
                ),
            ]
        ),
    )


def note(text: object) -> Html:
    """Return a remark that must be seen."""
    return element("p", escape(text), class_="note")

"""`examples.html`: test items with what the sources and the winner answered, on one page.

A page and no picture, because the reader's browser has fonts for every language. It holds its
pictures, so it can be moved and sent. Reads the record; knows no task.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape as _escape
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from evoforge.record import WINNER, Example, Record
from evoforge.report.markdown import details, table
from evoforge.report.markdown import escape as plain
from evoforge.report.protocol import mark
from evoforge.report.result import replace
from evoforge.report.summary import Result, Scale, higher, in_percent, metric
from evoforge.showcase import Answer, Shown, shown
from evoforge.visible import visible

FILE = "examples.html"
# Characters; longer texts lose their end.
LONGEST_QUESTION = 600
LONGEST_ANSWER = 160
# Pixels; smaller pictures are drawn larger, pixel by pixel.
SMALL = 128
# A model card has so many; the page has all.
MAX_CARD = 6
WRONG_LANGUAGE = "wrong language"
STYLE = """
:root { color-scheme: light dark; --line: #8884; --faint: #7b8794; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; }
p { color: var(--faint); margin: .3rem 0 1.2rem; }
main { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .9rem; }
img { display: block; margin: 0 auto .8rem; max-width: 100%; border-radius: .3rem; }
img.small { width: 192px; image-rendering: pixelated; }
h2 { font-size: 1rem; margin: 0 0 .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid var(--line); padding: .3rem .4rem; text-align: left;
         vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--faint); font-weight: normal; width: 5.5rem; }
td.score { text-align: right; width: 3rem; font-variant-numeric: tabular-nums; }
tr.winner th, tr.winner td { font-weight: bold; } tr.winner th { color: inherit; }
td.good { color: #009e73; } td.bad { color: #d55e00; }
small { color: #d55e00; display: block; font-weight: normal; }
"""


def write(record: Record, result: Result) -> Path | None:
    """Write `examples.html` into the run folder; return it, None if there are no examples.

    Raises:
        JournalError: the folder cannot be written.
    """
    found = shown(record)
    if not found:
        return None
    path = record.folder / FILE
    replace(path, page(found, result))
    return path


def page(found: Sequence[Shown], result: Result) -> str:
    """Return the page; scores are those of the main metric, in percent where that makes sense."""
    scale, protocol = Scale(in_percent(result)), result["protocol"]
    code = language(protocol)
    title = f"Examples: {protocol['name']}"
    test = (result["winner"] or {}).get("test")
    of = f" of {test['items']}" if test else ""
    unit = ", percent" if scale.percent else ""
    lower = "" if higher(result) else ", lower is better"
    lead = (
        f"{len(found)}{of} test items, chosen by chance. Scores: {metric(result)}{unit}{lower}, "
        f"judged by {mark(protocol)}."
    )
    cards = "\n".join(_card(each, scale, code) for each in found)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"<p>{escape(lead)}</p>\n<main>\n{cards}\n</main>\n</body>\n</html>\n"
    )


def section(found: Sequence[Shown], result: Result) -> list[str]:
    """Return a section of a model card with the first few; nothing if there are none."""
    found = found[:MAX_CARD]
    if not found:
        return []
    scale, parts = Scale(in_percent(result)), []
    for number, each in enumerate(found, start=1):
        seen = " (about a picture)" if each.example.picture is not None else ""
        asked = cut(each.example.question, LONGEST_QUESTION)
        body = [["reference", plain(" / ".join(each.example.answers)), ""]]
        for answer in each.answers:
            said = plain(cut(answer.text, LONGEST_ANSWER))
            wrong = f" ({WRONG_LANGUAGE})" if answer.speaks is False else ""
            score = "failed" if answer.score is None else scale.number(answer.score)
            body.append([plain(answer.model), said + wrong, score])
        parts += [
            f"**{number}.** {plain(asked)}{seen}",
            table(["model", "answer", "score"], body, "---"),
        ]
    lead = "Test items chosen by chance, with what the parents and this model answered."
    return ["## Examples", lead, details(f"{len(found)} examples", "\n\n".join(parts))]


def language(protocol: Mapping[str, Any]) -> str:
    """Return the code of the wanted language, empty if there is none; it also chooses glyphs."""
    wanted = protocol.get("language")
    return str(wanted.get("code") or "") if isinstance(wanted, Mapping) else ""


def cut(text: str, limit: int) -> str:
    """Return a text without the white space around it, and without its end if it is long."""
    text = text.strip()
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def _card(each: Shown, scale: Scale, code: str) -> str:
    example = each.example
    lang = f' lang="{escape(code)}"' if code else ""
    reference = " / ".join(example.answers) or "-"
    rows = [
        f"<tr><th>reference</th><td{lang} colspan=2>{_text(reference, LONGEST_ANSWER)}</td></tr>",
        *(_row(answer, scale, lang) for answer in each.answers),
    ]
    return (
        f'<article id="{escape(example.item)}">{_picture(example)}'
        f"<h2{lang}>{_text(example.question, LONGEST_QUESTION)}</h2>\n"
        f"<table>\n{chr(10).join(rows)}\n</table></article>"
    )


def _row(answer: Answer, scale: Scale, lang: str) -> str:
    kind = ' class="winner"' if answer.model == WINNER else ""
    if answer.score is None:
        return f"<tr{kind}><th>{escape(answer.model)}</th><td colspan=2>failed</td></tr>"
    said = _text(answer.text, LONGEST_ANSWER) or "(nothing)"
    wrong = f"<small>{WRONG_LANGUAGE}</small>" if answer.speaks is False else ""
    # Of a score between all and nothing nobody knows whether it is good.
    good = {1.0: "good", 0.0: "bad"}.get(answer.score, "") if scale.percent else ""
    return (
        f"<tr{kind}><th>{escape(answer.model)}</th><td{lang}>{said}{wrong}</td>"
        f'<td class="score {good}">{scale.number(answer.score)}</td></tr>'
    )


def escape(text: str) -> str:
    """Return a text so that HTML shows it as it stands, with its controls written out."""
    return _escape(visible(text))


def _text(text: str, limit: int) -> str:
    return escape(cut(text, limit))


def _picture(example: Example) -> str:
    if example.picture is None:
        return ""
    with Image.open(BytesIO(example.picture)) as image:
        small = ' class="small"' if max(image.size) < SMALL else ""
    data = b64encode(example.picture).decode()
    return f'<img{small} alt="" src="data:image/png;base64,{data}">'

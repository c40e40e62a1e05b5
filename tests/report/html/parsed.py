"""A page taken apart: what is in it, what it would load, and what its charts use."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

VOID = {"meta", "img", "input", "br", "link"}
# What Vega-Lite makes of the data itself.
MADE = {"calculate", "as"}


class Parsed(HTMLParser):
    """A page; raises AssertionError where tags do not match."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.open, self.ids, self.programs = [], [], [], []
        self.blocks, self.words, self.attributes = [], [], []
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        if tag not in VOID:
            self.open.append((tag, found))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tag, attrs = self.open[-1] if self.open else ("", {})
        if tag == "script" and attrs.get("type") == "application/json":
            self.blocks.append((attrs, json.loads(data)))
        elif tag == "script":
            self.programs.append(data)
        elif tag != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    @property
    def sections(self):
        return [found["id"] for tag, found in self.attributes if tag == "section"]

    @property
    def data(self):
        """Rows by the name of their data."""
        return {
            attrs["data-name"]: [
                dict(zip(held["fields"], row, strict=True)) for row in held["rows"]
            ]
            for attrs, held in self.blocks
            if attrs.get("class") == "data"
        }

    @property
    def charts(self):
        return {a["data-chart"]: held for a, held in self.blocks if a.get("class") == "spec"}

    def held(self, key):
        """Return the JSON of an element."""
        return next(held for attrs, held in self.blocks if attrs.get("id") == key)

    @property
    def policy(self):
        return next(
            found["content"]
            for tag, found in self.attributes
            if tag == "meta" and found.get("http-equiv") == "Content-Security-Policy"
        )

    def check(self):
        """Assert what holds of every page."""
        assert len(self.ids) == len(set(self.ids))
        for tag, found in self.attributes:
            assert not {"onerror", "onclick", "onload"} & found.keys()
            assert tag != "link"
            assert not found.get("src", "data:").startswith(("http", "//"))
            assert not found.get("href", "#").startswith(("http", "//", "javascript:"))
        allowed = re.findall(r"'sha256-([^']+)'", self.policy)
        assert allowed == [
            b64encode(sha256(program.encode()).digest()).decode() for program in self.programs
        ]
        assert self.policy.startswith("default-src 'none'")
        assert "unsafe-eval" not in self.policy
        for key, spec in self.charts.items():
            for rows, field in used(spec, self.data, None, set()):
                assert rows is None or all(field in row for row in rows), (key, field)


def used(spec, data, rows, made):
    """Yield the rows that each field of a specification is looked for in, and the field."""
    if isinstance(spec, list):
        for inner in spec:
            yield from used(inner, data, rows, made)
    if not isinstance(spec, dict):
        return
    if isinstance(spec.get("data"), dict):
        own = spec["data"]
        rows = own["values"] if "values" in own else data[own["name"]]
    for step in spec.get("transform", ()):
        names = step.get("as", [])
        made = made | set([names] if isinstance(names, str) else names)
        made |= set(step.get("from", {}).get("fields", ()))
        for field in step.get("fold", ()):
            yield rows, field
    if isinstance(spec.get("field"), str) and spec["field"] not in made:
        yield rows, spec["field"]
    for key, inner in spec.items():
        if key not in ("data", "transform", "values"):
            yield from used(inner, data, rows, made)

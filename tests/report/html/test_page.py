import pytest

from evoforge.report.html.markup import Html
from evoforge.report.html.page import PALETTE, Section, asset, chart, page
from tests.report.html.parsed import Parsed

SPEC = {
    "data": {"values": [{"x": 1}]},
    "mark": {"type": "point", "color": PALETTE[0]},
    "encoding": {"x": {"field": "x", "type": "quantitative"}},
}


def test_a_page_runs_its_own_programs_and_no_others():
    parsed = Parsed(page("t", [Section("one", "One", chart("c", SPEC))], scripts=["answers.js"]))
    parsed.check()
    assert len(parsed.programs) == 3


def test_a_page_without_charts_goes_without_their_program():
    text = page("t", [Section("one", "One", Html("<p>1</p>"))])
    Parsed(text).check()
    assert len(text) < 20_000


def test_sections_with_nothing_to_show_are_left_out():
    parsed = Parsed(page("t", [Section("a", "A", Html("<p>1</p>")), Section("b", "B", Html(""))]))
    assert parsed.sections == ["a"]
    assert [found["href"] for tag, found in parsed.attributes if tag == "a"] == ["#a"]


def test_titles_are_text():
    evil = "<script>alert(1)</script>"
    parsed = Parsed(page(evil, [Section("a", evil, chart("c", SPEC, title=evil, said=evil))]))
    assert parsed.text.count(evil) == 6  # title, heading, link, section, caption twice
    parsed.check()


def test_a_chart_is_as_wide_as_the_page_unless_it_says_otherwise():
    parsed = Parsed(page("t", [Section("a", "A", chart("c", SPEC))]))
    assert parsed.charts["c"]["width"] == "container"


def test_a_chart_whose_key_is_no_plain_name_is_refused():
    with pytest.raises(ValueError, match="a name must be letters"):
        chart("a b", SPEC)


def test_the_charts_program_is_bundled_and_loads_nothing_when_read():
    bundle = asset("vega.min.js")
    assert "window.vegaEmbed=" in bundle
    assert "</script" not in bundle
    assert "<!--" not in bundle
    assert "BSD" in asset("vega.LICENSE.txt")

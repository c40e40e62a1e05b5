import json

import numpy as np
import pytest

from evoforge.report.html.markup import Html, block, data, element, escape, join, table

EVIL = "</script><img src=x onerror=alert(1)>"


def test_what_is_no_html_is_shown_as_text():
    assert escape("<b>&") == "&lt;b&gt;&amp;"
    assert escape(None) == "–"
    assert join(["<", Html("<br>")], "") == "&lt;<br>"
    assert element("p", "<", title='"') == '<p title="&quot;">&lt;</p>'


def test_html_and_text_added_up_are_text_again():
    assert escape(Html("<b>") + "<i>") == "&lt;b&gt;&lt;i&gt;"


def test_json_cannot_end_its_element():
    shown = block({"answer": EVIL, "none": float("nan"), "most": np.float64(np.inf)})
    assert shown.count("</script>") == 1
    held = json.loads(shown.removeprefix('<script type="application/json">')[: -len("</script>")])
    assert held == {"answer": EVIL, "none": None, "most": None}


def test_rows_are_kept_without_repeating_their_fields():
    assert '{"fields":["x","y"],"rows":[[1,2],[3,null]]}' in data(
        "points", [{"x": 1, "y": np.int64(2)}, {"x": 3, "y": np.nan}]
    )


@pytest.mark.parametrize(("name", "field"), [("a b", "x"), ("a", "ja.weight"), ("a", "x[0]")])
def test_a_field_that_vega_reads_otherwise_is_refused(name, field):
    with pytest.raises(ValueError, match="a name must be letters"):
        data(name, [{field: 1}])


def test_cells_are_escaped_and_numbers_set_right():
    shown = table(["a", "<b>"], [["<i>", 1]], numbers={1}, strong={0})
    assert '<th class="number">&lt;b&gt;</th>' in shown
    assert '<tr class="strong"><td>&lt;i&gt;</td><td class="number">1</td></tr>' in shown

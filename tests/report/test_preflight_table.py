from io import StringIO

from rich.console import Console

from evoforge.models.preflight import preflight
from evoforge.report.preflight_table import table
from tests.vlms import make_vlm, open_vlm


def printed(pool):
    console = Console(file=StringIO(), width=80)
    console.print(table(preflight(pool)))
    return console.file.getvalue()


def test_what_models_of_pictures_and_of_text_differ_in_is_printed_with_the_choice(tmp_path):
    folders = make_vlm("llava", tmp_path, blind=True, of_llm={"sliding_window": 16})
    text = printed(open_vlm(folders, base="llm", tokenizer="vlm", vision={"from": "llm"}))
    rows = [line.split() for line in text.splitlines()]
    assert ["sliding_window", "none", "16", "16"] in rows
    assert ["vocab_size", "79", "62", "79"] in rows
    assert ["class", "Llava", "Mistral", "Llava"] in rows
    assert "weights of vision tower and projector are kept as they are" in text
    assert max(map(len, text.splitlines())) <= 80


def test_of_a_pool_that_sees_nothing_nothing_is_said(pool):
    assert "Seeing" not in printed(pool)

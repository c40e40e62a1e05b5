"""The shipped tasks on their real data, where EVOFORGE_DATA_DIR has them."""

import os
from pathlib import Path

import pytest

from evoforge.config import build
from evoforge.task.request import Compare

DATA = Path(os.environ.get("EVOFORGE_DATA_DIR", "nowhere"))
pytestmark = pytest.mark.skipif(
    not (DATA / "mgsm").is_dir(), reason="EVOFORGE_DATA_DIR names no folder with mgsm/"
)
PARTS = ("search", "select", "test")
# As docs/tasks.md says.
SIZES = {
    "gsm8k": (6973, 500, 1319),
    "gsm8k_ja": (6326, 500, 300),
    "mgsm_ja": (6626, 500, 250),
    "mgsm_de": (6973, 500, 250),
    "msvamp_ja": (6626, 500, 1000),
    "jp_mgsm": (6626, 500, 250),
    "jcommonsenseqa": (818, 300, 1119),
    "jnli": (1500, 500, 2434),
    "jcola": (485, 200, 865),
    "xwinograd_ja": (308, 151, 500),
}


@pytest.fixture(scope="module")
def made(compose):
    """Return what builds a task by its name, once."""
    known = {}

    def make(name):
        if name not in known:
            cfg = compose(f"task={name}", "models=bundled", f"data_dir={DATA}")
            known[name] = build(cfg["task"], "task")
        return known[name]

    return make


@pytest.mark.parametrize("name", SIZES)
def test_a_task_has_the_items_that_its_page_says(made, name):
    assert tuple(len(made(name).items(part)) for part in PARTS) == SIZES[name]


def test_the_mgsm_test_part_is_whole_and_in_order(made):
    ids = [item.id for item in made("mgsm_ja").items("test")]
    assert ids == [f"mgsm_ja-test-{row:04}" for row in range(250)]


def test_jp_lmeh_asks_with_shots_and_tokenises_apart(made):
    task = made("jnli")
    request = task.request(task.items("test")[0])
    assert isinstance(request, Compare)
    assert request.separate
    assert not request.context.special_tokens
    assert request.continuations == ("含意", "矛盾", "中立")
    # Stratified: the three labels, one each.
    assert sorted(shot.rpartition(":")[2].strip() for shot in request.context.pieces) == sorted(
        ["含意", "矛盾", "中立"]
    )


def test_grammar_is_answered_yes_or_no_after_a_space(made):
    task = made("jcola")
    item = next(item for item in task.items("test") if item.label == 1)
    request = task.request(item)
    assert request.continuations[item.label] == " はい"
    assert request.context.text.endswith("答え:")


def test_shots_of_jp_mgsm_have_each_heading_once(made):
    task = made("jp_mgsm")
    request = task.request(task.items("test")[0])
    assert len(request.context.pieces) == 5
    for shot in request.context.pieces:
        assert shot.count("問題：") == shot.count("ステップごとの答え：") == 1


def test_no_pair_of_xwinograd_is_parted(made):
    task = made("xwinograd_ja")
    ends = {}
    for part in ("select", "search", "test"):  # in the order of the file
        items = task.items(part)
        rows = sorted(items, key=lambda item: item.id)
        ends[part] = tuple(row.fields["candidates"] for row in (rows[0], rows[-1]))
    assert ends["select"][1] != ends["search"][0]
    assert ends["search"][1] != ends["test"][0]

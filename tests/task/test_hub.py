"""Data sets as the hub has them; here from files and from the cache, for there is no network."""

import json

import datasets
import pytest

from evoforge.errors import ConfigError
from evoforge.task import hub
from evoforge.task.hub import data_set, load
from evoforge.task.jsonl import JsonLines
from evoforge.task.rows import check_row
from tests.conftest import options
from tests.task.conftest import png

COLUMNS = [
    {
        "q": "一",
        "a": "text #### 1,200",
        "label": "no",
        "s": {"t": ["x", "y"]},
        "c0": "A",
        "c1": "B",
    },
    {"q": "二", "a": "#### -2", "label": "yes", "s": {"t": ["z"]}, "c0": "C", "c1": "D"},
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the datasets library in the test's own folder, and no progress bars."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.fixture
def parquet(tmp_path):
    """The file of a data set, as the hub keeps it."""
    path = tmp_path / "rows.parquet"
    datasets.Dataset.from_list(COLUMNS).to_parquet(path)
    return str(path)


def rows(parquet, **options):
    options = {"path": "parquet", "files": parquet, "keys": {"question": "q"}, **options}
    return load("t/x.jsonl", data_set("t/x.jsonl", options))


def test_columns_become_keys_and_rows_get_ids(parquet):
    found = rows(parquet)
    assert [row["question"] for row in found] == ["一", "二"]
    assert [row["id"] for row in found] == ["t/x-0", "t/x-1"]


def test_ids_are_made_of_the_row_or_of_columns(parquet):
    assert [row["id"] for row in rows(parquet, id="gsm8k-test-{row:04}", first=250)] == [
        "gsm8k-test-0250",
        "gsm8k-test-0251",
    ]
    assert rows(parquet, id="{label}")[0]["id"] == "no"


@pytest.mark.parametrize(
    ("key", "column", "wanted"),
    [
        ("answers", "s.t", [["x", "y"], ["z"]]),
        ("answers", "a", [["text #### 1,200"], ["#### -2"]]),
        ("choices", ["c0", "c1"], [["A", "B"], ["C", "D"]]),
        ("answer_number", {"column": "a", "after": "####"}, [1200, -2]),
        ("answer_number", "q", ["一", "二"]),
        ("label", {"column": "label", "values": {"yes": 0, "no": 1}}, [1, 0]),
        ("context", {"column": "s.t", "join": "|"}, ["x|y", "z"]),
        ("context", {"column": "s.t", "join": "|", "most": 1}, ["x", "z"]),
    ],
)
def test_a_key_is_made_of_what_columns_hold(parquet, key, column, wanted):
    assert [row[key] for row in rows(parquet, keys={key: column})] == wanted


def test_an_id_of_no_column_is_named(parquet):
    with pytest.raises(ConfigError, match="the id '{no}' of .* must be a text with row or columns"):
        rows(parquet, id="{no}")


def test_a_key_can_be_the_same_for_all_rows(parquet):
    assert [row["choices"] for row in rows(parquet, fixed={"choices": ["n", "y"]})] == [
        ["n", "y"]
    ] * 2


def test_a_missing_column_is_named_with_those_that_are_there(parquet):
    with pytest.raises(
        ConfigError, match=r"rows\.parquet has no column none for question; it has q"
    ):
        rows(parquet, keys={"question": "none"})


def test_json_lines_and_folders_of_files_are_data_sets_too(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    lines = "\n".join(json.dumps({"question": q, "answer_number": 1}) for q in "ab")
    (folder / "test.jsonl").write_text(lines)
    found = load("x.jsonl", data_set("x.jsonl", {"path": str(folder), "split": "test"}))
    assert [row["question"] for row in found] == ["a", "b"]


@pytest.mark.parametrize("splits", [True, False])
def test_a_folder_that_the_library_saved_is_a_data_set_too(tmp_path, splits):
    rows = datasets.Dataset.from_list([{"question": "a", "answer_number": 1}])
    (datasets.DatasetDict({"test": rows}) if splits else rows).save_to_disk(tmp_path / "saved")
    source = data_set("x.jsonl", {"path": str(tmp_path / "saved"), "split": "test"})
    assert load("x.jsonl", source)[0]["question"] == "a"


def test_a_missing_split_is_named(tmp_path):
    rows = datasets.Dataset.from_list([{"question": "a", "answer_number": 1}])
    datasets.DatasetDict({"test": rows}).save_to_disk(tmp_path / "saved")
    source = data_set("x.jsonl", {"path": str(tmp_path / "saved"), "split": "dev"})
    with pytest.raises(ConfigError, match="cannot get .*saved dev .it has the splits test.; check"):
        load("x.jsonl", source)


def test_a_data_set_in_the_hubs_cache_needs_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    commit = "0123456789" * 4
    folder = tmp_path / "hub" / "datasets--owner--set"
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit / "test.jsonl").write_text('{"question": "a"}')
    (folder / "snapshots" / commit / "README.md").write_text("# A set")
    source = data_set("x.jsonl", {"path": "owner/set", "split": "test"})
    assert load("x.jsonl", source)[0]["question"] == "a"


def test_without_a_folder_a_part_comes_from_its_data_set(parquet):
    keys = {"question": "q", "answer_number": {"column": "a", "after": "####"}}
    hub = {"t/x.jsonl": {"path": "parquet", "files": parquet, "keys": keys}}
    first, second = {"file": "t/x.jsonl", "take": 1}, {"file": "t/x.jsonl", "skip": 1}
    made = JsonLines(folder=None, search=first, select=second, test=second, hub=hub)
    assert [row["question"] for row in made.rows("search")] == ["一"]
    assert made.rows("test")[0]["answer_number"] == -2
    assert "_row" not in made.rows("test")[0]


def test_with_a_folder_the_data_set_is_not_asked_for(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"question": "file", "answer_number": 1}')
    part, hub = {"file": "x.jsonl"}, {"x.jsonl": {"path": "owner/missing"}}
    made = JsonLines(folder=str(tmp_path), search=part, select=part, test=part, hub=hub)
    assert made.rows("search")[0]["question"] == "file"


def test_a_row_of_a_data_set_that_cannot_be_used_is_named(parquet):
    hub = {"x.jsonl": {"path": "parquet", "files": parquet, "keys": {"question": "q"}}}
    part = {"file": "x.jsonl"}
    made = JsonLines(folder=None, search=part, select=part, test=part, hub=hub)
    with pytest.raises(ConfigError, match=r"rows\.parquet, row 0 has no answer; give it answers"):
        made.rows("search")


def test_no_network_is_one_sentence_that_names_the_folder(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    source = data_set("mgsm/ja_test.jsonl", {"path": "owner/none", "name": "ja", "split": "test"})
    with pytest.raises(
        ConfigError,
        match=r"cannot get owner/none ja test \(.*\); check the network, or set "
        r"data_dir to the folder that holds mgsm/ja_test\.jsonl",
    ) as error:
        load("mgsm/ja_test.jsonl", source)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("options", [{"name": "x"}, {"path": "a/b", "colums": {}}, "a/b", None])
def test_options_that_no_data_set_has_are_named(options):
    part = {"file": "x.jsonl"}
    with pytest.raises(ConfigError, match=r"the data set for x\.jsonl must have path, .*items.hub"):
        JsonLines(folder=None, search=part, select=part, test=part, hub={"x.jsonl": options})


# One row of each shipped data set as its columns are there, and what must become of it.
SHIPPED = {
    ("mgsm_ja", "mgsm/ja_test.jsonl"): (
        {"question": "q", "answer": None, "answer_number": 18, "equation_solution": None},
        {"id": "mgsm_ja-test-0000", "question": "q", "answer_number": 18},
    ),
    ("mgsm_ja", "gsm8k_ja/train.jsonl"): (
        {"question": "q", "answer_number": 3},
        {"id": "gsm8k_ja-test-0250", "answer_number": 3, "numbers_kept": True},
    ),
    ("jp_mgsm", "mgsm/ja_fewshot.jsonl"): (
        {"question": "問題：q", "answer": "ステップごとの答え：11です。", "answer_number": 11},
        {"solution": "ステップごとの答え：11です。", "answer_number": 11},
    ),
    ("gsm8k", "gsm8k/test.jsonl"): (
        {"question": "q", "answer": "2 - 1 = 1,001\n#### 1,001"},
        {"id": "gsm8k-test-0000", "answer_number": 1001, "solution": "2 - 1 = 1,001\n#### 1,001"},
    ),
    ("msvamp_ja", "msvamp/ja_test.jsonl"): (
        {"query": "en", "equation": "- 1 2", "response": "8.0", "m_query": "ja"},
        {"question": "ja", "question_en": "en", "answer_number": 8},
    ),
    ("jcommonsenseqa", "jcommonsenseqa/valid.jsonl"): (
        {"q_id": 7, "question": "q", **{f"choice{i}": f"c{i}" for i in range(5)}, "label": 2},
        {"id": "jcommonsenseqa-7", "choices": ["c0", "c1", "c2", "c3", "c4"], "label": 2},
    ),
    ("jnli", "jnli/valid.jsonl"): (
        {"sentence_pair_id": "9", "sentence1": "p", "sentence2": "h", "label": "neutral"},
        {"id": "jnli-valid-9", "context": "p", "question": "h", "label": 2},
    ),
    ("jcola", "jcola/valid.jsonl"): (
        {"uid": 5, "source": "x", "label": 1, "sentence": "s", "original": "s"},
        {"id": "jcola-5", "question": "s", "choices": ["unacceptable", "acceptable"], "label": 1},
    ),
    ("jsquad", "jsquad/valid.jsonl"): (
        {"title": "t", "context": "t [SEP] c", "question": "q", "answers": {"text": ["a", "b"]}},
        {"title": "t", "context": "t [SEP] c", "answers": ["a", "b"]},
    ),
    ("xwinograd_ja", "xwinograd_ja/test.jsonl"): (
        {"sentence1": "one", "sentence2": "two", "answer": "2"},
        {"question": "one", "choices": ["one", "two"], "label": 1},
    ),
    ("jaqket", "jaqket/valid.jsonl"): (
        {
            "qid": "Q1",
            "question": "q",
            "answers": ["a"],
            "ctxs": [{"text": "p1", "has_answer": False}, {"text": "p2", "has_answer": True}],
        },
        {"id": "jaqket-Q1", "answers": ["a"], "context": "p1\np2"},
    ),
    ("xlsum_ja", "xlsum_ja/test.jsonl"): (
        {"id": "1", "text": "article", "summary": "short", "title": "t"},
        {"question": "article", "answers": ["short"]},
    ),
}


@pytest.mark.parametrize(("task", "file"), SHIPPED)
def test_shipped_data_sets_become_rows_that_can_be_used(monkeypatch, compose, task, file):
    given, wanted = SHIPPED[task, file]
    monkeypatch.setattr(hub, "_load", lambda file, source: ([given], {"image"} & set(given)))
    options = compose(f"task={task}")["task"]["items"]["hub"][file]
    (row,) = load(file, data_set(file, options))
    check_row(row, "here")
    assert {key: row[key] for key in wanted} == wanted


def test_every_file_of_a_shipped_task_has_a_data_set_or_says_that_there_is_none(compose):
    lacking = set()
    for option in options("task"):
        task = compose(f"task={option}", "models=bundled")["task"]
        items = task.get("items") or {}
        files = {
            part["file"] for part in items.values() if isinstance(part, dict) and "file" in part
        }
        lacking |= {option} if files - set(items.get("hub") or {}) else set()
    assert lacking == {"marc_ja"}  # withdrawn


def test_pictures_stay_files_and_are_read_when_they_are_asked_for(tmp_path, caplog):
    rows = [
        {
            "question": "q",
            "photo": {"bytes": png("red"), "path": "a.png"},
            "other": {"bytes": png("blue"), "path": None},
            "more": [{"bytes": png("blue"), "path": None}],
        },
        {"question": "r", "photo": None, "other": None, "more": []},
    ]
    image = datasets.Image()
    features = {"question": datasets.Value("string"), "photo": image, "other": image}
    features["more"] = datasets.List(image)
    path = tmp_path / "seen.parquet"
    datasets.Dataset.from_list(rows, features=datasets.Features(features)).to_parquet(path)
    options = {"path": "parquet", "files": str(path), "keys": {"image": "photo"}}
    first, second = load("x.jsonl", data_set("x.jsonl", options))
    assert set(first) == {"question", "image", "id", "_row"}
    assert first["image"].read() == png("red")
    assert first["image"].where == f"{path}, row 0"
    assert "what holds several pictures a row is left out (more): a prompt sh" in caplog.text
    assert second.get("image") in ("", None)


@pytest.mark.parametrize(
    ("key", "column", "must"),
    [
        ("image", {"column": "photo"}, "must be a column, got"),
        ("image", ["photo", "other"], "must be a column, got"),
        ("answers", {"column": "a"}, "must be a column, several, or {column: NAME} with one of af"),
        ("answers", {"after": "a"}, "must be a column, several, or"),
        ("answers", ["a", 1], "must be a column, several, or"),
        ("answers", 1, "must be a column, several, or"),
    ],
)
def test_a_key_says_which_columns_it_is(key, column, must):
    with pytest.raises(ConfigError, match=f"{key} in keys {must}.*; set task.items.hub"):
        data_set("x.jsonl", {"path": "a/b", "keys": {key: column}})


def test_what_should_be_a_picture_is_named_with_its_row(tmp_path):
    rows = [{"question": "q", "image": {"bytes": b"text", "path": "a.png"}}]
    features = datasets.Features({"question": datasets.Value("string"), "image": datasets.Image()})
    path = tmp_path / "seen.parquet"
    datasets.Dataset.from_list(rows, features=features).to_parquet(path)
    with pytest.raises(ConfigError, match=r"seen\.parquet, row 0 is no picture"):
        load("x.jsonl", data_set("x.jsonl", {"path": "parquet", "files": str(path)}))


def test_rows_without_a_value_are_left_out(parquet):
    keys = {"question": "q", "second": {"column": "s.t", "has": "y", "most": 2}}
    found = rows(parquet, keys=keys, where={"second": True})
    assert [(row["question"], row["_row"]) for row in found] == [("一", 0)]
    assert not rows(
        parquet, keys={**keys, "second": {**keys["second"], "most": 1}}, where={"second": True}
    )


def test_a_data_set_that_is_a_program_is_told_as_such(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("Dataset scripts are no longer supported, but found JAQKET.py")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    source = data_set("j/valid.jsonl", {"path": "a/b", "name": "v2.0", "split": "validation"})
    with pytest.raises(
        ConfigError,
        match=r"cannot get a/b v2\.0 validation \(Dataset scripts .*JAQKET\.py\); it is a program, "
        r"which is not run here: .* revision: refs/convert/parquet, name: null, files: "
        r"v2\.0/validation/\*\.parquet; or set data_dir to the folder that holds j/valid\.jsonl",
    ):
        load("j/valid.jsonl", source)

import datasets
import pytest

from evoforge.errors import ConfigError
from evoforge.task.files import read_file, with_picture
from tests.task.conftest import png


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the datasets library in the test's own folder, and no progress bars."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.fixture
def parquet(tmp_path):
    """A Parquet file with pictures inside, as data sets have them."""
    path = tmp_path / "x.parquet"
    rows = [{"question": q, "image": {"bytes": png(q), "path": None}} for q in ("red", "blue")]
    features = datasets.Features({"question": datasets.Value("string"), "image": datasets.Image()})
    datasets.Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def test_a_parquet_file_has_its_pictures_inside(parquet):
    rows = read_file(parquet, "vqa/x")
    assert [(row["id"], row["question"]) for row in rows] == [
        ("vqa/x-0", "red"),
        ("vqa/x-1", "blue"),
    ]
    assert [row["image"].image().getpixel((0, 0)) for row in rows] == [(255, 0, 0), (0, 0, 255)]
    assert rows[1]["image"].where.endswith("x.parquet, row 1")


def test_its_ending_may_be_in_capitals(parquet):
    rows = read_file(parquet.rename(parquet.with_suffix(".PARQUET")), "x")
    assert [row["question"] for row in rows] == ["red", "blue"]


def test_a_missing_parquet_file_names_the_option(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*none\.parquet .*; set task\.file"):
        read_file(tmp_path / "none.parquet", "x", "task.file")


def test_a_damaged_parquet_file_is_to_be_replaced(tmp_path):
    (tmp_path / "x.parquet").write_text("no table")
    with pytest.raises(ConfigError, match=r"cannot get .*x\.parquet .*; replace the file"):
        read_file(tmp_path / "x.parquet", "x")


def test_rows_name_their_picture_or_have_none(tmp_path):
    (tmp_path / "red.png").write_bytes(png("red"))
    shown = with_picture({"image": "red.png", "_line": 1}, "f", (tmp_path,))
    assert shown["image"].read() == png("red")
    for image in ("", None):
        assert with_picture({"id": "a", "image": image, "_line": 1}, "f", ()) == {
            "id": "a",
            "_line": 1,
        }


def test_a_pattern_says_where_pictures_of_rows_lie(tmp_path):
    (tmp_path / "007.png").write_bytes(png("red"))
    row = {"image_id": 7, "_line": 1}
    shown = with_picture(row, "f", (tmp_path,), "{image_id:03}.png")
    assert shown["image"].read() == png("red")


@pytest.mark.parametrize("pattern", ["{number}.png", "{", "{image_id.x}", "{image_id[0]}"])
def test_a_pattern_that_does_not_fit_is_named(pattern):
    with pytest.raises(ConfigError, match="image must be a text with keys .* not fit f, line 1"):
        with_picture({"image_id": 7, "_line": 1}, "f", (), pattern)

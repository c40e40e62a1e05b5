"""Pictures and what is asked about them: disjoint parts, both languages, the same everywhere."""

import hashlib
import io
import random
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from evoforge.errors import ConfigError
from evoforge.zoo.pictures.drawing import mask, pixels, png
from evoforge.zoo.pictures.items import Pictures
from evoforge.zoo.pictures.questions import Question, ask
from evoforge.zoo.pictures.scenes import Scene, Thing, draw, part_of
from evoforge.zoo.pictures.words import COLOURS, KINDS, SHAPES
from evoforge.zoo.problems import PARTS
from evoforge.zoo.scoring import japanese_probability

SIZES = {"search": 2000, "select": 2000, "test": 2000}


@pytest.fixture(scope="module")
def rows():
    pictures = Pictures(language="ja", **SIZES)
    return {part: pictures.rows(part) for part in SIZES}


def test_parts_and_seeds_share_no_scene_and_no_picture(rows) -> None:
    other = Pictures(seed=1)
    for trait in ("scene", "image"):
        found = {part: {row[trait] for row in rows[part] + other.rows(part)} for part in SIZES}
        assert not found["search"] & found["select"]
        assert not found["search"] & found["test"]
        assert not found["select"] & found["test"]


def test_every_part_has_its_rows_and_no_scene_or_picture_twice(rows) -> None:
    for part, size in SIZES.items():
        for trait in ("id", "scene", "image"):
            assert len({row[trait] for row in rows[part]}) == size


def test_no_item_is_of_the_train_part() -> None:
    rng = random.Random(0)
    trained_on = {draw(rng, "train").key for _ in range(3000)}
    assert not trained_on & {row["scene"] for row in Pictures().rows("search")}


def test_every_scene_has_one_part_near_its_share() -> None:
    things = [Thing(colour, shape) for colour in range(8) for shape in range(8)]
    parts = [part_of(Scene((a, b, None, None))) for a in things for b in things]
    for part, percent in PARTS.items():
        assert abs(100 * parts.count(part) / len(parts) - percent) < 2


def test_both_languages_ask_the_same_about_the_same_pictures() -> None:
    pairs = zip(Pictures(language="en").rows("test"), Pictures().rows("test"), strict=True)
    for english, japanese in pairs:
        for trait in ("image", "scene", "kind"):
            assert english[trait] == japanese[trait]
        for names in (*COLOURS, *SHAPES):
            told = english["answers"][0].replace(",", "").replace(".", "").split()
            assert told.count(names["en"]) == japanese["answers"][0].count(names["ja"])


def test_answers_are_japanese_by_the_language_rule(rows) -> None:
    answers = {row["answers"][0] for part in SIZES for row in rows[part]}
    assert not [answer for answer in answers if japanese_probability(answer) <= 0.5]


def test_kinds_take_turns(rows) -> None:
    assert [row["kind"] for row in rows["test"][:8]] == [*KINDS, *KINDS]


SCENE = Scene((Thing(0, 3), Thing(1, 5), None, Thing(0, 6)))


@pytest.mark.parametrize(
    ("kind", "about", "question", "answer"),
    [
        ("shape", 0, "What is in the top row?", "red star, blue heart."),
        ("colour", 4, "Which colours are in the picture?", "red, blue, red."),
        ("count", 2, "How many shapes are in the left side?", "one, star."),
        ("count", 4, "How many shapes are in the picture?", "three, star, heart, crescent."),
        ("position", 2, "What is around the bottom left?", "right red crescent, above red star."),
        ("position", 3, "What is around the bottom right?", "left empty, above blue heart."),
    ],
)
def test_answers_in_english(kind: str, about: int, question: str, answer: str) -> None:
    asked = Question(SCENE, kind, about)
    assert (asked.text("en"), asked.answer("en").strip()) == (question, answer)


@pytest.mark.parametrize(
    ("kind", "about", "question", "answer"),
    [
        ("shape", 3, "右側には何がありますか。", "あおいハートとあかいみかづきです。"),
        ("colour", 0, "上の段はどんな色ですか。", "あかとあおです。"),
        ("count", 3, "右側にはいくつありますか。", "二つ、ハートとみかづきです。"),
        ("position", 0, "左上の隣は何ですか。", "右はあおいハート、下は空です。"),
    ],
)
def test_answers_in_japanese(kind: str, about: int, question: str, answer: str) -> None:
    asked = Question(SCENE, kind, about)
    assert (asked.text("ja"), asked.answer("ja")) == (question, answer)


def test_questions_are_asked_only_where_there_is_something_to_tell() -> None:
    rng, things = random.Random(0), (Thing(0, 0), Thing(1, 1))
    corners = Scene((things[0], None, None, things[1]))
    assert {ask(rng, corners, "shape") for _ in range(20)} == {Question(corners, "shape", 4)}
    assert {ask(rng, corners, "position") for _ in range(20)} == {
        Question(corners, "position", 1),
        Question(corners, "position", 2),
    }
    assert ask(rng, Scene((*things, None, None)), "position") is None


def test_a_picture_shows_each_colour_in_its_cell() -> None:
    picture = pixels(Scene((Thing(0, 1), None, None, Thing(1, 1))), "x").astype(int)
    red, blue, nothing = picture[8, 8], picture[24, 24], picture[8, 24]
    assert red[0] > red[2] + 100
    assert blue[2] > blue[0] + 100
    assert nothing.min() >= 225


def test_shapes_differ_by_many_pixels() -> None:
    masks = [mask(shape, 6.0) for shape in range(len(SHAPES))]
    for i, first in enumerate(masks):
        assert 0.15 < first.mean() < 0.6
        for second in masks[:i]:
            assert abs(first - second).sum() > 15


def test_variants_draw_one_scene_in_different_pictures() -> None:
    assert len({pixels(SCENE, str(i)).tobytes() for i in range(20)}) == 20


def test_png_holds_the_pixels() -> None:
    picture = pixels(SCENE, "x")
    image = Image.open(io.BytesIO(png(picture)))
    assert (image.mode, image.size, image.format) == ("RGB", (32, 32), "PNG")
    assert (np.asarray(image) == picture).all()


def test_pictures_are_the_same_everywhere() -> None:
    code = (
        "import hashlib; from evoforge.zoo.pictures.items import Pictures;"
        "print(hashlib.sha256(repr(Pictures().rows('select')).encode()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = hashlib.sha256(repr(Pictures().rows("select")).encode()).hexdigest()
    assert other.stdout.strip() == here


def test_seed_changes_the_draw_and_sizes_only_cut_it() -> None:
    assert Pictures(seed=1).rows("test") != Pictures().rows("test")
    assert Pictures(test=20).rows("test") == Pictures(test=40).rows("test")[:20]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "fr"}, "language must be among en, ja, got 'fr'; set task.items.language"),
        ({"search": 0}, "search must be between 1 and 4000, got 0; set task.items.search"),
        ({"test": 4001}, "got 4001; set task.items.test"),
        ({"seed": -1}, "seed must be 0 or more, got -1; set task.items.seed"),
    ],
)
def test_bad_options_say_what_to_change(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Pictures(**options)  # type: ignore[arg-type]


def test_unknown_part_names_the_choices() -> None:
    with pytest.raises(ConfigError, match="search, select, test, got 'train'"):
        Pictures().rows("train")

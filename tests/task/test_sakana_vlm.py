"""The published evaluation of vision-language models, and the tasks that have it."""

import json
from statistics import fmean

import datasets
import pytest

from evoforge.config import build
from evoforge.errors import ConfigError
from evoforge.task.bootstrap import Bootstrap
from evoforge.task.generation import Generation
from evoforge.task.language import Language
from evoforge.task.multiple_choice import MultipleChoice
from evoforge.task.prompts import prompt_is
from evoforge.task.request import Response
from tests.task.conftest import png, shown

pytest.importorskip("fugashi")
pytest.importorskip("neologdn")

PROMPT = "<image>\n{question}"


@pytest.fixture
def task(items):
    """Return a maker of tasks about pictures."""

    def make(rows=None, **options):
        options = {"prompt": PROMPT, "judge": "rougel", "protocol": "sakana", **options}
        return Generation(name="seen", items=items(**(rows or shown())), **options)

    return make


@pytest.mark.parametrize("name", ["sakana", "sakana_vlm"])
def test_sakana_is_the_papers_evaluation_of_pictures_where_rouge_judges(task, name):
    made = task(protocol=name)
    settings = made.settings
    assert (settings["protocol"], settings["protocol_changed"]) == ("sakana_vlm", [])
    request = made.request(made.items("test")[0])
    assert (request.max_new_tokens, request.beams, request.repetition_penalty) == (512, 5, 1.5)
    assert request.stops.texts == ()
    assert request.context.special_tokens
    assert (settings["judge"], settings["tokens"]) == ("rougel", "mecab")
    assert settings["bootstrap"] == {"samples": 1000, "seed": 42}
    assert settings["language"] == {
        "code": "ja",
        "rule": "fasttext",
        "threshold": 0.5,
        "at_least": True,
        "model": "lid.176.ftz",
    }
    assert json.loads(json.dumps(settings)) == settings


def test_options_of_ones_own_are_told(task):
    made = task(beams=1, tokens="char", max_new_tokens=8)
    assert made.settings["protocol_changed"] == ["beams", "max_new_tokens", "tokens"]


def test_a_language_without_more_is_the_protocols(task):
    assert task(language={"code": "ja"}).settings["protocol_changed"] == []


def test_robust_is_greedy_and_has_no_medians(task):
    made = task(protocol="robust")
    items = made.items("test")
    request = made.request(items[0])
    assert (request.beams, request.repetition_penalty) == (1, 1)
    assert "bootstrap" not in made.settings
    found = [made.score(item, Response("赤い色です。")) for item in items]
    assert set(made.judge(items, found).metrics) == {"rougel", "over_length"}


def test_a_set_has_the_published_medians_beside_its_means(task):
    made = task(shown(rows=3))
    items = made.items("test")
    answers = ["赤い色です。", "It is red.", "赤です。"]
    found = [made.score(item, Response(text)) for item, text in zip(items, answers, strict=True)]
    verdict = made.judge(items, found)
    scores = [one["rougel_lang"] for one in found]
    assert scores[1] == 0
    assert verdict.score == verdict.fitness == verdict.metrics["rougel_lang"] == fmean(scores)
    assert verdict.metrics["rougel_ja_bootstrap"] == Bootstrap().median(scores)
    raw = [one["rougel"] for one in found]
    assert verdict.metrics["rougel_bootstrap"] == Bootstrap().median(raw)


@pytest.mark.parametrize(
    ("gold", "answer", "score"),
    [
        ("これは犬です。", "これは犬です。", 1),
        ("これは犬です。", "dog", 0),
        # A gold text that is not detected as Japanese exempts its item.
        ("UFO", "UFO", 1),
        ("UFO", "ufo", 0),
        ("2匹", "2匹", 1),
    ],
)
def test_answers_to_gold_texts_of_no_language_are_exempt(task, gold, answer, score):
    rows = shown()
    rows["test"][0]["answers"] = [gold]
    made = task(rows)
    assert made.score(made.items("test")[0], Response(answer))["rougel_lang"] == score


def test_a_half_is_enough_where_the_protocol_says_at_least(monkeypatch):
    monkeypatch.setattr("evoforge.task.language.probability", lambda *_: 0.5)
    assert Language(at_least=True).holds("何か")
    assert not Language(at_least=False).holds("何か")
    assert Language(at_least=True).protocol["at_least"] is True
    with pytest.raises(ConfigError, match="at_least must be true or false, got 1; set task.langu"):
        Language(at_least=1)


def test_it_is_for_pictures_and_for_written_answers(items):
    rows = {
        part: [{"id": part, "question": part, "answers": ["a"], "choices": ["a", "b"], "label": 0}]
        for part in ("search", "select", "test")
    }
    with pytest.raises(ConfigError, match="sakana_vlm .* is for items with pictures, and those of"):
        Generation(
            name="t", items=items(**rows), prompt="{question}", judge="rougel", protocol="sakana"
        )
    with pytest.raises(ConfigError, match="the protocol sakana_vlm is for written answers"):
        MultipleChoice(name="t", items=items(**rows), prompt="{question}", protocol="sakana_vlm")


@pytest.mark.parametrize("prompt", ["A <image>\n{question} B", "A {question} B"])
def test_the_mark_of_the_picture_is_not_part_of_the_published_text(monkeypatch, prompt):
    from hashlib import sha256

    digest = sha256(b"A {input} B").hexdigest()
    monkeypatch.setattr("evoforge.task.prompts.PUBLISHED", {digest: "toy"})
    assert prompt_is(prompt) == "published"
    assert prompt_is(prompt.replace("A", "B")) == prompt_is("A <image>{question} B") == "own"


def qas(*pairs):
    return [{"a_objects": [], "question": q, "answer": a, "qa_id": 1} for q, a in pairs]


def vg_rows(first, colours):
    """Return rows as the hub has them: a picture with its questions."""
    return [
        {
            "image_id": first + i,
            "url": "https://x/y.jpg",
            "coco_id": None,
            "qas": qas((f"何色ですか。{i}", f"{colour}の色です。"), ("何ですか。", "紙です。")),
            "image": {"bytes": png(colour), "path": None},
        }
        for i, colour in enumerate(colours)
    ]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Return what makes the hub answer with rows: `hub({"split": rows})`."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()

    def answer(splits):
        def load(path, name=None, *, split, **_):
            made = datasets.Dataset.from_list(splits[path.rpartition("/")[2], split])
            return made.cast_column("image", datasets.Image())

        monkeypatch.setattr(datasets, "load_dataset", load)

    return answer


SEARCH = ("red", "green", "blue", "pink")
OPTIONS = (
    "models=bundled",
    "data_dir=null",
    "task.items.search.skip=2",
    "task.items.select.take=2",
)


def vg(hub, more=()):
    hub(
        {
            ("JA-VG-VQA-500", "train"): [*vg_rows(1, SEARCH), *more],
            ("JA-VG-VQA-500", "test"): vg_rows(101, ("white", "black")),
            ("JA-VLM-Bench-In-the-Wild", "test"): [
                {
                    "page_url": "https://x",
                    "image_url": "https://x/y",
                    "image": {"bytes": png(colour), "path": "a.png"},
                    "question": f"これは{i}?",
                    "answer": "長い答えです。",
                }
                for i, colour in enumerate(("gray", "gray", "brown"))
            ],
        }
    )


def test_ja_vg_vqa_asks_the_first_question_on_each_picture(hub, compose):
    vg(hub)
    made = build(compose("task=ja_vg_vqa_500", *OPTIONS)["task"], "task")
    tested = made.items("test")
    assert [(item.id, item.question, item.answers) for item in tested] == [
        ("ja_vg_vqa-101-1", "何色ですか。0", ("whiteの色です。",)),
        ("ja_vg_vqa-102-1", "何色ですか。1", ("blackの色です。",)),
    ]
    assert [item.picture.image().getpixel((0, 0))[0] for item in tested] == [255, 0]
    assert [item.id for item in made.items("select")] == ["ja_vg_vqa-1-1", "ja_vg_vqa-2-1"]
    # The search sees every question on its pictures.
    wanted = [f"ja_vg_vqa-{image}-{entry}" for image in (3, 4) for entry in (1, 2)]
    assert [item.id for item in made.items("search")] == wanted


def test_pictures_that_are_tested_are_not_searched_on(hub, compose):
    # The same picture under another name, and the same name with other bytes.
    again, named = vg_rows(50, ("white",)), vg_rows(102, ("orange",))
    vg(hub, [*again, *named])
    made = build(compose("task=ja_vg_vqa_500", *OPTIONS)["task"], "task")
    assert {item.fields["image_id"] for item in made.items("search")} == {3, 4}


def test_the_published_protocol_is_whole_on_both_benchmarks(hub, compose):
    vg(hub)
    for option in ("ja_vg_vqa_500", "ja_vlm_bench"):
        made = build(compose(f"task={option}", "task.protocol=sakana", *OPTIONS)["task"], "task")
        assert made.settings["protocol"] == "sakana_vlm"
        assert made.settings["protocol_changed"] == []
        assert made.metric == "rougel_lang"
        context = made.request(made.items("test")[0]).context
        assert context.text.startswith("[INST] <<SYS>>\n")
        assert context.text.count("<image>\n") == 1


def test_several_questions_of_the_bench_are_on_one_picture(hub, compose):
    vg(hub)
    made = build(compose("task=ja_vlm_bench", *OPTIONS)["task"], "task")
    tested = made.items("test")
    assert [item.id for item in tested] == [f"ja_vlm_bench-0{i}" for i in range(3)]
    assert tested[0].picture == tested[1].picture != tested[2].picture


def test_a_users_file_of_the_published_annotations_serves_as_search_set(tmp_path, hub, compose):
    del hub  # its cache is the test's own
    folder = tmp_path / "data" / "ja_vg_vqa"
    (folder / "images").mkdir(parents=True)
    for image, colour in enumerate((*SEARCH, "white", "black"), start=1):
        (folder / "images" / f"{image}.png").write_bytes(png(colour))
    annotations = [{"id": i, "qas": qas((f"何?{i}", "赤です。"))} for i in range(1, 7)]
    (folder / "annotations.json").write_text(json.dumps(annotations))
    tested = datasets.Dataset.from_list(vg_rows(6, ("black",)) + vg_rows(9, ("white",)))
    tested.cast_column("image", datasets.Image()).to_parquet(folder / "test.parquet")
    files = [
        "task.items.search.file=ja_vg_vqa/annotations.json",
        "task.items.select.file=ja_vg_vqa/annotations.json",
        "task.items.test.file=ja_vg_vqa/test.parquet",
    ]
    own = [f'+task.items.{part}.image="images/{{id}}.png"' for part in ("search", "select")]
    own += [f'task.items.{part}.known="visual_genome/{{id}}"' for part in ("search", "select")]
    options = [*OPTIONS[2:], "models=bundled", f"data_dir={folder.parent}", *files, *own]
    made = build(compose("task=ja_vg_vqa_500", *options)["task"], "task")
    # The fifth is tested under another name, the sixth under its own.
    assert [item.id for item in made.items("search")] == ["3-1", "4-1"]
    assert made.items("test")[1].picture.image().getpixel((0, 0)) == (255, 255, 255)

"""Files of items, recipes and merges end in what they say or in one sentence."""

import json
import random
import time

import pytest
import yaml

from evoforge.errors import ConfigError
from evoforge.merge.ties import Ties
from evoforge.mergekit_yaml.document import read
from evoforge.plain_yaml import documents
from evoforge.start import starts
from evoforge.startup import check
from evoforge.task.own import own_task
from tests.conftest import ROOT
from tests.hostile.spoil import sentence, spoiled, text_of, torn

ROWS = [
    {"id": f"r{i}", "question": f"{i}+1=?", "answer_number": i + 1, "n": {"a": [i]}}
    for i in range(8)
]
BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)
)


def test_rows_of_any_kind_end_in_one_sentence(tmp_path):
    told = 0
    for number in range(250):
        draw = random.Random(f"rows-{number}")
        rows = [spoiled(row, draw) if draw.random() < 0.3 else row for row in ROWS]
        text = draw.choice(("\n", "\n", "\r\n", "\n\n")).join(map(text_of, rows))
        content = torn(text, draw) if draw.random() < 0.4 else text.encode()
        file = tmp_path / draw.choice(("a.jsonl", "a.jsonl", "a.json", "a.csv"))
        file.write_bytes(content)
        told += sentence(lambda file=file: own_task(file=str(file)).items_hash) is not None
    assert 50 < told < 250


@pytest.mark.parametrize(
    "content",
    [
        b'{"question": "a", "answer_number": ' + b"9" * 5000 + b"}",
        b'{"question": "a", "answer_number": NaN}',
        b'{"question": "\\ud800", "answers": ["a"]}',
        b'{"question": "a", "answers": ["\xff"]}',
        b"\xff\xfe{",
        b'{"a":' * 100_000,
        b'{"question": "' + b"x" * (1 << 20) + b'"}',
    ],
)
def test_rows_that_hide_something_are_named(tmp_path, content):
    file = tmp_path / "a.jsonl"
    file.write_bytes(content)
    assert sentence(lambda: own_task(file=str(file)).items_hash)


def test_a_file_with_the_mark_and_line_ends_of_windows_is_read(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(map(json.dumps, ROWS)).encode())
    task = own_task(file=str(file))
    found = {item.id for part in ("search", "select", "test") for item in task.items(part)}
    assert found == {row["id"] for row in ROWS}


def test_recipes_of_any_kind_end_in_one_sentence(pool, tmp_path):
    ties = Ties(pool, weight={"low": 0.0, "high": 1.0})
    recipe = json.loads(ties.recipe(ties.space.init).text)
    file = tmp_path / "recipe.json"
    told = 0
    for number in range(250):
        draw = random.Random(f"recipe-{number}")
        text = text_of(spoiled(recipe, draw))
        file.write_bytes(torn(text, draw) if draw.random() < 0.2 else text.encode())
        told += sentence(lambda: starts([{"recipe": str(file)}], ties)) is not None
    assert 50 < told < 250


MERGE = {
    "merge_method": "dare_ties",
    "base_model": "base",
    "models": [
        {"model": "a", "parameters": {"weight": [0.1, 0.5], "density": 0.5}},
        {"model": "b+c@main", "parameters": {"weight": {"filter": "mlp", "value": 0.2}}},
    ],
    "parameters": {"normalize": True, "lambda": 0.5},
    "dtype": "bfloat16",
    "tokenizer": {"source": "union", "tokens": {"<s>": {"source": "a"}}},
}
SLICES = {
    "merge_method": "passthrough",
    "slices": [{"sources": [{"model": "a", "layer_range": [0, 4], "parameters": {"scale": 1}}]}],
    "dtype": "float16",
}


def test_mergekit_files_of_any_kind_end_in_one_sentence(tmp_path):
    file, told = tmp_path / "merge.yml", 0
    for number in range(300):
        draw = random.Random(f"merge-{number}")
        content = spoiled(draw.choice((MERGE, SLICES)), draw)
        text = yaml.safe_dump(json.loads(text_of(content)), allow_unicode=False)
        file.write_bytes(torn(text, draw) if draw.random() < 0.2 else text.encode())
        told += sentence(lambda: read(str(file))) is not None
    assert 100 < told < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "its aliases stand for .* values, more than"),
        ("a: &a [*a]", "an alias of what the alias is in"),
        ("a: &a {b: *a}", "an alias of what the alias is in"),
        ("!!python/object/apply:os.system ['true']", "it asks for .*python/object/apply:os.system"),
        ("a: !!python/name:os.system ''", "it asks for"),
        ("a: !own 3", "it asks for !own"),
        ("[" * 200 + "]" * 200, "nested"),
        ("[" * 100_000, "nested|no YAML"),
        ("a: 2001-99-99", "no YAML"),
        ("a: !!int b", "no YAML"),
        ("a: [", "it is no YAML"),
        ("a: \x07", "it is no YAML"),
    ],
)
def test_yaml_that_is_more_than_data_is_refused_at_once(text, message, tmp_path):
    began = time.process_time()
    with pytest.raises(ConfigError, match=message):
        documents(text)
    (tmp_path / "merge.txt").write_text(text)
    with pytest.raises(ConfigError, match="merge.txt"):
        read(str(tmp_path / "merge.txt"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "own.yaml").write_text(text)
    with pytest.raises(ConfigError, match="own.yaml cannot be used"):
        check(["--config-dir", str(tmp_path)], ROOT / "conf", "config")
    assert time.process_time() - began < 5


def test_aliases_that_share_a_few_values_are_welcome():
    assert documents("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a") == [
        {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 1}}
    ]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("experiment/x.yaml", "note: hf_" + "a" * 30, "note holds what looks like a key"),
        (
            "experiment/x.yaml",
            "# @package _global_\nhydra: {callbacks: {x: {_target_: os.system}}}",
            "hydra.callbacks.x names os.system",
        ),
        (
            "hydra/job_logging/x.yaml",
            "formatters: {x: {(): os.system, command: ls}}",
            "the log names os.system",
        ),
        ("hydra/job_logging/x.yaml", "handlers: {x: {class: os.system}}", "the log names os.sys"),
    ],
)
def test_a_folder_of_options_cannot_run_anything(tmp_path, file, text, message):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    given = ["--config-dir", str(tmp_path)]
    given += ["experiment=x"] if file.startswith("experiment") else []
    with pytest.raises(ConfigError, match=message):
        check(given, ROOT / "conf", "config")


def test_the_own_options_pass(tmp_path):
    check(["--config-dir", str(ROOT / "conf"), "-m", "seed=1,2"], ROOT / "conf", "config")
    check(["hydra/launcher=joblib", "hydra.run.dir=x"], ROOT / "conf", "config")

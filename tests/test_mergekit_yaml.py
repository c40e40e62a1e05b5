"""mergekit files as plain data."""

import pytest

from evoforge.errors import ConfigError
from evoforge.mergekit_yaml.document import Reference, parse, read, reference
from evoforge.mergekit_yaml.settings import setting, value

LINEAR = """
merge_method: linear
models:
  - model: one/a
    parameters:
      weight: 0.25
  - model: two/a@main
parameters:
  weight: [0, 1]
"""
SLICES = """
merge_method: slerp
base_model: b
slices:
  - sources:
      - {model: a, layer_range: [0, 8]}
      - {model: b, layer_range: [0, 8]}
    parameters: {t: 0.3}
  - sources:
      - {model: a, layer_range: [8, 12]}
      - {model: b, layer_range: [8, 12]}
parameters: {t: [{filter: mlp, value: 0.7}, {filter: "*", value: [0, 1]}]}
"""
NAME = "model.layers.3.mlp.up_proj.weight"
A, B = Reference("a"), Reference("b")


@pytest.mark.parametrize(
    ("given", "along", "wanted"),
    [
        (0.5, 0.3, 0.5),
        ("1e-5", 0.3, 1e-5),
        ([0, 1], 0.3, 0.3),
        # Between the second and the third of three, a fifth of the way.
        ([0, 1, 11], 0.6, 3.0),
        ([0, 1, 11], 1.0, 11.0),
        ([{"filter": "attn", "value": 1}, {"filter": "mlp", "value": 2}, {"value": 3}], 0, 2.0),
        ([{"filter": "attn", "value": 1}, {"value": [3, 5]}], 0.5, 4.0),
        ({"filter": "up_proj", "value": True}, 0.5, 1.0),
        ([1e-7, 3e-7], 0.5, 2e-7),
        ([{"filter": "attn", "value": 1}], 0, None),
    ],
)
def test_numbers_follow_names_and_depth(given, along, wanted):
    assert value(setting(given, "weight"), NAME, along) == pytest.approx(wanted)


@pytest.mark.parametrize("given", [None, "half", [], [None], [{"value": []}], [{"filter": "mlp"}]])
def test_what_is_no_number_is_named(given):
    with pytest.raises(ConfigError, match="weight"):
        setting(given, "weight")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("one/a", Reference("one/a")),
        ("one/a@main", Reference("one/a", "main")),
        ("one/a+/lora", Reference("one/a", None, Reference("/lora"))),
        ({"path": "one/a", "revision": "main"}, Reference("one/a", "main")),
        (
            {"model": {"path": "one/a"}, "lora": {"path": "l"}},
            Reference("one/a", None, Reference("l")),
        ),
    ],
)
def test_models_are_named_as_mergekit_names_them(given, wanted):
    assert reference(given) == wanted
    assert reference(str(wanted)) == wanted


def test_what_is_said_of_a_model_goes_before_what_is_said_of_all():
    document = parse(LINEAR)
    one, two = document.sources
    assert document.number("weight", NAME, 0, 0.5, one) == 0.25
    assert document.number("weight", NAME, 0, 0.5, two) == 0.5
    assert document.number("normalize", NAME, 0, 0.5) is None


def test_what_is_said_of_a_slice_goes_before_what_is_said_of_all():
    document = parse(SLICES)
    assert document.number("t", NAME, 0, 0.5) == 0.3
    assert document.number("t", NAME, 1, 0.5) == 0.7
    assert document.number("t", "model.norm.weight", 1, 0.25) == 0.25


def test_a_filter_that_fits_nothing_leaves_the_word_to_the_next_place():
    changed = LINEAR.replace("weight: 0.25", "weight: [{filter: attn, value: 9}]")
    document = parse(changed)
    assert document.number("weight", NAME, 0, 0.5, document.sources[0]) == 0.5


def test_names_are_the_last_parts_of_paths_and_all_different():
    assert list(parse(LINEAR).names().values()) == ["a", "a_2"]
    odd = parse("merge_method: karcher\nmodels: [{model: x/Llama-3.1 8B}, {model: /y/union/}]")
    assert list(odd.names().values()) == ["Llama-3_1_8B", "union_2"]


def test_the_base_is_a_source_where_it_is_merged():
    document = parse(SLICES)
    assert document.task_base is None
    assert document.sources == (B, A)
    ties = parse("merge_method: ties\nbase_model: b\nmodels: [{model: a}, {model: b}]")
    assert (ties.task_base, ties.sources) == (B, (A,))


def test_the_type_is_that_of_the_model_that_is_written():
    assert parse(LINEAR + "dtype: torch.bfloat16\n").dtype == "bfloat16"
    assert parse(LINEAR + "dtype: float32\nout_dtype: bfloat16\n").dtype == "bfloat16"
    assert parse(LINEAR).dtype is None


def test_the_tokenizer_is_read_in_both_ways():
    assert parse(LINEAR + "tokenizer_source: union\n").tokenizer == "union"
    assert parse(LINEAR + "tokenizer_source: one/a\n").tokenizer == Reference("one/a")
    section = parse(LINEAR + "tokenizer: {source: base, pad_to_multiple_of: 8}\n")
    assert (section.tokenizer, section.pad_to_multiple_of) == ("base", 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("merge_method: frank\nmodels: [{model: a}]", "one of linear, .*, got frank"),
        ("models: [{model: a}]", "one of linear, .*, got None"),
        (LINEAR + "modules: {}\n", "does not read modules"),
        (LINEAR + "chat_template: chatml\n", "does not read chat_template"),
        ("base_model: a\ngate_mode: hidden\nexperts: []", "does not read experts"),
        (LINEAR + "tokenizer: {tokens: {}}\n", r"does not read tokenizer\.tokens"),
        (LINEAR + "tokenizer: union\n", "tokenizer must be a mapping"),
        (LINEAR + "dtype: int8\n", "one of float32, float16, bfloat16, got int8"),
        (LINEAR.replace("weight: 0.25", "gamma: 1"), "does not read gamma in linear; it reads"),
        (LINEAR.replace("weight: 0.25", "normalize: 1"), "not read normalize for one model"),
        ("merge_method: linear", "either models or slices"),
        (LINEAR + "slices: [{sources: [{model: a, layer_range: [0, 1]}]}]", "either models or"),
        (SLICES.replace("[8, 12]", "[8, 8]"), r"layer_range must be \[FIRST, AFTER_LAST\]"),
        (SLICES.replace("b, layer_range: [8, 12]", "b, layer_range: [8, 9]"), "as many layers"),
        (SLICES.replace("    parameters: {t: 0.3}", "    residual_weight: 1"), "a slice must be"),
        ("merge_method: ties\nmodels: [{model: a}]", "ties needs a base_model"),
        ("merge_method: nuslerp\nmodels: [{model: a}]", "nuslerp takes 2 models, got 1"),
        ("merge_method: passthrough\nmodels: [{model: a}, {model: b}]", "one model at a time"),
        ("merge_method: linear\nmodels: [{model: a@b@c}]", "a model must be PATH@REVISION"),
        ("merge_method: linear\nmodels: [{model: 3}]", "a model must be PATH@REVISION"),
        ("merge_method: linear\nmodels: [{name: a}]", "an entry of models must be"),
        ("merge_method: linear\nmodels: {model: a}", "models must be a list"),
        (LINEAR + "---\n" + LINEAR, "one merge, got 2 documents"),
        ("- a\n- b\n", "one merge, got 1 documents"),
        ("a: [", "no YAML"),
        ("merge_method: [linear]", r"one of linear, .*, got \['linear'\]"),
        ("merge_method: {a: 1}", "one of linear, .*, got {'a': 1}"),
        (LINEAR + "dtype: 2001-99-99\n", "a value that is no YAML .*month"),
        (LINEAR + "dtype: !!int abc\n", "a value that is no YAML .*abc"),
        (LINEAR + "dtype: !!bool abc\n", "a value that is no YAML .*abc"),
        (LINEAR + "dtype: !!timestamp abc\n", "a value that is no YAML"),
        (LINEAR + "tokenizer: {1: a, x: b}\n", r"does not read tokenizer\.1"),
        (LINEAR + "tokenizer: {pad_to_multiple_of: [8]}\n", "whole number from 1 on"),
        (LINEAR.replace("0.25", "1" * 400), "weight must be a number"),
        (LINEAR.replace("0.25", "1" * 5000), "a value that is no YAML"),
        (LINEAR.replace("one/a", "0x" + "f" * 5000), "a value that cannot be read"),
        (LINEAR.replace("0.25", "[" * 3000 + "]" * 3000), "nested too deeply"),
        (LINEAR.replace("one/a", "{path: a, revision: {x: 1}}"), "revision must be a text"),
        (LINEAR.replace("one/a", "{path: [a]}"), r"path must be .*, got \['a'\]"),
        (LINEAR.replace("one/a", "&m {model: *m}"), "an alias of what the alias is in"),
        (LINEAR.replace("one/a", "{model: a+b, lora: c}"), "must each be one path"),
    ],
)
def test_what_evoforge_does_not_make_is_named(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text)


def test_errors_name_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*nothing\.yml: No such file"):
        read(tmp_path / "nothing.yml")
    (tmp_path / "x.yml").write_text("a: 1")
    with pytest.raises(ConfigError, match=r"x\.yml cannot be used: evoforge does not read a"):
        read(tmp_path / "x.yml")
    (tmp_path / "x.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="it is no text"):
        read(tmp_path / "x.yml")


@pytest.mark.parametrize("path", ["~no-such-user/x.yml", "a\0b", ["x.yml"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ConfigError, match="cannot read"):
        read(path)


def test_numbers_of_a_list_are_what_stands_there_and_nothing_is_nothing():
    assert value(setting([1, 1e-20, 1], "weight"), NAME, 0.5) == 1e-20
    assert value(setting([0.3, -0.6], "weight"), NAME, 1 / 3) == 0.0
    assert value(setting([0, 0], "weight"), NAME, 1 / 3) == 0.0

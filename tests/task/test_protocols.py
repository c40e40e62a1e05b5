import json

import pytest

from evoforge.errors import ConfigError
from evoforge.task.metrics import EXTRACTIONS
from evoforge.task.protocols import JAPANESE, PROTOCOLS, settle

OPTIONS = {
    "max_new_tokens": None,
    "stop": None,
    "extraction": None,
    "special_tokens": None,
    "language": None,
    "shots": None,
    "description": "",
    "chat": False,
    "judge": "number",
    "gold_length_plus": None,
}


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_protocols_could_stand_in_a_yaml_file(name):
    assert json.loads(json.dumps(PROTOCOLS[name])) == PROTOCOLS[name]
    assert PROTOCOLS[name]["extraction"] in EXTRACTIONS


def test_the_papers_protocol_of_mgsm_ja():
    values, changed = settle("sakana", OPTIONS)
    assert values == {
        "max_new_tokens": 1024,
        "stop": ["Instruction:", "Instruction", "Response:", "Response"],
        "extraction": "sakana",
        "special_tokens": True,
        "language": {"code": "ja", "rule": "fasttext", "threshold": 0.5, "at_least": False},
        "shots": None,
        "description": "",
        "chat": False,
        "judge": "number",
        "gold_length_plus": None,
    }
    assert changed == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_new_tokens": 512}, ["max_new_tokens"]),
        ({"stop": []}, ["stop"]),
        ({"stop": ("Instruction:", "Instruction", "Response:", "Response")}, []),
        ({"extraction": "robust", "chat": True}, ["chat", "extraction"]),
        ({"language": dict(JAPANESE)}, []),
        ({"language": {**JAPANESE, "rule": "both"}}, ["language"]),
        ({"description": "x"}, ["description"]),
        ({"shots": {"count": 1}}, ["shots"]),
        ({"judge": "exact_match", "gold_length_plus": 0}, ["gold_length_plus", "judge"]),
    ],
)
def test_options_of_ones_own_stand_and_are_named(change, named):
    values, changed = settle("sakana", {**OPTIONS, **change})
    assert changed == named
    assert all(values[key] == value for key, value in change.items())


def test_what_a_protocol_does_not_set_is_free():
    values, changed = settle("robust", {**OPTIONS, "language": {"code": "de"}, "chat": True})
    assert (values["language"], changed) == ({"code": "de"}, [])
    assert settle("robust", OPTIONS)[0]["language"] is None


def test_an_unknown_protocol_answers_with_the_choices():
    with pytest.raises(
        ConfigError, match=r"robust, sakana, sakana_vlm, jp_stable, got x; set task\.protocol"
    ):
        settle("x", OPTIONS)

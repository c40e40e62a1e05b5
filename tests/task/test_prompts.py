from hashlib import sha256

import pytest

from evoforge.task import prompts
from evoforge.task.generation import Generation
from evoforge.task.prompts import PUBLISHED, prompt_is


@pytest.fixture
def published(monkeypatch):
    """A prompt that counts as published."""
    text = "指示: {input}\n応答:"
    monkeypatch.setattr(prompts, "PUBLISHED", {sha256(text.encode()).hexdigest(): "toy"})
    return text


def test_a_published_prompt_is_known_by_its_hash(published):
    assert prompt_is(published.replace("{input}", "{question}")) == "published"


@pytest.mark.parametrize(
    "other", ["指示: {question}\n応答: ", "指示： {question}\n応答:", "", "{question}"]
)
def test_a_prompt_that_differs_by_a_letter_is_our_own(published, other):
    assert prompt_is(other) == "own"


@pytest.mark.parametrize("name", ["{input}", "{question}"])
def test_the_settings_of_a_task_say_so(published, items, name):
    def told(prompt):
        return Generation(name="t", items=items(), prompt=prompt).settings["prompt_is"]

    assert told(published.replace("{input}", name)) == "published"
    assert told("{question}") == "own"


def test_the_papers_prompt_is_known():
    # The hash was taken from the published file; the text itself is not ours to copy.
    digest = "a1d390ffb4f25778d9494709f823e940433990339cdaccad09976df198a4a4c1"
    assert PUBLISHED[digest] == "sakana mgsm_ja"
    assert all(len(known) == 64 for known in PUBLISHED)

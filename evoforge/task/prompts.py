"""Prompts of published evaluations, known by their hashes alone: their texts are not ours to copy.

A score is comparable with a published one only if the prompt is the same to the letter.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final, Literal

from evoforge.task.request import PICTURE

# SHA-256 of the UTF-8 text, with the question's place written as {input}; published code puts a
# picture's mark before the question by itself. Reference: the templates
# in evomerge/models/prompt_templates.py of SakanaAI/evolutionary-model-merge at 09aff54.
PUBLISHED: Final[Mapping[str, str]] = {
    "a1d390ffb4f25778d9494709f823e940433990339cdaccad09976df198a4a4c1": "sakana mgsm_ja",
    "1d43c4542018368cb527ebc16d9fea16e97cbab6c6a3f80ac4dda33097658de0": "sakana ja-shisa-vqa",
}


def prompt_is(template: str) -> Literal["published", "own"]:
    """Return whether a prompt with `{question}` in it is a published one, to the letter."""
    text = template.replace("{question}", "{input}")
    shown = text.replace(f"{PICTURE}\n{{input}}", "{input}")
    found = {sha256(each.encode()).hexdigest() for each in (text, shown)}
    return "published" if found & set(PUBLISHED) else "own"

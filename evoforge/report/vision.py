"""What a merged vision-language model sees with, in words: its frame, and how it is loaded.

Knows the `vision` of a recipe; does not know models.
"""

from collections.abc import Mapping
from typing import Any

from evoforge.recipe import canonical
from evoforge.report.markdown import code, escape, table

PIPELINE = "image-text-to-text"
USE = """\
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained(FOLDER)
processor = AutoProcessor.from_pretrained(FOLDER)
# A prompt as the protocol has it, with the mark where this family of models looks at the picture.
inputs = processor(images=Image.open(PICTURE), text=PROMPT, return_tensors="pt")
answer = model.generate(**inputs, max_new_tokens=64)[0, inputs["input_ids"].shape[1] :]
print(processor.decode(answer, skip_special_tokens=True))"""


def frame(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a recipe says of vision, None of a model that reads text alone."""
    found = content.get("vision")
    return found if isinstance(found, Mapping) else None


def told(found: Mapping[str, Any]) -> str:
    """Return in Markdown what is around the language part, whose settings count, and the way in."""
    kind = found.get("class")
    lead = (
        "Only the language part was merged. Vision tower, projector and processor are those of "
        f"{escape(found['source'])}, unchanged (content hash `{escape(found['hash'])}`)"
        + (f"; the model is a `{escape(kind)}`." if kind else ".")
    )
    if found.get("model_type"):
        lead += (
            f" Its type was set to {escape(found['model_type'])}, which looks at each picture "
            "once, in a fixed size."
        )
    settings = found.get("settings") or {}
    body = [
        [escape(name), *(escape(canonical(found[of])) for of in ("vlm", "llm")), found["from"]]
        for name, found in settings.items()
    ]
    head = ["setting", "of the vision-language model", "of the language model", "chosen"]
    chosen = ["Where their settings differ, these were chosen:", table(head, body, "---")]
    return "\n\n".join([lead, *(chosen if body else []), code(USE, "python")])

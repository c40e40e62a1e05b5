"""The processor of a vision-language model: what makes tokens and pixels of text and pictures.

It is put together from the files of the model's folder and a tokenizer that need not be the
folder's. Pictures are prepared with Pillow on every machine, and nothing is needed for videos.
"""

import json
import shutil
from inspect import signature
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from evoforge.errors import PoolError
from evoforge.models.files import first_line

SETTINGS = ("processor_config.json", "preprocessor_config.json")
FILES = (*SETTINGS, "video_preprocessor_config.json", "chat_template.json", "chat_template.jinja")
# How files that are no processor's fail in transformers.
FAULTS = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError)
# What the constructors of the LLaVA family ask for and older folders do not say.
OF_TOWER = ("patch_size", "vision_feature_select_strategy", "num_additional_image_tokens")


def processor_of(folder: Path, config: Any, tokenizer: Any) -> Any:
    """Return the processor of a model's folder with a tokenizer in it.

    Args:
        folder: of a vision-language model.
        config: its settings.
        tokenizer: knows the tokens that stand for a picture.

    Raises:
        PoolError: files are missing, or cannot be used.
    """
    from transformers import AutoImageProcessor

    if not any((folder / name).is_file() for name in SETTINGS):
        raise PoolError(
            f"{folder} has no {' and no '.join(SETTINGS)}, which say how pictures are prepared; "
            "copy or download the processor's files there"
        )
    try:
        kind = _kind(folder, config)
        images = AutoImageProcessor.from_pretrained(folder, backend="pil")
        settings, _ = kind.get_processor_dict(folder)
        return assembled(kind, images, tokenizer, {**_of_tower(kind, config), **settings})
    except FAULTS as error:
        raise unusable(folder, error) from error


def unusable(folder: Path, error: Exception) -> PoolError:
    """Return what to say of a folder whose processor cannot be made."""
    if isinstance(error, ImportError):
        return PoolError(f"the processor in {folder} lacks a package: {error}; install it")
    return PoolError(
        f"the processor in {folder} cannot be used: {first_line(error)}; copy or download its "
        "files again"
    )


def assembled(kind: Any, images: Any, tokenizer: Any, settings: dict[str, Any]) -> Any:
    """Return a processor of a class, without what only videos need.

    Args:
        kind: the class.
        images: prepares pictures.
        tokenizer: its tokenizer.
        settings: further arguments of the constructor.
    """
    parts = {"image_processor": images, "tokenizer": tokenizer}
    names = kind.get_attributes()
    if set(names) <= set(parts):
        return kind.from_args_and_dict([parts[name] for name in names], settings)
    # A video processor needs torchvision; the constructor wants one and never looks at it.
    still = type(kind.__name__, (kind,), {"check_argument_for_proper_class": _lenient(kind)})
    made: Any = still
    return made.from_args_and_dict([parts.get(name) for name in names], settings)


def save_processor(processor: Any, folder: Path, source: Path | None) -> None:
    """Write a processor's files and its tokenizer's.

    Args:
        processor: to be written.
        folder: of the model.
        source: the folder whose settings the processor has, copied as they are so that what they
            say of videos is kept; None to write the processor's own.
    """
    if source is None:
        processor.save_pretrained(folder)
        return
    processor.tokenizer.save_pretrained(folder)
    for name in FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def marker_of(processor: Any) -> str:
    """Return what a text holds for one picture before the processor puts its tokens there.

    That is the picture's token with the special tokens that the chat template has around it.
    """
    token = str(processor.image_token)
    content = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    if not isinstance(processor.chat_template, str):
        return token
    try:
        # Some processors ask for one of videos to do this; their tokenizers do not.
        text = processor.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=processor.chat_template,
            tokenize=False,
        )
    except (TemplateError, TypeError):  # a template for texts alone
        return token
    before, found, after = str(text).partition(token)
    if not found:
        return token
    special = [str(known) for known in processor.tokenizer.added_tokens_decoder.values()]
    first = next((known for known in special if before.endswith(known)), "")
    last = next((known for known in special if after.startswith(known)), "")
    return f"{first}{token}{last}"


def _kind(folder: Path, config: Any) -> Any:
    """Return the class of a folder's processor: the one that it names, else its settings'."""
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    for name in SETTINGS:
        if (folder / name).is_file():
            content = json.loads((folder / name).read_text("utf-8"))
            named = getattr(transformers, str(content.get("processor_class")), None)
            if named is not None:
                return named
    return PROCESSOR_MAPPING[type(config)]


def _of_tower(kind: Any, config: Any) -> dict[str, Any]:
    """Return what a constructor asks for of the tower, as the model's settings say it."""
    taken = signature(kind.__init__).parameters
    tower = config.vision_config
    known = {
        "patch_size": getattr(tower, "patch_size", None),
        "vision_feature_select_strategy": getattr(config, "vision_feature_select_strategy", None),
        # CLIP's tower has one more word than the picture has patches.
        "num_additional_image_tokens": int(tower.model_type == "clip_vision_model"),
    }
    return {name: known[name] for name in OF_TOWER if name in taken}


def _lenient(kind: Any) -> Any:
    """Return the check of a constructor's arguments, which lets nothing stand for videos."""

    def check(self: Any, name: str, argument: Any) -> Any:
        if argument is None and name not in ("image_processor", "tokenizer"):
            return type(None)
        return kind.check_argument_for_proper_class(self, name, argument)

    return check

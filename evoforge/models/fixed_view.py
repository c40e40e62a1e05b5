"""A LLaVA-NeXT model run as LLaVA: each picture seen once, in the tower's own size.

So was LLaVA-1.6-Mistral-7B run in the evaluation of the paper, and so was EvoVLM-JP released: the
same tower, projector and language model, without tiles of large pictures and without the vector
that ends their lines.

Reference:
    Akiba 2025, Evolutionary optimization of model merging recipes (Nature Machine Intelligence 7).
"""

from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError
from evoforge.models.processor import FAULTS, OF_TOWER, assembled, unusable

# What is LLaVA-NeXT's own, or names the class.
OWN = (
    *("model_type", "architectures", "transformers_version", "_name_or_path"),
    *("image_grid_pinpoints", "use_image_newline_parameter"),
)
# How pictures are prepared, beside their size.
PREPARED = (
    *("do_convert_rgb", "do_normalize", "do_rescale", "image_mean", "image_std"),
    *("rescale_factor", "resample"),
)


def as_llava(config: Any, owner: str) -> Any:
    """Return the settings of a LLaVA-NeXT model as those of a LLaVA model.

    Args:
        config: of the model; not changed.
        owner: whose settings they are, for the error.

    Raises:
        ConfigError: it is no LLaVA-NeXT model.
    """
    from transformers import LlavaConfig, LlavaNextConfig

    if not isinstance(config, LlavaNextConfig):
        raise ConfigError(
            f"model_type must be null for {owner}, which is {config.model_type} and not "
            "llava_next; set models.vision.model_type=null"
        )
    settings = {key: value for key, value in config.to_dict().items() if key not in OWN}
    return LlavaConfig(**settings, architectures=["LlavaForConditionalGeneration"])


def llava_processor(folder: Path, config: Any, tokenizer: Any) -> Any:
    """Return the processor that shows a LLaVA model pictures in its tower's size.

    Args:
        folder: of the LLaVA-NeXT model, whose colours and scales are kept.
        config: the settings as LLaVA's.
        tokenizer: goes into it.

    Raises:
        PoolError: files are missing, or cannot be used.
    """
    from transformers import AutoImageProcessor, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    try:
        given = AutoImageProcessor.from_pretrained(folder, backend="pil").to_dict()
        own, _ = LlavaProcessor.get_processor_dict(folder)
    except FAULTS as error:
        raise unusable(folder, error) from error
    side = config.vision_config.image_size
    images = CLIPImageProcessorPil(
        **{key: given[key] for key in PREPARED if given.get(key) is not None},
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
    )
    of_tower = {
        "patch_size": config.vision_config.patch_size,
        "vision_feature_select_strategy": config.vision_feature_select_strategy,
        # CLIP's tower has one more word than the picture has patches.
        "num_additional_image_tokens": 1,
    }
    known = {key: own[key] for key in ("chat_template", "image_token") if own.get(key) is not None}
    assert set(of_tower) == set(OF_TOWER)
    return assembled(LlavaProcessor, images, tokenizer, {**of_tower, **known})

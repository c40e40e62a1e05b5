"""Tiny vision-language models of each family, each with a text model near its language part.

All of a family share one vocabulary of characters and special tokens, and one small width.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from evoforge.models.pool import Pool, open_pool
from tests.conftest import CHARACTERS, pico_tokenizer

# What stands for a picture, and what is around it, in the vocabularies of all families.
TOKENS = (
    *("<image>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
    *("<start_of_image>", "<image_soft_token>", "<end_of_image>"),
    *("<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<video>"),
    *(f"<row_{row}_col_{col}>" for row in (1, 2) for col in (1, 2)),
    "<|endoftext|>",  # which transformers gives the tokenizers of Qwen2
)
FIRST = len(CHARACTERS) + 3
IDS = {token: FIRST + i for i, token in enumerate(TOKENS)}
ROWS = FIRST + len(TOKENS)
WIDTH = 16

TEXT = {
    "vocab_size": ROWS,
    "hidden_size": WIDTH,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
    "initializer_range": 0.3,
    "tie_word_embeddings": False,
}
TOWER = {
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 4,
    "image_size": 16,
    "initializer_range": 0.3,
}
# Of each message the role and its parts; a picture is what the model has for one.
CHAT = (
    "{% for message in messages %}{{ message['role'] }}: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}MARKER{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}\n{% endfor %}{% if add_generation_prompt %}答え:{% endif %}"
)
MARKERS = {
    "llava": "<image>",
    "llava_next": "<image>",
    "qwen2_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "qwen2_5_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "gemma3": "<start_of_image>",
    "idefics3": "<image>",
    "smolvlm": "<image>",
}
FAMILIES = tuple(MARKERS)


def vlm_tokenizer(family: str) -> Any:
    """Return the tokenizer of a family: characters, and the special tokens of all families."""
    tokenizer = pico_tokenizer()
    tokenizer.add_special_tokens({"extra_special_tokens": list(TOKENS)})
    if family.startswith("qwen"):
        tokenizer.unk_token = "<|endoftext|>"
    if family == "gemma3":
        names = ("boi_token", "image_token", "eoi_token")
        tokenizer._set_model_specific_special_tokens(
            dict(zip(names, TOKENS[5:8], strict=True))  # as its tokenizer_config.json has them
        )
    tokenizer.chat_template = CHAT.replace("MARKER", MARKERS[family])
    return tokenizer


def text_config(family: str, **changes: Any) -> Any:
    """Return the settings of the text model that goes with a family."""
    import transformers

    settings = {**TEXT, **changes}
    if family in ("llava", "llava_next"):
        return transformers.MistralConfig(**{"sliding_window": None, "head_dim": 8, **settings})
    if family in ("qwen2_vl", "qwen2_5_vl"):
        return transformers.Qwen2Config(**settings)
    if family == "gemma3":
        of_kind = {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 8}
        kinds = {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"]}
        tied = {"tie_word_embeddings": True}
        return transformers.Gemma3TextConfig(**{**settings, **tied, **of_kind, **kinds, **changes})
    return transformers.LlamaConfig(**settings)


def vlm_config(family: str, text: Any) -> Any:
    """Return the settings of a vision-language model around the settings of its language part."""
    import transformers as t

    if family in ("llava", "llava_next"):
        kind = t.LlavaConfig if family == "llava" else t.LlavaNextConfig
        pinpoints = {} if family == "llava" else {"image_grid_pinpoints": [[16, 32], [32, 16]]}
        tower = t.CLIPVisionConfig(**TOWER, projection_dim=8)
        return kind(
            vision_config=tower,
            text_config=text,
            image_token_index=IDS["<image>"],
            image_seq_length=16,
            **pinpoints,
        )
    if family in ("qwen2_vl", "qwen2_5_vl"):
        return _qwen_config(family, text)
    if family == "gemma3":
        tower = t.SiglipVisionConfig(**TOWER, vision_use_head=False)
        return t.Gemma3Config(
            vision_config=tower,
            text_config=text,
            mm_tokens_per_image=4,
            boi_token_index=IDS["<start_of_image>"],
            eoi_token_index=IDS["<end_of_image>"],
            image_token_index=IDS["<image_soft_token>"],
            initializer_range=0.3,
        )
    kind, of_tower = (
        (t.Idefics3Config, t.Idefics3VisionConfig)
        if family == "idefics3"
        else (t.SmolVLMConfig, t.SmolVLMVisionConfig)
    )
    return kind(
        vision_config=of_tower(**TOWER).to_dict(),
        text_config=text.to_dict(),
        image_token_id=IDS["<image>"],
        scale_factor=2,
        pad_token_id=2,
    )


def _qwen_config(family: str, text: Any) -> Any:
    import transformers as t

    own = text.to_dict()
    for key in ("model_type", "architectures", "transformers_version"):
        own.pop(key, None)
    own["rope_parameters"] = {**own["rope_parameters"], "mrope_section": [1, 1, 2]}
    tower = {"depth": 1, "num_heads": 2, "patch_size": 4, "initializer_range": 0.3}
    if family == "qwen2_vl":
        kind, of_text, of_tower = t.Qwen2VLConfig, t.Qwen2VLTextConfig, t.Qwen2VLVisionConfig
        tower |= {"embed_dim": 8, "hidden_size": WIDTH, "mlp_ratio": 2}
    else:
        kind = t.Qwen2_5_VLConfig
        of_text, of_tower = t.Qwen2_5_VLTextConfig, t.Qwen2_5_VLVisionConfig
        tower |= {"hidden_size": 8, "intermediate_size": 12, "out_hidden_size": WIDTH}
        tower |= {"window_size": 16, "fullatt_block_indexes": [0]}
    return kind(
        vision_config=of_tower(**tower).to_dict(),
        text_config=of_text(**own).to_dict(),
        image_token_id=IDS["<|image_pad|>"],
        video_token_id=IDS["<|video_pad|>"],
        vision_start_token_id=IDS["<|vision_start|>"],
        vision_end_token_id=IDS["<|vision_end|>"],
        tie_word_embeddings=own["tie_word_embeddings"],
    )


def _save_processor(family: str, folder: Path) -> None:
    """Write the processor's files as those of the hub are, where no video processor is needed."""
    import transformers as t

    tokenizer = vlm_tokenizer(family)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(tokenizer.chat_template, "utf-8")
    side = {"height": 16, "width": 16}
    clip = {"size": {"shortest_edge": 16}, "crop_size": side}
    images, more = {
        "llava": (partial(t.CLIPImageProcessorPil, **clip), {"patch_size": 4}),
        "llava_next": (
            partial(
                t.LlavaNextImageProcessorPil, **clip, image_grid_pinpoints=[[16, 32], [32, 16]]
            ),
            {"patch_size": 4},
        ),
        "gemma3": (partial(t.Gemma3ImageProcessorPil, size=side), {"image_seq_length": 4}),
        "idefics3": (
            partial(
                t.Idefics3ImageProcessorPil,
                size={"longest_edge": 32},
                max_image_size={"longest_edge": 16},
            ),
            {"image_seq_len": 4},
        ),
        "smolvlm": (
            partial(
                t.SmolVLMImageProcessorPil,
                size={"longest_edge": 32},
                max_image_size={"longest_edge": 16},
            ),
            {"image_seq_len": 4},
        ),
    }.get(
        family,
        (
            partial(
                t.Qwen2VLImageProcessorPil, patch_size=4, min_pixels=16 * 8, max_pixels=16 * 24
            ),
            {},
        ),
    )
    images().save_pretrained(folder)
    if family in ("llava", "llava_next"):
        more |= {"num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"}
    names = {
        "llava": "LlavaProcessor",
        "llava_next": "LlavaNextProcessor",
        "qwen2_vl": "Qwen2VLProcessor",
        "qwen2_5_vl": "Qwen2_5_VLProcessor",
        "gemma3": "Gemma3Processor",
        "idefics3": "Idefics3Processor",
        "smolvlm": "SmolVLMProcessor",
    }
    content = {"processor_class": names[family], **more}
    (folder / "processor_config.json").write_text(json.dumps(content), "utf-8")


def make_vlm(
    family: str, root: Path, *, blind: bool = False, of_llm: Any = None, **changes: Any
) -> dict[str, Path]:
    """Write a text model, and a vision-language model whose language part is near it.

    Args:
        family: one of `FAMILIES`.
        root: where the folders `llm` and `vlm` are made.
        blind: whether the text model's vocabulary has none of the tokens for pictures.
        of_llm: changes of the settings of the text model alone.
        changes: of the settings of the text model and of the language part alike.

    Returns:
        The two folders, as `llm` and `vlm`.
    """
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    folders = {"llm": root / "llm", "vlm": root / "vlm"}
    torch.manual_seed(1)
    text = AutoModelForCausalLM.from_config(text_config(family, **{**changes, **(of_llm or {})}))
    torch.manual_seed(2)
    model = AutoModelForImageTextToText.from_config(
        vlm_config(family, text_config(family, **changes))
    )
    with torch.no_grad():
        model.get_decoder().load_state_dict(text.get_decoder().state_dict())
        model.get_output_embeddings().weight.copy_(text.get_output_embeddings().weight)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    if blind:
        # transformers gives Qwen's tokenizers one token more.
        text.resize_token_embeddings(FIRST + family.startswith("qwen"))
    text.save_pretrained(folders["llm"])
    (pico_tokenizer() if blind else vlm_tokenizer(family)).save_pretrained(folders["llm"])
    model.save_pretrained(folders["vlm"])
    _save_processor(family, folders["vlm"])
    return folders


def picture(seed: int = 0, width: int = 24, height: int = 20) -> Image.Image:
    """Return a picture of random colours."""
    torch.manual_seed(seed)
    return Image.fromarray(torch.randint(0, 256, (height, width, 3), dtype=torch.uint8).numpy())


def open_vlm(folders: Mapping[str, Path], *, base: str | None = None, **options: Any) -> Pool:
    """Return the pool of some folders by name; `base` names the one that is the base."""
    sources = {
        name: {"path": str(folder), "role": "base" if name == base else "source"}
        for name, folder in folders.items()
    }
    return open_pool(sources=sources, **options)

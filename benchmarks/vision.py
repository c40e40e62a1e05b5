"""What it saves that a vision tower looks once at each picture, and not once a candidate.

    python benchmarks/vision.py                       # the bundled miniature, and a random VLM
    python benchmarks/vision.py --only random --candidates 3

The random one has a tower of realistic proportions beside a small language model: 12 layers of 384
and 24 x 24 patches, as in a small CLIP. Both ways run in one process, in turns, and must give the
same answers. Measure with nothing else running.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.utils.logging import disable_progress_bar

from evoforge.evaluator._eyes import Eyes
from evoforge.evaluator.hf import Hf
from evoforge.merge.linear import Linear
from evoforge.models.pool import Pool, open_pool
from evoforge.record import ItemResult
from evoforge.task.generation import Generation
from evoforge.task.picture import Picture
from evoforge.zoo.pictures.items import Pictures as Bundled

BUNDLED = {
    "base": {"path": "bundled:pictures/base", "role": "base"},
    "ja": {"path": "bundled:pictures/ja"},
    "vlm": {"path": "bundled:pictures/vlm"},
}
QUESTIONS = ("what is in the picture", "how many are there", "which colour has it")
LETTERS = "abcdefghijklmnopqrstuvwxyz \n:質問答え"
SPECIAL = ("<s>", "</s>", "<pad>", "<image>")
SIDE, PATCH = 336, 14
GIB = 2**30


class Pictures:
    """Questions about random pictures, each about one of its own."""

    def __init__(self, count: int) -> None:
        self._count = count

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of a part."""
        first = {"search": 0, "select": 10_000, "test": 20_000}[part]
        count = self._count if part == "search" else 1
        return [self._row(part, first + i) for i in range(count)]

    def _row(self, part: str, number: int) -> dict[str, Any]:
        colours = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(colours).resize((SIDE, SIDE))
        return {
            "id": f"{part}-{number}",
            "question": f"{QUESTIONS[number % 3]}",
            "answers": ["a"],
            "image": Picture.of(image, f"picture {number}"),
        }


def random_models(folder: Path) -> dict[str, dict[str, str]]:
    """Write a random vision-language model and a text model; return them as sources."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        MistralConfig,
        MistralForCausalLM,
        PreTrainedTokenizerFast,
    )

    vocabulary = {token: i for i, token in enumerate((*SPECIAL, *LETTERS))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )
    text = MistralConfig(
        vocab_size=len(vocabulary),
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        sliding_window=None,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    tower = CLIPVisionConfig(
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=SIDE,
        patch_size=PATCH,
    )
    torch.manual_seed(0)
    sees = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=tower, text_config=text, image_token_index=3)
    )
    sees.save_pretrained(folder / "vlm")
    side = {"height": SIDE, "width": SIDE}
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=side)
    LlavaProcessor(
        images,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder / "vlm")
    MistralForCausalLM(text).save_pretrained(folder / "llm")
    tokenizer.save_pretrained(folder / "llm")
    return {name: {"path": str(folder / name)} for name in ("llm", "vlm")}


def candidates_per_minute(
    evaluator: Hf, pool: Pool, count: int, *, anew: bool
) -> tuple[float, list[tuple[ItemResult, ...]]]:
    """Return how many candidates a minute are merged and judged, and their results.

    Args:
        evaluator: of the pool's models.
        pool: the sources.
        count: candidates.
        anew: whether the tower forgets between candidates what it said.
    """
    merger = Linear(pool, weight={"low": 0, "high": 1})
    items = evaluator.task.items("search")
    times, results = [], []
    evaluator._eyes = Eyes(evaluator.live.model, limit=4 * GIB)
    for i in range(count):
        if anew:
            evaluator._eyes = Eyes(evaluator.live.model, limit=4 * GIB)
        genome = np.random.default_rng(i).random(merger.space.dim)
        candidate = merger.build(merger.recipe(genome))
        start = time.perf_counter()
        found = evaluator.evaluate(candidate, items)
        times.append(time.perf_counter() - start)
        assert found.status == "ok", found.reason
        results.append(found.results)
    print("   ", "anew" if anew else "kept", " ".join(f"{each:.2f}" for each in times), "s")
    # The first candidate pays for all others, which are many.
    return 60 / statistics.median(times[1:]), results


def compare(name: str, pool: Pool, items: Any, given: argparse.Namespace) -> None:
    """Print what is gained with one pool."""
    task = Generation(
        name=name,
        items=items,
        prompt="<image>\n質問: {question}\n答え:",
        max_new_tokens=given.tokens,
        judge="rougel",
        tokens="char",
    )
    evaluator = Hf(task, pool, batch_size=32)
    print(f"{name}: {given.items} pictures, answers of {given.tokens} tokens at most")
    kept, wanted = candidates_per_minute(evaluator, pool, given.candidates, anew=False)
    anew, found = candidates_per_minute(evaluator, pool, given.candidates, anew=True)
    same = "the same answers" if found == wanted else "OTHER ANSWERS"
    print(
        f"    {kept:.1f} candidates a minute with what the tower said kept, {anew:.1f} with the "
        f"tower run for each: x {kept / anew:.2f}; {same}",
        flush=True,
    )


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("--candidates", type=int, default=5, help="at least 2")
    parser.add_argument("--tokens", type=int, default=12)
    parser.add_argument("--only", choices=["bundled", "random"])
    given = parser.parse_args()
    if given.candidates < 2:
        parser.error("--candidates must be at least 2")
    disable_progress_bar()
    print(f"{torch.get_num_threads()} threads")
    if given.only != "random":
        pool = open_pool(sources=BUNDLED, vision={"from": "vlm"})
        compare("bundled:pictures", pool, Bundled(search=given.items, select=1, test=1), given)
    if given.only != "bundled":
        with tempfile.TemporaryDirectory() as folder:
            pool = open_pool(sources=random_models(Path(folder)))
            compare("random", pool, Pictures(given.items), given)


if __name__ == "__main__":
    main()

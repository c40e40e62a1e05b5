"""What a path through layers costs: switching, memory, and time for each token.

    python benchmarks/paths.py                     # random weights for SmolLM2-135M
    python benchmarks/paths.py --smollm2 FOLDER    # its real weights

Times stand beside a reference measured in the same run: switching beside merging the same candidate
into a plain model, a token along a path of N hops beside a token of a plain model of N layers.
Measure with nothing else running.
"""

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from evoforge.candidate import Candidate
from evoforge.evaluator._live import LiveModel
from evoforge.merge.dfs import Dfs
from evoforge.models.pool import open_pool
from evoforge.path import Hop

ROOT = Path(__file__).parents[1]
SMOLLM2 = LlamaConfig(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    max_position_embeddings=8192,
    rms_norm_eps=1e-5,
    rope_theta=100000.0,
    tie_word_embeddings=True,
)
SWITCHES = 200
TOKENS = 40
ROUNDS = 7


def draw(merger: Dfs, num_hops: int, seed: int) -> Candidate:
    """Return a path of so many hops through random layers of all models, with random scales."""
    generator = torch.Generator().manual_seed(seed)
    names = list(merger.depths)
    hops = [Hop(names[0], 0)]
    for _ in range(num_hops - 2):
        name = names[int(torch.randint(len(names), (), generator=generator))]
        layer = int(torch.randint(merger.depths[name], (), generator=generator))
        scale = 0.8 + 0.4 * float(torch.rand((), generator=generator))
        hops.append(Hop(name, layer, round(scale, 6)))
    hops.append(Hop(names[0], merger.depths[names[0]] - 1))
    candidate: Candidate = merger.build(merger.recipe_of(hops))
    return candidate


def resident() -> float:
    """Return the megabytes this process holds."""
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 1e6


def milliseconds(work: Callable[[], object]) -> float:
    """Return how long a piece of work takes."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def switching(name: str, merger: Dfs, lengths: tuple[int, int], limit: float) -> LiveModel:
    """Print the time and the memory of going from one path to another, over 200 of them."""
    live = LiveModel(merger.pool, device="cpu", attention="sdpa")
    paths = [draw(merger, lengths[i % 2], seed=i) for i in range(SWITCHES)]
    first = milliseconds(lambda: live.write(paths[0]))
    before = resident()
    times = [milliseconds(lambda p=p: live.write(p)) for p in paths]  # type: ignore[misc]
    after = resident()
    longest = [t for t, p in zip(times, paths, strict=True) if len(p.walk.hops) == max(lengths)]  # type: ignore[union-attr]
    print(
        f"{name}: switching to a path of {max(lengths)} hops takes {statistics.median(longest):.2f}"
        f" ms (worst {max(longest):.2f}, wanted < {limit:g}); loading its layers took "
        f"{first:.0f} ms: x {statistics.median(longest) / first:.4f}"
    )
    print(
        f"{name}: resident memory {before:.0f} MB before and {after:.0f} MB after {SWITCHES} "
        f"candidates of {min(lengths)} and {max(lengths)} hops: {after - before:+.1f} MB"
    )
    return live


def decoding(name: str, merger: Dfs, live: LiveModel, num_hops: int) -> None:
    """Print the time for each token along a path beside a plain model of as many layers."""
    path = draw(merger, num_hops, seed=0)
    plain = LiveModel(merger.pool, device="cpu", attention="sdpa")
    model = plain.model
    deep = type(model)._from_config(
        _deeper(model.config, num_hops), dtype=merger.pool.dtype, attn_implementation="sdpa"
    )
    deep.load_state_dict({n: path.tensor(n) for n in path.names}, strict=False)
    live.write(path)
    prompt = torch.randint(4, 400, (1, 16), generator=torch.Generator().manual_seed(0))

    def answer(model: LlamaForCausalLM) -> None:
        model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            min_new_tokens=TOKENS,
            max_new_tokens=TOKENS,
            do_sample=False,
            pad_token_id=0,
        )

    pairs = []
    for i in range(ROUNDS + 1):
        # In turns, so that whatever else the machine does meets both.
        models = (live.model, deep.eval()) if i % 2 else (deep.eval(), live.model)
        found = {id(m): milliseconds(lambda m=m: answer(m)) / TOKENS for m in models}  # type: ignore[misc]
        pairs.append((found[id(live.model)], found[id(deep)]))
    mine, other = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
    ratio = statistics.median(a / b for a, b in pairs[1:])
    print(
        f"{name}: {mine:.2f} ms a token along {num_hops} hops, {other:.2f} ms in a plain model of "
        f"{num_hops} layers: x {ratio:.3f} (wanted <= 1.1)"
    )


def _deeper(config: LlamaConfig, num_layers: int) -> LlamaConfig:
    deeper = type(config)(**config.to_dict())
    deeper.num_hidden_layers = num_layers
    if getattr(deeper, "layer_types", None):
        deeper.layer_types = [deeper.layer_types[0]] * num_layers
    return deeper


def bundled() -> Dfs:
    """Return paths through two of the bundled models."""
    sources = {name: {"path": f"bundled:{name}"} for name in ("ja", "math_b")}
    return Dfs(open_pool(sources=sources))


def smollm2(given: Path | None, scratch: Path) -> Dfs:
    """Return paths through SmolLM2-135M and a copy of it."""
    folder = given or scratch / "smollm2"
    if given is None:
        torch.manual_seed(0)
        LlamaForCausalLM(SMOLLM2).to(torch.bfloat16).save_pretrained(folder)
        # Paths need token numbers only; any tokenizer stands for the real one.
        AutoTokenizer.from_pretrained(ROOT / "evoforge/zoo/base").save_pretrained(folder)
    return Dfs(open_pool(sources={name: {"path": str(folder)} for name in ("a", "b")}))


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smollm2", type=Path, help="a folder with SmolLM2-135M")
    given = parser.parse_args().smollm2
    merger = bundled()
    live = switching("bundled", merger, (8, 24), limit=5)
    decoding("bundled", merger, live, 16)
    del live
    with tempfile.TemporaryDirectory() as scratch:
        name = "SmolLM2-135M" + ("" if given else " (random weights)")
        merger = smollm2(given, Path(scratch))
        live = switching(name, merger, (30, 60), limit=20)
        decoding(name, merger, live, 60)


if __name__ == "__main__":
    main()

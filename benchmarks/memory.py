"""Peak memory of merging and exporting one model, as the kernel counts it.

    python benchmarks/memory.py            # a made-up model of 200 MB, every kind of source
    python benchmarks/memory.py --layers 24 --hidden 2048   # 2.5 GB

Each case runs in a process of its own. What is counted is anonymous memory: pages of mapped files
are the page cache's, which gives them back. Whatever the sources take on disk, a merge should need
the live model and a few tensors, and an export no model at all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

CASES = ("linear", "ties", "dare_ties", "della", "lora", "gguf", "export", "export_lora")
MIB = 1 << 20


def anonymous():
    """Return the bytes of anonymous memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("this kernel does not tell RssAnon")


class Peak:
    """The largest anonymous memory inside a `with`, above what there was before it."""

    def __enter__(self):
        self.before = self.most = anonymous()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._over.wait(0.002):
            self.most = max(self.most, anonymous())

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self.most = max(self.most, anonymous())

    @property
    def bytes(self):
        """What was taken at most."""
        return self.most - self.before


def make_sources(folder, layers, hidden, vocab=8000, dtype=torch.bfloat16):
    """Write a base and two models near it, an adapter for the base, and a tokenizer."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4 // 32 * 32,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=max(1, hidden // 256),
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    for name in ("base", "a", "b"):
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight), alpha=0.02)
        model.save_pretrained(folder / name)
        _tokenizer(vocab).save_pretrained(folder / name)
    for name in ("lora_a", "lora_b"):
        _adapter(model, folder / name)


def write_gguf(folder, name, quantised):
    """Write a model of a folder as a GGUF file, in 8 bits or as it is."""
    import gguf
    import numpy as np
    from safetensors.torch import load_file

    config = json.loads((folder / name / "config.json").read_text())
    writer = gguf.GGUFWriter(folder / f"{name}.gguf", "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    vocabulary = _tokenizer(config["vocab_size"]).get_vocab()
    words = sorted(vocabulary, key=vocabulary.get)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * len(words))
    writer.add_token_types([3, 3, 3] + [1] * (len(words) - 3))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = {"q": config["num_attention_heads"], "k": config["num_key_value_heads"]}
    for key, tensor in load_file(folder / name / "model.safetensors").items():
        array = tensor.float().numpy()
        for kind, count in heads.items():
            if f".{kind}_proj." in key:  # llama.cpp keeps rotary pairs side by side
                shape = (count, 2, array.shape[0] // count // 2, array.shape[1])
                array = np.ascontiguousarray(array.reshape(shape).swapaxes(1, 2)).reshape(
                    array.shape
                )
        target = names.get_name(key, try_suffixes=(".weight",))
        kind = gguf.GGMLQuantizationType.Q8_0 if quantised else gguf.GGMLQuantizationType.F32
        if array.ndim == 1 or not quantised:
            writer.add_tensor(target, array)
        else:
            writer.add_tensor(target, gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tokenizer(vocab):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(["<s>", "</s>", "<pad>"])}
    words |= {f"w{i}": i for i in range(3, vocab)}
    made = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def _adapter(model, folder, rank=16):
    from safetensors.torch import save_file

    folder.mkdir()
    tensors = {}
    for name, weight in model.named_parameters():
        if name.endswith(("_proj.weight",)):
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{stem}.lora_A.weight"] = torch.randn(rank, weight.shape[1]) * 0.02
            tensors[f"{stem}.lora_B.weight"] = torch.randn(weight.shape[0], rank) * 0.02
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": rank}
    (folder / "adapter_config.json").write_text(json.dumps(settings))


def _sources(case, folder):
    if case.endswith("lora"):
        lora = {n: {"path": str(folder / f"lora_{n}"), "adapter_of": "base"} for n in "ab"}
        return {"base": {"path": str(folder / "base"), "role": "base"}, **lora}
    if case == "gguf":
        return {n: {"path": str(folder / f"{n}.gguf"), **_role(n)} for n in ("base", "a", "b")}
    return {n: {"path": str(folder / n), **_role(n)} for n in ("base", "a", "b")}


def _role(name):
    return {"role": "base"} if name == "base" else {}


def _merger(case, pool):
    from evoforge.merge.base import merger_class

    method = case if case in ("linear", "ties", "dare_ties", "della") else "ties"
    return merger_class(method)(pool, weight={"low": 0.0, "high": 1.0})


def measure(case, folder):
    """Return what one case takes, in bytes: the live model, merging into it, and exporting."""
    from evoforge.evaluator._live import LiveModel
    from evoforge.export import export
    from evoforge.models.pool import open_pool

    if case == "gguf":
        os.environ["EVOFORGE_CACHE"] = str(folder / "cache")
        for name in ("base", "a", "b"):
            write_gguf(folder, name, quantised=True)
    else:
        open_pool(sources=_sources(case, folder))  # imports
    with Peak() as opened:
        pool = open_pool(sources=_sources(case, folder))
        merger = _merger(case, pool)
        recipe = merger.recipe(merger.space.init)
    found = {"model": _size(pool), "largest": _largest(pool), "open": opened.bytes}
    if case.startswith("export"):
        with Peak() as exported:
            export(merger.build(recipe), recipe, pool, folder / f"out_{case}", card="")
        return {**found, "export": exported.bytes}
    with Peak() as made:
        live = LiveModel(pool, device="cpu", attention="sdpa")
        live.write(merger.build(recipe))
    start = time.perf_counter()
    with Peak() as again:
        genome = merger.space.init
        genome[0] = 0.9
        live.write(merger.build(merger.recipe(genome)))
    seconds = time.perf_counter() - start
    return {**found, "live": made.bytes, "merge": again.bytes, "seconds": seconds}


def _size(pool):
    tensors = pool.tensors(pool.reference.name)
    return sum(tensors.shape(name).numel() for name in tensors) * pool.dtype.itemsize


def _largest(pool):
    tensors = pool.tensors(pool.reference.name)
    return max(tensors.shape(name).numel() for name in tensors) * 4


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--vocabulary", type=int, default=8000)
    parser.add_argument("--cases", nargs="*", default=CASES, choices=CASES)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--case")
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measure(given.case, given.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        make_sources(folder, given.layers, given.hidden, given.vocabulary)
        for case in given.cases:
            command = [sys.executable, __file__, "--case", case, "--folder", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(case, done.stderr.strip().splitlines()[-1])
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            seconds = found.pop("seconds", None)
            parts = [f"{name} {size / MIB:.0f} MiB" for name, size in found.items()]
            print(f"{case}: {', '.join(parts)}" + (f", {seconds:.1f} s" if seconds else ""))


if __name__ == "__main__":
    main()

"""GGUF files, unpacked once into plain model folders that are kept and mapped like any other.

Knows where unpacked files are kept; transformers knows the formats.

The weights get one type. Files that hold floating point keep theirs. Quantised ones become
bfloat16, the type that such models are run in: float16 holds the products of scales and steps a
little better, but its activations overflow in several architectures.
"""

import json
import logging
import math
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError

from evoforge.errors import PoolError
from evoforge.models.files import first_line

log = logging.getLogger(__name__)

ENDING = ".gguf"
FACTS = "gguf.json"
# Below so many bits a weight merging suffers: task vectors are smaller than the steps. Files of
# 4 bits have up to 5 with their scales.
FEW_BITS = 5.5
_PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def cache_folder() -> Path:
    """Return where unpacked files are kept: `EVOFORGE_CACHE`, or `~/.cache/evoforge`."""
    return Path(os.environ.get("EVOFORGE_CACHE") or "~/.cache/evoforge").expanduser()


def unpacked(path: Path) -> Path:
    """Return a model folder with the weights of a GGUF file, made if it is not there.

    Raises:
        PoolError: the file is damaged or of an architecture that transformers cannot read, the
            package gguf is missing, or the cache cannot be written.
    """
    if re.search(r"-\d+-of-\d+\.gguf$", path.name):
        raise PoolError(
            f"{path} is one part of a model; join the parts with llama-gguf-split --merge first"
        )
    folder = cache_folder() / "gguf" / _content_hash(path)
    if _recorded(folder) is None:
        facts = _facts(path)
        log.info("unpacking %s into %s, once", path, folder)
        _unpack(path, folder, facts)
    return folder


def bits(folder: Path) -> float | None:
    """Return the bits a weight of most matrices of a GGUF file that was unpacked into a folder.

    None for other folders.
    """
    found = _recorded(folder)
    return None if found is None else float(found["bits"])


def gguf_file(folder: Path) -> str | None:
    """Return the name of the GGUF file that was unpacked into a folder; None for other folders."""
    found = _recorded(folder)
    return None if found is None else str(found["file"])


def _recorded(folder: Path) -> dict[str, Any] | None:
    """Return the facts that make a folder complete; None where they are missing or unreadable."""
    try:
        found = json.loads((folder / FACTS).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("file"), str):
        return None
    # Folders of other origin may hold a file of this name too.
    given: Any = found.get("bits")
    return found if type(given) in (int, float) and 0 < given < math.inf else None


def _facts(path: Path) -> dict[str, Any]:
    """Return the types of a file's matrices, the bits of most, and the type they will get."""
    try:
        from gguf import GGML_QUANT_SIZES, GGUFReader
    except ImportError as error:
        raise PoolError(
            f"{path} is a GGUF file, reading it needs a package more: pip install evoforge[gguf]"
        ) from error
    try:
        reader = GGUFReader(path)
        _check_merges(_texts(reader, "tokens"), _texts(reader, "merges"))
        tensors = [tensor for tensor in reader.tensors if len(tensor.shape) > 1]
    except (ValueError, IndexError, KeyError, OSError, TypeError, OverflowError) as error:
        raise _damaged(path, error) from error
    types = sorted({tensor.tensor_type.name for tensor in tensors})
    plain = [_PLAIN[name] for name in types if name in _PLAIN]
    # The few matrices that quantisation leaves alone do not decide.
    dtype = plain[0] if len(plain) == len(types) == 1 else torch.bfloat16
    if len(plain) == len(types) > 1:
        dtype = torch.float32
    sizes = Counter[Any]()
    for tensor in tensors:
        sizes[tensor.tensor_type] += int(tensor.n_elements)
    # Embeddings are often finer than the blocks, which decide.
    weights, size = GGML_QUANT_SIZES[sizes.most_common(1)[0][0]] if sizes else (1, 4)
    return {
        "file": path.name,
        "types": types,
        "bits": 8 * size / weights,
        "dtype": str(dtype).removeprefix("torch."),
    }


def _texts(reader: Any, name: str) -> list[str]:
    """Return a list of texts of a file's tokenizer, or none."""
    field = reader.fields.get(f"tokenizer.ggml.{name}")
    return [] if field is None else [str(bytes(field.parts[i]), "utf-8") for i in field.data]


def _check_merges(tokens: Sequence[str], merges: Sequence[str]) -> None:
    """Refuse merges of what is no token: transformers' tokenizers raise nothing that has a name.

    Raises:
        ValueError: there are some.
    """
    known = set(tokens)
    for merge in merges if tokens else ():
        first, _, second = merge.partition(" ")
        for part in (first, second, first + second):
            if part not in known:
                raise ValueError(f"its tokenizer merges {merge!r}, and {part!r} is no token")


def _unpack(path: Path, folder: Path, facts: dict[str, Any]) -> None:
    """Write beside the folder first: a folder that is there is complete."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=folder.name, dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        _make_room(folder, partial.with_name(f"{partial.name}.aside"))
        _convert(path, partial, facts)
        _finish(partial, folder, facts)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _make_room(folder: Path, aside: Path) -> None:
    """Remove a folder that is damaged.

    It is moved aside, not deleted where it is: another process may put a complete one there at any
    time, which is put back. This happens long before a folder that is begun now can be complete.
    """
    if _recorded(folder) is not None:
        return
    with suppress(FileNotFoundError):
        folder.rename(aside)
    if _recorded(aside) is not None:
        with suppress(OSError):  # or there is another complete one already
            aside.rename(folder)
    if _recorded(aside) is None or _recorded(folder) is not None:
        shutil.rmtree(aside, ignore_errors=True)


def _finish(partial: Path, folder: Path, facts: dict[str, Any]) -> None:
    """Give a folder its facts and its name, unless another process was faster."""
    (partial / FACTS).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    partial.chmod(0o755)  # mkdtemp makes folders for their owner alone
    try:
        partial.rename(folder)
    except OSError:
        if _recorded(folder) is None:
            raise


def _convert(path: Path, folder: Path, facts: dict[str, Any]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            dtype=getattr(torch, facts["dtype"]),
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
        )
        # transformers draws what is missing at random, and only logs it.
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            if report[kind]:
                raise ValueError(f"{kind.replace('_', ' ')}: {min(map(str, report[kind]))}")
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except ImportError as error:
        raise PoolError(
            f"reading {path} needs a package more ({error}); pip install evoforge[gguf]"
        ) from error
    # Broken files and unknown formats fail in whatever place they happen to break.
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        raise _damaged(path, error) from error
    except (OSError, SafetensorError) as error:
        raise PoolError(
            f"cannot unpack {path} into {folder.parent}: {first_line(error)}; set "
            "EVOFORGE_CACHE to a folder with room for the unpacked weights"
        ) from error


def _unwritable(folder: Path, error: OSError) -> PoolError:
    return PoolError(
        f"cannot write to {folder.parent}: {error.strerror or error}; set EVOFORGE_CACHE to a "
        "folder with room for the unpacked weights"
    )


def _damaged(path: Path, error: Exception) -> PoolError:
    return PoolError(
        f"{path} is damaged or of a kind that transformers cannot read ({first_line(error)}); copy "
        "it again, or give the model as safetensors"
    )


def _content_hash(path: Path) -> str:
    state = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            state.update(block)
    return str(state.hexdigest())

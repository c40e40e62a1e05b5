"""Takes secrets out of a configuration before it leaves the machine."""

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[redacted]"

# A tokenizer is no token, tokens are counted, and a keyword is no key.
NAME = re.compile(r"token(?!iz|s)|secret|passw(?:or)?d|credential|key(?!word)", re.IGNORECASE)
VALUE = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}|\bwandb_v\d_\w{16,}|\bgh[pousr]_\w{16,}|\bsk-[\w-]{16,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user:password@host
)
# W&B's older keys look like git commits, which pin the sources and must stay readable.
HEX = re.compile(r"\b[0-9a-f]{40}\b")
COMMIT = re.compile(r"revision|commit|sha|hash", re.IGNORECASE)
ENVIRONMENT = ("WANDB_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")


def redact(content: Any, name: str = "") -> Any:
    """Return a JSON value without its secrets.

    Args:
        content: mappings, lists and plain values.
        name: the key under which the value stands.
    """
    if isinstance(content, Mapping):
        return {key: redact(value, str(key)) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [redact(value, name) for value in content]
    if not isinstance(content, str):
        return content  # max_new_tokens: 256 is a number and no secret
    if content and NAME.search(name):
        return HIDDEN
    for variable in ENVIRONMENT:
        if secret := os.environ.get(variable):
            content = content.replace(secret, HIDDEN)
    content = VALUE.sub(HIDDEN, content)
    return content if COMMIT.search(name) else HEX.sub(HIDDEN, content)

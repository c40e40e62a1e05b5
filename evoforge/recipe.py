"""A recipe: everything that fixes a merged model's weights, as canonical JSON.

The hash of a recipe is the candidate's identity, the cache key and what is exported. A recipe
knows sources by name and content hash; it does not know where they lie.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

# Raised when the same recipe would give other weights than before.
FORMAT = 2


def canonical(content: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(content: Any) -> str:
    """Return the hash of a value's canonical JSON: 32 hexadecimal digits."""
    return text_digest(canonical(content))


def text_digest(text: str) -> str:
    """Return the hash of a text: 32 hexadecimal digits."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Recipe:
    """How to make one merged model.

    Args:
        content: JSON values only: `method`, `options`, `base`, `sources` (name and content hash),
            `values` (group -> source -> parameter -> number), `dtype`, `format`.
    """

    content: Mapping[str, Any]

    @cached_property
    def text(self) -> str:
        """The canonical JSON."""
        return canonical(self.content)

    @cached_property
    def hash(self) -> str:
        """The identity: 32 hexadecimal digits."""
        return digest(self.content)

    @staticmethod
    def from_text(text: str) -> "Recipe":
        """Read a recipe back from its canonical JSON."""
        return Recipe(json.loads(text))

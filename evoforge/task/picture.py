"""A picture that an item shows: the bytes of an image file, read when they are asked for.

Knows files and formats; how a model sees a picture is the evaluator's affair.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import xxhash
from PIL import Image

from evoforge.errors import ConfigError


@dataclass(frozen=True)
class Picture:
    """One picture; equal digests, equal pictures.

    Args:
        digest: of the file's bytes.
        where: it comes from, for errors.
        read: returns the file's bytes.
    """

    digest: str
    where: str = field(compare=False)
    read: Callable[[], bytes] = field(compare=False, repr=False)

    @staticmethod
    def of(value: Any, where: str, folder: Path | None = None) -> "Picture":
        """Return the picture that a row holds.

        Args:
            value: a path, the bytes of a file, a mapping with `bytes` or `path` as Parquet files
                of `datasets` have it, or a decoded picture of Pillow.
            where: the row is from, for errors.
            folder: what a path is relative to.

        Raises:
            ConfigError: there is no such file, or it is no picture.
        """
        if isinstance(value, Mapping):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, str | Path):
            path = (folder or Path()) / Path(value).expanduser()
            return _checked(Picture(_digest(_bytes_of(path, where)), str(path), path.read_bytes))
        if isinstance(value, Image.Image):
            value = _png(value)
        if not isinstance(value, bytes) or not value:
            raise ConfigError(
                f"{where}: image must be a file or the bytes of one, got {type(value).__name__}"
            )
        data = value
        return _checked(Picture(_digest(data), where, lambda: data))

    def image(self) -> Image.Image:
        """Return the decoded picture, in RGB.

        Raises:
            ConfigError: it does not decode.
        """
        try:
            with Image.open(BytesIO(self.read())) as opened:
                return opened.convert("RGB")
        # Pillow's decoders have a name of their own for each fault of a file.
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ConfigError(f"{self.where} does not decode as a picture: {error}") from error


def _checked(picture: Picture) -> Picture:
    """Refuse what is no picture by its first bytes; to decode all of it would take long."""
    try:
        with Image.open(BytesIO(picture.read())):
            return picture
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{picture.where} is no picture: {error}; replace the file") from error


def _digest(data: bytes) -> str:
    return str(xxhash.xxh3_128(data).hexdigest())


def _bytes_of(path: Path, where: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{where}: cannot read {path}: {error.strerror}") from error


def _png(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()

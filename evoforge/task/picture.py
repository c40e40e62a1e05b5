"""A picture that an item shows: the bytes of an image file, read when they are asked for.

Knows files and formats; how a model sees a picture is the evaluator's affair.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import xxhash
from PIL import Image, ImageOps, UnidentifiedImageError

from evoforge.errors import ConfigError

# Pillow's decoders have a name of their own for each fault of a file.
BROKEN: Final = (
    *(OSError, ValueError, SyntaxError, RuntimeError, struct.error),
    Image.DecompressionBombError,
)
# A side of a picture is at most so many times the other. Some processors make the short side as
# long as the tower's first, so that a line of a few kilobytes takes gigabytes.
STRIP: Final = 200
# Characters of a name that errors show.
SHOWN: Final = 200


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
    def of(
        value: Any,
        where: str,
        folders: Sequence[Path] = (Path(),),
        again: Callable[[], bytes] | None = None,
    ) -> "Picture":
        """Return the picture that a row holds.

        Args:
            value: a path, the bytes of a file, a mapping with `bytes` or `path` as Parquet files
                of `datasets` have it, a decoded picture of Pillow, or one of ours.
            where: the row is from, for errors.
            folders: what a path is relative to; the first that has the file.
            again: reads the bytes once more, so that they need not be held in memory.

        Raises:
            ConfigError: there is no such file, or it is no picture.
        """
        if isinstance(value, Picture):
            return value
        if isinstance(value, Mapping):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, str | Path):
            path, data = _found(value, folders, where)
            return _checked(data, f"{path} ({where})", path.read_bytes)
        if isinstance(value, Image.Image):
            value = _png(value)
        if not isinstance(value, bytes) or not value:
            raise ConfigError(
                f"{where}: image must be a file or the bytes of one, got {type(value).__name__}"
            )
        data = value
        return _checked(data, where, again or (lambda: data))

    def image(self) -> Image.Image:
        """Return the decoded picture, in RGB, turned as the camera says.

        Raises:
            ConfigError: it does not decode, or is a strip.
        """
        try:
            with Image.open(BytesIO(self.read())) as opened:
                short, long = sorted(opened.size)
                if long <= STRIP * short:
                    return _coloured(ImageOps.exif_transpose(opened))
        except BROKEN as error:
            raise ConfigError(f"{self.where} does not decode as a picture: {error}") from error
        raise ConfigError(
            f"{self.where} must have no side more than {STRIP} times as long as the other, got "
            f"{long} by {short} pixels"
        )


def _coloured(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its levels are fractions of nothing known; save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # 16 bits, of which Pillow would make white all above 255
        image = image.convert("I").point(lambda level: level / 256).convert("L")
    return image.convert("RGB")


def _found(value: str | Path, folders: Sequence[Path], where: str) -> tuple[Path, bytes]:
    """Return the first file of a name in some folders, and its bytes."""
    name = str(value)
    if "://" in name or name.startswith("data:"):
        raise ConfigError(
            f"{where}: image must be a file, not an address, got {name[:SHOWN]}; fetch it"
        )
    try:
        places = [folder / Path(value).expanduser() for folder in folders]
        path = next((place for place in places if place.is_file()), places[0])
        if path.exists() and not path.is_file():
            raise ConfigError(f"{where}: cannot read {path}: it is no file")
        return path, path.read_bytes()
    # Some names no file can have: too long, with a zero in it, or in nobody's home.
    except (OSError, ValueError, RuntimeError) as error:
        place = str(getattr(error, "filename", None) or name)[:SHOWN]
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{where}: cannot read {place}: {reason}") from error


def _checked(data: bytes, where: str, read: Callable[[], bytes]) -> Picture:
    """Refuse what is no picture by its first bytes; to decode all of it would take long."""
    try:
        with Image.open(BytesIO(data)):
            return Picture(str(xxhash.xxh3_128(data).hexdigest()), where, read)
    except BROKEN as error:
        raise ConfigError(
            f"{where} is no picture ({_reason(error)}); replace the file, or take the row out"
        ) from error


def _reason(error: Exception) -> str:
    unknown = isinstance(error, UnidentifiedImageError)
    return "of no known format" if unknown else str(error)


def _png(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()

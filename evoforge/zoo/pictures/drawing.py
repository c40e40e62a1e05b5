"""Pictures of scenes: 32 by 32 pixels, drawn by hand and written as PNG.

The same scene and variant give the same bytes everywhere: no library's drawing or compression
takes part.
"""

import math
import random
import struct
import zlib
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evoforge.zoo.pictures.scenes import Scene

SIZE: Final = 32
CELL: Final = 16
# Every pixel of a shape's edge is the mean of so many by so many points.
SAMPLES: Final = 4
RADII: Final = (5.5, 6.0, 6.5, 7.0)
PALETTE: Final = (
    (215, 35, 35),
    (40, 80, 220),
    (35, 150, 55),
    (240, 215, 40),
    (245, 130, 25),
    (245, 140, 190),
    (130, 50, 160),
    (30, 30, 30),
)
SHADE: Final = 14

Mask = NDArray[np.float64]


def pixels(scene: Scene, variant: str) -> NDArray[np.uint8]:
    """Draw a scene, (32, 32, 3); the variant moves, resizes and shades what is drawn."""
    rng = random.Random(f"picture {scene.key} {variant}")
    background = [rng.randint(225, 250) for _ in range(3)]
    picture = np.empty((SIZE, SIZE, 3))
    picture[:] = background
    for cell, (colour, shape) in scene.things():
        radius = rng.choice(RADII)
        room = int(CELL / 2 - radius)
        top = cell // 2 * CELL + rng.randint(-room, room)
        left = cell % 2 * CELL + rng.randint(-room, room)
        top, left = (min(max(start, 0), SIZE - CELL) for start in (top, left))
        shades = [c + rng.randint(-SHADE, SHADE) for c in PALETTE[colour]]
        cover = mask(shape, radius)[..., None]
        area = picture[top : top + CELL, left : left + CELL]
        area += cover * (np.clip(shades, 0, 255) - area)
    return np.rint(picture).astype(np.uint8)


def png(picture: NDArray[np.uint8]) -> bytes:
    """Write pixels, (height, width, 3), as PNG, not compressed."""
    height, width, _ = picture.shape
    rows = b"".join(b"\0" + row.tobytes() for row in picture)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    end = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + end


@cache
def mask(shape: int, radius: float) -> Mask:
    """Return how much of each pixel of a cell a shape covers, (16, 16) in [0, 1]."""
    points = (np.arange(CELL * SAMPLES) + 0.5) / SAMPLES - CELL / 2
    y, x = np.meshgrid(points / radius, points / radius, indexing="ij")
    inside = _inside(shape, x, y).astype(np.float64)
    cover: Mask = inside.reshape(CELL, SAMPLES, CELL, SAMPLES).mean(axis=(1, 3))
    return cover


def _inside(shape: int, x: Mask, y: Mask) -> NDArray[np.bool_]:
    """Tell which points, in radii from the middle and y downwards, are in a shape of `SHAPES`."""
    square = x**2 + y**2
    if shape == 0:
        return square < 1
    if shape == 1:
        return np.maximum(abs(x), abs(y)) < 0.85
    if shape == 2:
        return (y < 0.8) & (2 * abs(x) < y + 1)
    if shape == 3:
        return _star(x, y)
    if shape == 4:
        return (np.minimum(abs(x), abs(y)) < 0.3) & (np.maximum(abs(x), abs(y)) < 1)
    if shape == 5:
        lobes = (abs(x) - 0.48) ** 2 + (y + 0.4) ** 2 < 0.25
        return lobes | ((y > -0.4) & (abs(x) * 0.98 + (y + 0.4) * 0.68 < 0.96))
    if shape == 6:
        return (square < 1) & ((x - 0.5) ** 2 + (y + 0.2) ** 2 > 0.6)
    return (square < 1) & (square > 0.3)


def _star(x: Mask, y: Mask) -> NDArray[np.bool_]:
    """Take a point if at least four of the five lines of a pentagram have it on the inner side."""
    count = np.zeros(x.shape)
    for point in range(5):
        angle = math.tau * point / 5
        # Rounded, so that the last bit of a sine decides about no pixel.
        count += x * round(math.sin(angle), 6) + y * round(math.cos(angle), 6) < 0.33
    return count >= 4

"""The colours of things and backgrounds, each with a second tone for stripes and dots."""

from __future__ import annotations

from types import MappingProxyType
from typing import TypeAlias

Rgb: TypeAlias = tuple[int, int, int]

#: Chosen apart: no two tones of different colours are nearer than 45 levels (a test measures it).
COLOURS: MappingProxyType[str, Rgb] = MappingProxyType(
    {
        "red": (220, 40, 40),
        "orange": (245, 140, 30),
        "yellow": (250, 220, 50),
        "green": (50, 170, 75),
        "cyan": (60, 205, 220),
        "blue": (45, 85, 215),
        "purple": (135, 60, 175),
        "pink": (250, 150, 195),
        "white": (250, 250, 250),
        "black": (20, 20, 20),
    }
)


def second_tone(colour: Rgb) -> Rgb:
    """What stripes and dots on that colour are painted with: darker, or lighter on near black."""
    if max(colour) < 60:
        return (colour[0] + 60, colour[1] + 60, colour[2] + 60)
    return (round(colour[0] * 0.62), round(colour[1] * 0.62), round(colour[2] * 0.62))


def distance(one: Rgb, other: Rgb) -> float:
    """Euclidean, in levels (0..255 per channel)."""
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5)

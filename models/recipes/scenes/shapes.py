"""Outlines of the shapes, in a square from -1 to 1 with y downwards."""

from __future__ import annotations

from math import cos, pi, sin
from types import MappingProxyType
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]


def _round(steps: int = 40) -> list[Point]:
    return [(cos(2 * pi * i / steps), sin(2 * pi * i / steps)) for i in range(steps)]


def _star() -> list[Point]:
    radii = [1.0, 0.42] * 5
    return [
        (radius * sin(pi * i / 5), 0.08 - radius * cos(pi * i / 5))
        for i, radius in enumerate(radii)
    ]


def _heart(steps: int = 48) -> list[Point]:
    angles = [2 * pi * i / steps for i in range(steps)]
    return [
        (
            sin(a) ** 3,
            -(13 * cos(a) - 5 * cos(2 * a) - 2 * cos(3 * a) - cos(4 * a)) / 16 - 0.15,
        )
        for a in angles
    ]


def _cross(arm: float = 0.33) -> list[Point]:
    corner = [(arm, -1.0), (arm, -arm), (1.0, -arm)]
    quarters = [corner]
    for _ in range(3):
        quarters.append([(-y, x) for x, y in quarters[-1]])
    return [point for quarter in quarters for point in quarter]


SQUARE_SIDE = 0.88  # so that a square looks as large as a circle of the same size

OUTLINES: MappingProxyType[str, list[Point]] = MappingProxyType(
    {
        "circle": _round(),
        "square": [
            (x * SQUARE_SIDE, y * SQUARE_SIDE) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ],
        "triangle": [(0.0, -0.95), (1.0, 0.8), (-1.0, 0.8)],
        "star": _star(),
        "heart": _heart(),
        "diamond": [(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)],
        "cross": _cross(),
        "ring": _round(),
    }
)
HOLE = 0.52  # of a ring, as a part of its radius

SHAPES = tuple(OUTLINES)


def hole(shape: str) -> list[Point]:
    """The outline of what is cut out of the shape; empty but for a ring."""
    return [(x * HOLE, y * HOLE) for x, y in _round()] if shape == "ring" else []

"""The colours of all pages: text is read and marks are seen on each surface, light and dark."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

TOKENS = Path(__file__).resolve().parents[4] / "browser_node/web/src/styles/tokens.css"
#: WCAG 2.2: 1.4.3 for text, 1.4.11 for what one has to see of controls and pictures.
TEXT, MARKS = 4.5, 3.0
SURFACES = ("paper", "surface", "sunken")
SOFT = ("accent-soft", "good-soft", "waiting-soft", "wrong-soft")
WORDS = ("ink", "ink-soft", "accent", "good", "waiting", "wrong")
PAIRS = [
    *product(WORDS, (*SURFACES, *SOFT), [TEXT]),
    *product(("on-accent",), ("accent", "accent-over"), [TEXT]),
    *product(("edge", "waiting-fill"), SURFACES, [MARKS]),
]


def colours(scheme: str) -> dict[str, tuple[int, ...]]:
    """By name; dark changes some of the light ones."""
    light, dark = TOKENS.read_text("utf-8").split("@media (prefers-color-scheme: dark)")
    text = light if scheme == "light" else light + dark
    found = re.findall(r"--([\w-]+): #([0-9a-f]{6});", text)
    return {name: tuple(bytes.fromhex(digits)) for name, digits in found}


def luminance(colour: tuple[int, ...]) -> float:
    parts = [part / 255 for part in colour]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough_on_every_surface(scheme: str) -> None:
    found = colours(scheme)
    poor = {
        f"{front} on {back}": round(contrast(found[front], found[back]), 2)
        for front, back, least in PAIRS
        if contrast(found[front], found[back]) < least
    }
    assert poor == {}

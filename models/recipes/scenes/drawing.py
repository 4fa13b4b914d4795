"""Draws a scene: smooth edges, stripes and dots."""

from __future__ import annotations

from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from scenes.palette import COLOURS, Rgb, second_tone
from scenes.scene import SIDE, Scene, Thing
from scenes.shapes import OUTLINES, Point, hole

FINE = 4  # drawn that much larger, then averaged: that smooths the edges
PERIOD = 8  # pixels from stripe to stripe and from dot to dot
DOT = 2.3  # pixels, the radius of a dot
JITTER = 4  # levels by which a painted colour is off, as no two paints are the same


def draw(scene: Scene, random: Random) -> npt.NDArray[np.uint8]:
    """RGB, [64, 64, 3]. The random source varies the colours a little."""
    tone = _varied(COLOURS[scene.background], random)
    picture = _painted(tone, scene.background_texture, 0, 0)
    for thing in scene.things:
        tone = _varied(COLOURS[thing.colour], random)
        paint = _painted(tone, thing.texture, thing.x, thing.y)
        picture.paste(paint, mask=silhouette(thing))
    return np.asarray(picture.reduce(FINE))


def silhouette(thing: Thing) -> Image.Image:
    """White where the thing is, FINE times as large as the picture."""
    mask = Image.new("L", (SIDE * FINE, SIDE * FINE))
    pen = ImageDraw.Draw(mask)
    pen.polygon(_outline(OUTLINES[thing.shape], thing), fill=255)
    if inner := hole(thing.shape):
        pen.polygon(_outline(inner, thing), fill=0)
    return mask


def _outline(points: list[Point], thing: Thing) -> list[Point]:
    scale = thing.radius * FINE
    return [(thing.x * FINE + x * scale, thing.y * FINE + y * scale) for x, y in points]


def _varied(colour: Rgb, random: Random) -> Rgb:
    red, green, blue = (
        min(255, max(0, level + random.randint(-JITTER, JITTER))) for level in colour
    )
    return red, green, blue


def _painted(colour: Rgb, texture: str, x: float, y: float) -> Image.Image:
    """A whole sheet of the paint, its pattern laid so that it starts at (x, y)."""
    sheet = Image.new("RGB", (SIDE * FINE, SIDE * FINE), colour)
    if texture == "striped":
        _stripes(ImageDraw.Draw(sheet), second_tone(colour), x + y)
    elif texture == "dotted":
        _dots(ImageDraw.Draw(sheet), second_tone(colour), x % PERIOD, y % PERIOD)
    return sheet


def _stripes(pen: ImageDraw.ImageDraw, colour: Rgb, start: float) -> None:
    side, width = SIDE * FINE, PERIOD * FINE / 2
    at = (start % PERIOD) * FINE - PERIOD * FINE
    while at < 2 * side:
        pen.polygon(
            [(at, 0), (at + width, 0), (at + width - side, side), (at - side, side)], colour
        )
        at += PERIOD * FINE


def _dots(pen: ImageDraw.ImageDraw, colour: Rgb, left: float, top: float) -> None:
    for row in range(-1, SIDE // PERIOD + 1):
        for column in range(-1, SIDE // PERIOD + 1):
            x, y = left + column * PERIOD, top + row * PERIOD
            box = (x - DOT, y - DOT, x + DOT, y + DOT)
            pen.ellipse([edge * FINE for edge in box], colour)

"""Says what things a picture shows, from its pixels alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from scenes.drawing import silhouette
from scenes.palette import COLOURS, second_tone
from scenes.scene import SIDE, Thing
from scenes.shapes import SHAPES

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.float32]

EDGE = 2  # pixels: the frame from which the background is read; scenes leave 3 free
APART = 48.0  # levels: a pixel further from the background belongs to a thing
SMALLEST = 30  # pixels of a thing; the smallest that is drawn, a star, has about 45
LIKE = 0.62  # how much of a shape and its outline must overlap to be taken for it
SLIM = 0.65  # a thing's short side is at least that part of its long side
TEMPLATE = 24  # pixels, the side to which a thing is brought before it is compared
NAMES = tuple(COLOURS)
TONES = np.array([tone for name in NAMES for tone in (COLOURS[name], second_tone(COLOURS[name]))])


@dataclass(frozen=True)
class Seen:
    """shape is empty where the thing looks like none of them; x, y is its middle in pixels."""

    colour: str
    shape: str
    x: float
    y: float
    area: int


def look_at(picture: npt.NDArray[np.uint8]) -> list[Seen]:
    """The things in an RGB picture [64, 64, 3], the largest first."""
    pixels = picture.astype(np.float32)
    nearest = _nearest_colour(pixels)
    masks = [
        mask
        for whole in _pieces(_in_front(pixels, nearest))
        for mask in _parted_by_colour(whole, nearest)
    ]
    seen = [_named(mask, nearest) for mask in masks]
    return sorted(seen, key=lambda thing: -thing.area)


def background(picture: npt.NDArray[np.uint8]) -> str:
    """The colour of the picture's edge."""
    return _edge_colour(_nearest_colour(picture.astype(np.float32)))


def _nearest_colour(pixels: Pixels) -> npt.NDArray[np.intp]:
    """[64, 64] places in NAMES; both tones of a colour count for it."""
    far = ((pixels[:, :, None, :] - TONES) ** 2).sum(-1)
    return np.asarray(far.argmin(-1) // 2)


def _frame() -> Mask:
    frame = np.ones((SIDE, SIDE), bool)
    frame[EDGE:-EDGE, EDGE:-EDGE] = False
    return frame


def _edge_colour(nearest: npt.NDArray[np.intp]) -> str:
    return NAMES[np.bincount(nearest[_frame()], minlength=len(NAMES)).argmax()]


def _in_front(pixels: Pixels, nearest: npt.NDArray[np.intp]) -> Mask:
    """What is neither the background nor between its two tones."""
    frame, name = _frame(), _edge_colour(nearest)
    ground = pixels[frame & (nearest == NAMES.index(name))]
    ideal = np.array(COLOURS[name], np.float32)
    darker = np.array(second_tone(COLOURS[name]), np.float32)
    is_dark = ((ground - darker) ** 2).sum(1) < ((ground - ideal) ** 2).sum(1)
    light = np.median(ground[~is_dark], 0) if (~is_dark).any() else ideal
    dark = np.median(ground[is_dark], 0) if is_dark.mean() > 0.1 else light
    return _distance_to_line(pixels, light, dark) > APART


def _distance_to_line(pixels: Pixels, start: Pixels, end: Pixels) -> Pixels:
    way = end - start
    along = ((pixels - start) @ way) / max(float(way @ way), 1e-6)
    foot = start + np.clip(along, 0, 1)[..., None] * way
    return np.asarray(np.sqrt(((pixels - foot) ** 2).sum(-1)), np.float32)


def _pieces(mask: Mask) -> list[Mask]:
    """Connected parts, those too small left out."""
    left, found = mask.copy(), []
    while left.any():
        seed = np.zeros_like(mask)
        seed.flat[int(left.argmax())] = True
        piece = _grown(seed, left)
        left &= ~piece
        if piece.sum() >= SMALLEST:
            found.append(piece)
    return found


def _grown(piece: Mask, within: Mask) -> Mask:
    while True:
        wider = piece.copy()
        wider[1:] |= piece[:-1]
        wider[:-1] |= piece[1:]
        wider[:, 1:] |= piece[:, :-1]
        wider[:, :-1] |= piece[:, 1:]
        wider &= within
        if (wider == piece).all():
            return piece
        piece = wider


def _parted_by_colour(mask: Mask, nearest: npt.NDArray[np.intp]) -> list[Mask]:
    """Two things of different colours that touch are two."""
    shares = np.bincount(nearest[mask], minlength=len(NAMES)) / mask.sum()
    if (shares > 0.3).sum() < 2:
        return [mask]
    parts = [
        piece
        for name in np.flatnonzero(shares > 0.3)
        for piece in _pieces(mask & (nearest == name))
    ]
    return parts or [mask]


def _named(mask: Mask, nearest: npt.NDArray[np.intp]) -> Seen:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    colour = NAMES[np.bincount(nearest[mask], minlength=len(NAMES)).argmax()]
    x, y = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    return Seen(colour, _shape(mask), float(x), float(y), int(mask.sum()))


def _shape(mask: Mask) -> str:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    if min(height, width) < SLIM * max(height, width):
        return ""
    thing = _brought_to_size(mask)
    likeness, best = max((_likeness(thing, template), shape) for shape, template in _templates())
    return best if likeness > LIKE else ""


def _likeness(one: Pixels, other: Pixels) -> float:
    return float(np.minimum(one, other).sum() / np.maximum(one, other).sum())


def _brought_to_size(mask: Mask) -> Pixels:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    square = image.crop(image.getbbox()).resize((TEMPLATE, TEMPLATE), Image.Resampling.BILINEAR)
    return np.asarray(square, np.float32) / np.float32(255)


@cache
def _templates() -> list[tuple[str, Pixels]]:
    """Each shape at two sizes: small ones lose their corners."""
    return [
        (shape, _brought_to_size(np.asarray(silhouette(thing).reduce(4)) > 127))
        for shape in SHAPES
        for radius in (7.0, 13.0)
        for thing in [Thing(shape, "red", "big", "plain", SIDE / 2, SIDE / 2, radius)]
    ]

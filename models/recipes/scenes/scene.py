"""What a picture shows, and how one is thought up."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random

from scenes.palette import COLOURS, distance, second_tone
from scenes.shapes import SHAPES

SIDE = 64  # pixels
MARGIN = 3  # pixels that things leave free at the edge: there the judge reads the background
GAP = 3  # pixels between things, so that the judge can tell them apart
#: From the middle of a thing to its edge, in pixels.
SIZES = {"small": (7.0, 8.0), "medium": (9.5, 11.0), "big": (13.0, 14.5)}
TEXTURES = ("plain", "striped", "dotted")
#: Parts of a picture: sign of the shift from its middle.
PLACES = {
    "centre": (0, 0),
    "left": (-1, 0),
    "right": (1, 0),
    "top": (0, -1),
    "bottom": (0, 1),
    "top left": (-1, -1),
    "top right": (1, -1),
    "bottom left": (-1, 1),
    "bottom right": (1, 1),
}
RELATIONS = ("left", "right", "above", "below")
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
#: One in so many combinations is never drawn for training.
HELD_OUT = 10


@dataclass(frozen=True)
class Thing:
    shape: str
    colour: str
    size: str
    texture: str
    x: float  # middle, pixels from the left
    y: float  # middle, pixels from the top
    radius: float  # pixels


@dataclass(frozen=True)
class Scene:
    """`place` is set for one thing; `relation` is of the first of two to the second, or empty."""

    things: tuple[Thing, ...]
    background: str
    background_texture: str
    place: str = ""
    relation: str = ""

    @property
    def count(self) -> int:
        """How many alike things there are; 1 where they differ."""
        kinds = {(thing.shape, thing.colour) for thing in self.things}
        return len(self.things) if len(kinds) == 1 else 1


def can_be_told_apart(one: str, other: str) -> bool:
    """Whether no tone of one colour is near a tone of the other."""
    first, second = COLOURS[one], COLOURS[other]
    tones = [(a, b) for a in (first, second_tone(first)) for b in (second, second_tone(second))]
    return min(distance(a, b) for a, b in tones) > 45


def is_held_out(scene: Scene) -> bool:
    """Whether the scene's combination is kept from training.

    One kind of thing: its shape, colour and background. Two: their shapes and colours, whatever
    their order and relation. Every shape in every colour is trained, in other company.
    """
    kinds = sorted({f"{thing.colour} {thing.shape}" for thing in scene.things})
    if len(kinds) == 1:
        kinds.append(scene.background)
    digest = hashlib.sha256("; ".join(kinds).encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT == 0


def is_fine(thing: Thing) -> bool:
    """Whether a blur of a pixel or two makes another shape of it."""
    return thing.shape in ("star", "cross") and thing.size == "small"


def think_up(random: Random, *, held_out: bool = False, kind: str = "") -> Scene:
    """A scene that is (not) held out. kind: "one", "several", "two", or empty for any."""
    while True:
        chosen = kind or random.choices(("one", "several", "two"), (42, 12, 46))[0]
        scene = {"one": _one, "several": _several, "two": _two}[chosen](random)
        if is_held_out(scene) == held_out:
            return scene


def _colours(random: Random, count: int) -> tuple[str, list[str]]:
    """A background, and colours of things that can be seen on it."""
    names = list(COLOURS)
    weights = [6 if name == "white" else 2 if name == "black" else 1.5 for name in names]
    background = random.choices(names, weights)[0]
    seen = [name for name in names if name != background and can_be_told_apart(name, background)]
    return background, random.sample(seen, count)


def _texture(random: Random, plain: int) -> str:
    return random.choices(TEXTURES, (plain, 1, 1))[0]


def _size(random: Random) -> tuple[str, float]:
    size = random.choice(tuple(SIZES))
    return size, random.uniform(*SIZES[size])


def _one(random: Random) -> Scene:
    background, (colour,) = _colours(random, 1)
    size, radius = _size(random)
    place = random.choices(tuple(PLACES), (6, *[1] * 8))[0]
    x, y = (_shifted(random, sign, radius) for sign in PLACES[place])
    thing = Thing(random.choice(SHAPES), colour, size, _texture(random, 6), x, y, radius)
    return Scene((thing,), background, _texture(random, 8), place=place)


def _shifted(random: Random, sign: int, radius: float) -> float:
    room = SIDE / 2 - MARGIN - radius
    return SIDE / 2 + sign * room * random.uniform(0.75, 1) + (0 if sign else random.uniform(-2, 2))


def _several(random: Random) -> Scene:
    background, (colour,) = _colours(random, 1)
    shape, texture = random.choice(SHAPES), _texture(random, 8)
    count = random.randint(2, 4)
    size = random.choice(("small", "medium") if count < 4 else ("small",))
    while True:
        radius = random.uniform(*SIZES[size])
        things = _scattered(random, Thing(shape, colour, size, texture, 0, 0, radius), count)
        if things:
            return Scene(things, background, _texture(random, 10))


def _scattered(random: Random, like: Thing, count: int) -> tuple[Thing, ...]:
    """Copies that do not touch; empty where they did not fit."""
    low, high = MARGIN + like.radius, SIDE - MARGIN - like.radius
    placed: list[tuple[float, float]] = []
    for _ in range(30):
        x, y = random.uniform(low, high), random.uniform(low, high)
        if all(max(abs(x - a), abs(y - b)) >= 2 * like.radius + GAP for a, b in placed):
            placed.append((x, y))
        if len(placed) == count:
            return tuple(
                Thing(like.shape, like.colour, like.size, like.texture, x, y, like.radius)
                for x, y in placed
            )
    return ()


def _two(random: Random) -> Scene:
    background, colours = _colours(random, 2)
    shapes = [random.choice(SHAPES) for _ in colours]
    relation = random.choice(RELATIONS)
    while True:
        sizes = [_size(random) for _ in colours]
        if sum(radius for _, radius in sizes) * 2 + GAP + 2 * MARGIN <= SIDE:
            break
    spots = _side_by_side(random, *(radius for _, radius in sizes))
    if relation in ("right", "below"):  # the second comes first
        spots = tuple((SIDE - along, across) for along, across in spots)
    things = []
    for shape, colour, (size, radius), (along, across) in zip(
        shapes, colours, sizes, spots, strict=True
    ):
        x, y = (along, across) if relation in ("left", "right") else (across, along)
        things.append(Thing(shape, colour, size, _texture(random, 10), x, y, radius))
    return Scene(tuple(things), background, _texture(random, 10), relation=relation)


def _side_by_side(random: Random, first: float, second: float) -> tuple[tuple[float, float], ...]:
    """(along, across) of two things, the first before the second, spread over the picture."""
    spare = SIDE - 2 * MARGIN - GAP - 2 * (first + second)
    before, between = sorted(random.uniform(0, spare) for _ in range(2))
    if random.random() < 0.5:  # often in the middle of their halves, as people draw
        before, between = spare * 0.25, spare * 0.75
    middle = SIDE / 2 + random.uniform(-4, 4)
    along = MARGIN + before + first
    other = MARGIN + between + 2 * first + GAP + second
    return (along, middle + random.uniform(-3, 3)), (other, middle + random.uniform(-3, 3))

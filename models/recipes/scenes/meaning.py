"""What a caption means, as numbers: the text encoder learns to read before the UNet draws."""

from __future__ import annotations

from scenes.captions import Caption
from scenes.palette import COLOURS
from scenes.scene import SIDE, SIZES, TEXTURES, Scene, Thing
from scenes.shapes import SHAPES

UNKNOWN = -100  # what torch's cross entropy leaves out
_THING = (len(COLOURS), len(SHAPES), len(SIZES), len(TEXTURES), 3, 3)
#: How many answers each question has: main thing, other thing, background, its texture, number.
QUESTIONS = (*_THING, *_THING, len(COLOURS), len(TEXTURES), 4)


def meaning(scene: Scene, said: Caption) -> list[int]:
    """The right answer to each of QUESTIONS; UNKNOWN where there is none."""
    main = _about(scene.things[said.main])
    other = _about(scene.things[said.other]) if said.other >= 0 else [UNKNOWN] * len(_THING)
    if scene.count > 1:
        main[-2:] = [UNKNOWN, UNKNOWN]
    ground = (list(COLOURS).index(scene.background), TEXTURES.index(scene.background_texture))
    return [*main, *other, *ground, len(scene.things) - 1]


def _about(thing: Thing) -> list[int]:
    third = SIDE / 3
    return [
        list(COLOURS).index(thing.colour),
        SHAPES.index(thing.shape),
        tuple(SIZES).index(thing.size),
        TEXTURES.index(thing.texture),
        int(thing.x // third),
        int(thing.y // third),
    ]

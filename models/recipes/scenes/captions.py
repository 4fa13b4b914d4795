"""Says in varied English what a scene shows."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from scenes.scene import OPPOSITE, Scene, Thing

WORDS = {
    "circle": ("circle", "circle", "disc"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "heart": ("heart",),
    "diamond": ("diamond", "diamond", "rhombus"),
    "cross": ("cross", "cross", "plus"),
    "ring": ("ring", "ring", "donut", "hoop"),
    "purple": ("purple", "purple", "violet"),
    "cyan": ("cyan", "cyan", "turquoise"),
    "small": ("small", "little", "tiny"),
    "big": ("big", "large", "huge"),
    "dotted": ("dotted", "spotted"),
    "left": ("left of", "to the left of", "on the left of"),
    "right": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
    "centre": ("in the centre", "in the middle", "in the center"),
    "top": ("at the top", "on top", "in the upper part"),
    "bottom": ("at the bottom", "in the lower part"),
}
SIDES = {
    "left": ("on the left", "on the right"),
    "right": ("on the right", "on the left"),
    "above": ("at the top", "at the bottom"),
    "below": ("at the bottom", "at the top"),
}
NUMBERS = {2: ("two", "two", "2"), 3: ("three", "three", "3"), 4: ("four", "four", "4")}
PLURALS = {"box": "boxes", "rhombus": "rhombuses", "cross": "crosses", "plus": "pluses"}
OPENINGS = (
    *("a picture of", "a drawing of", "an image of", "please draw", "draw", "paint", "show me"),
    *("a photograph of", "a painting of", "i want", "there is", "i see", "this is", "make"),
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Caption:
    """`main` and `other` are indices of the scene's things; `other` is -1 where there is none.

    `relation` is of the main thing to the other, and empty where the text tells none.
    """

    text: str
    main: int = 0
    other: int = -1
    relation: str = ""


def caption(scene: Scene, random: Random, *, clean: bool = False) -> Caption:
    """clean: without misspelt and meaningless words, and with the background told."""
    said = _two(scene, random, clean) if scene.relation else Caption(_one(scene, random))
    text = _with_background(said.text, scene, random, clean)
    text = _finished(text, random)
    return Caption(
        text if clean else _disturbed(text, random), said.main, said.other, said.relation
    )


def _word(name: str, random: Random) -> str:
    return random.choice(WORDS.get(name, (name,)))


def _article(phrase: str) -> str:
    return f"an {phrase}" if phrase[0] in "aeio" else f"a {phrase}"


def _named(thing: Thing, random: Random, count: int = 1) -> str:
    """`big striped red circle`, in one of the orders that English allows; plural for many."""
    noun = _word(thing.shape, random)
    noun = PLURALS.get(noun, f"{noun}s") if count > 1 else noun
    colour = _word(thing.colour, random)
    size = _word(thing.size, random) if thing.size != "medium" and random.random() < 0.85 else ""
    before, after = _texture_words(thing.texture, random)
    told = random.random()
    if told < 0.08:
        after = f"{after} and coloured {colour}" if after else f"coloured {colour}"
        colour = ""
    elif told < 0.16 and not after:
        after, colour = f"that {'are' if count > 1 else 'is'} {colour}", ""
    return " ".join(part for part in (size, before, colour, noun, after) if part)


def _texture_words(texture: str, random: Random) -> tuple[str, str]:
    """What stands before the noun, and what after it."""
    if texture == "plain":
        return ("plain", "") if random.random() < 0.03 else ("", "")
    if random.random() < 0.3:
        return "", "with stripes" if texture == "striped" else "with dots"
    return _word(texture, random), ""


def _one(scene: Scene, random: Random) -> str:
    thing, count = scene.things[0], len(scene.things)
    if count > 1:
        return f"{random.choice(NUMBERS[count])} {_named(thing, random, count)}"
    named = _named(thing, random)
    phrase = _article(named) if random.random() < 0.85 else named
    if random.random() < (0.25 if scene.place == "centre" else 0.92):
        place = _place(scene.place, random)
        return f"{place} {phrase}" if random.random() < 0.1 else f"{phrase} {place}"
    return phrase


def _place(place: str, random: Random) -> str:
    if " " in place:
        return f"in the {place}" + (" corner" if random.random() < 0.6 else "")
    if place in ("left", "right"):
        return f"on the {place}" + random.choice(("", "", " side"))
    return _word(place, random)


def _two(scene: Scene, random: Random, clean: bool) -> Caption:
    main, other, relation = 0, 1, scene.relation
    if random.random() < 0.5:
        main, other, relation = 1, 0, OPPOSITE[relation]
    first, second = (_article(_named(scene.things[i], random)) for i in (main, other))
    form = random.random()
    if form < 0.1 and not clean:
        return Caption(f"{first} and {second}", main, other)
    if form < 0.25:
        here, there = SIDES[relation]
        return Caption(f"{first} {here} and {second} {there}", main, other, relation)
    link = "is " if form < 0.35 else ""
    return Caption(f"{first} {link}{_word(relation, random)} {second}", main, other, relation)


def _with_background(text: str, scene: Scene, random: Random, clean: bool) -> str:
    told = scene.background_texture != "plain" or scene.background != "white"
    if random.random() > (1.0 if clean else 0.9) * (1 if told else 0.4):
        return text
    before, after = _texture_words(scene.background_texture, random)
    parts = (before, _word(scene.background, random), "background", after)
    ground = " ".join(part for part in parts if part)
    form = random.random()
    if form < 0.6:
        return f"{text} on {_article(ground)}"
    if form < 0.75:
        return f"on {_article(ground)}, {text}"
    return f"{text}, {ground}" if form < 0.9 else f"{text} with {_article(ground)}"


def _finished(text: str, random: Random) -> str:
    if random.random() < 0.2:
        text = f"{random.choice(OPENINGS)} {text}"
    return text + "." if random.random() < 0.1 else text


def _disturbed(text: str, random: Random) -> str:
    """Sometimes misspelt or with a word that means nothing: people's prompts are not templates."""
    words = text.split(" ")
    chance = random.random()
    at = random.randrange(len(words))
    if chance < 0.04:
        length = random.randint(2, 8)
        words.insert(at, "".join(random.choice(LETTERS) for _ in range(length)))
    elif chance < 0.07 and len(words[at]) > 4:
        cut = random.randrange(1, len(words[at]) - 1)
        words[at] = words[at][:cut] + words[at][cut + 1 :]
    return " ".join(words)

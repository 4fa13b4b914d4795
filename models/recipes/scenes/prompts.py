"""The prompts by which the model is judged; none of their combinations is in the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from scenes.captions import Caption, caption
from scenes.judge import Seen, look_at
from scenes.scene import Scene, think_up

SEED = 20_000  # of the prompts; picture number n is drawn with seed n
ONE, TWO = 120, 80  # prompts with one kind of thing, and with two things in a relation


@dataclass(frozen=True)
class Prompt:
    scene: Scene
    said: Caption

    @property
    def text(self) -> str:
        return self.said.text


@dataclass(frozen=True)
class Verdict:
    """number: things of the main kind are as many as told. relation: None where none was told."""

    main: bool
    number: bool
    relation: bool | None


@dataclass(frozen=True)
class Score:
    """Parts of 1."""

    main: float
    number: float
    relation: float

    @property
    def passes(self) -> bool:
        return self.main >= 0.9 and self.relation >= 0.75


def held_out_prompts(one: int = ONE, two: int = TWO) -> list[Prompt]:
    """Always the same. One in six of the first kind asks for several alike things."""
    random = Random(SEED)
    kinds = ["several" if i % 6 == 5 else "one" for i in range(one)] + ["two"] * two
    prompts, known = [], set()
    for kind in kinds:
        while True:
            scene = think_up(random, held_out=True, kind=kind)
            said = caption(scene, random, clean=True)
            if said.text not in known:
                break
        known.add(said.text)
        prompts.append(Prompt(scene, said))
    return prompts


def judge(prompt: Prompt, picture: npt.NDArray[np.uint8]) -> Verdict:
    """RGB [64, 64, 3]. Main: colour and shape of the thing that the prompt names first.

    A relation is right where both things are there, colour and shape right, and stand so.
    """
    seen = look_at(picture)
    main = _like(seen, prompt, prompt.said.main)
    number = len(main) == prompt.scene.count
    if not prompt.said.relation:
        return Verdict(bool(main) and seen[0] in main, number, None)
    other = _like(seen, prompt, prompt.said.other)
    stands = any(_stands(a, b, prompt.said.relation) for a in main for b in other)
    return Verdict(bool(main), number, stands)


def score(verdicts: Sequence[Verdict]) -> Score:
    related = [verdict.relation for verdict in verdicts if verdict.relation is not None]
    return Score(
        sum(verdict.main for verdict in verdicts) / len(verdicts),
        sum(verdict.number for verdict in verdicts) / len(verdicts),
        sum(related) / len(related),
    )


def _like(seen: Sequence[Seen], prompt: Prompt, index: int) -> list[Seen]:
    thing = prompt.scene.things[index]
    return [each for each in seen if (each.shape, each.colour) == (thing.shape, thing.colour)]


def _stands(one: Seen, other: Seen, relation: str) -> bool:
    """The shift along the relation's way is the right one, and larger than that across."""
    right, down = other.x - one.x, other.y - one.y
    along, across = (right, down) if relation in ("left", "right") else (down, right)
    if relation in ("right", "below"):
        along = -along
    return along > abs(across)

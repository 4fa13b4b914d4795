"""The judge sees what is drawn, and says no to what is not."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest

from scenes.drawing import draw
from scenes.judge import background, look_at
from scenes.palette import COLOURS
from scenes.prompts import Prompt, Verdict, held_out_prompts, judge, score
from scenes.scene import RELATIONS, Scene, Thing
from scenes.shapes import SHAPES

PROMPTS = held_out_prompts(150, 100)


def thing(shape: str = "circle", colour: str = "red", x: float = 32, y: float = 32) -> Thing:
    return Thing(shape, colour, "medium", "plain", x, y, 10)


def judge_as(prompt: Prompt, scene: Scene) -> Verdict:
    return judge(prompt, draw(scene, Random(0)))


def test_drawn_scenes_are_judged_right() -> None:
    drawn = score([judge_as(prompt, prompt.scene) for prompt in PROMPTS])
    assert min(drawn.main, drawn.number, drawn.relation) >= 0.98


def test_scenes_of_other_prompts_are_judged_wrong() -> None:
    pairs = pairwise(PROMPTS)
    swapped = score([judge_as(prompt, other.scene) for prompt, other in pairs])
    assert swapped.main <= 0.06  # some neighbours do share colour and shape
    assert swapped.relation == 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_every_shape_in_every_colour(shape: str, colour: str) -> None:
    ground = "white" if colour != "white" else "blue"
    picture = draw(Scene((thing(shape, colour),), ground, "plain"), Random(1))
    (seen,) = look_at(picture)
    assert (seen.shape, seen.colour) == (shape, colour)
    assert background(picture) == ground


@pytest.mark.parametrize("relation", RELATIONS)
def test_only_the_told_relation_is_right(relation: str) -> None:
    prompts = [prompt for prompt in PROMPTS if prompt.said.relation == relation]
    assert prompts
    for prompt in prompts:
        mirrored = draw(prompt.scene, Random(2))[::-1, ::-1]
        assert not judge(prompt, mirrored).relation


def test_a_blank_picture_shows_nothing() -> None:
    blank = np.full((64, 64, 3), 255, np.uint8)
    assert look_at(blank) == []
    assert judge(PROMPTS[0], blank) == Verdict(main=False, number=False, relation=None)


def test_noise_passes_for_nothing() -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (len(PROMPTS), 64, 64, 3), np.uint8)
    of_noise = score([judge(*pair) for pair in zip(PROMPTS, pictures, strict=True)])
    assert of_noise.main < 0.02
    assert of_noise.relation == 0


def test_a_blot_has_no_shape() -> None:
    picture = np.full((64, 64, 3), 250, np.uint8)
    picture[10:14, 10:50] = COLOURS["red"]  # a dash: ten times as long as high
    (seen,) = look_at(picture)
    assert (seen.colour, seen.shape) == ("red", "")
    assert (seen.x, seen.y) == (30, 12)


def test_things_that_touch_are_two() -> None:
    picture = np.full((64, 64, 3), 250, np.uint8)
    picture[20:40, 10:30] = COLOURS["red"]
    picture[20:40, 30:50] = COLOURS["blue"]
    assert {(seen.colour, seen.shape) for seen in look_at(picture)} == {
        ("red", "square"),
        ("blue", "square"),
    }

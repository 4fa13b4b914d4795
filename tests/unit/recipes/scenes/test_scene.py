"""Scenes stay within the picture, apart from one another, and out of what is held out."""

from __future__ import annotations

from itertools import combinations
from random import Random

import numpy as np
import pytest

from scenes.drawing import draw
from scenes.palette import COLOURS, distance, second_tone
from scenes.prompts import held_out_prompts
from scenes.scene import GAP, MARGIN, SIDE, Scene, can_be_told_apart, is_held_out, think_up
from scenes.shapes import OUTLINES, SHAPES


def scenes(count: int, kind: str = "") -> list[Scene]:
    random = Random(7)
    return [think_up(random, kind=kind) for _ in range(count)]


def test_things_keep_off_the_edge_and_one_another() -> None:
    for scene in scenes(500):
        for thing in scene.things:
            assert thing.x - thing.radius >= MARGIN - 0.5
            assert thing.x + thing.radius <= SIDE - MARGIN + 0.5
            assert thing.y - thing.radius >= MARGIN - 0.5
            assert thing.y + thing.radius <= SIDE - MARGIN + 0.5
        for one, other in combinations(scene.things, 2):
            apart = max(abs(one.x - other.x), abs(one.y - other.y))
            assert apart >= one.radius + other.radius + GAP - 0.01


def test_things_can_be_told_from_their_background() -> None:
    for scene in scenes(500):
        assert all(can_be_told_apart(thing.colour, scene.background) for thing in scene.things)


@pytest.mark.parametrize("relation", ["left", "right", "above", "below"])
def test_the_relation_is_where_the_things_are(relation: str) -> None:
    found = [scene for scene in scenes(400, "two") if scene.relation == relation]
    assert len(found) > 40
    for scene in found:
        one, other = scene.things
        right, down = other.x - one.x, other.y - one.y
        along = {"left": right, "right": -right, "above": down, "below": -down}[relation]
        assert along > one.radius + other.radius


def test_places_are_where_they_say() -> None:
    for scene in scenes(300, "one"):
        (thing,) = scene.things
        assert ("left" in scene.place) == (thing.x < SIDE / 2 - 3)
        assert ("right" in scene.place) == (thing.x > SIDE / 2 + 3)
        assert ("top" in scene.place) == (thing.y < SIDE / 2 - 3)
        assert ("bottom" in scene.place) == (thing.y > SIDE / 2 + 3)


def test_nothing_held_out_is_trained() -> None:
    assert not any(is_held_out(scene) for scene in scenes(1000))
    assert all(is_held_out(prompt.scene) for prompt in held_out_prompts())


def test_a_pair_is_held_out_whatever_its_order() -> None:
    for prompt in held_out_prompts(0, 50):
        scene = prompt.scene
        turned = Scene(scene.things[::-1], scene.background, "plain", relation="above")
        assert is_held_out(turned)


def test_every_colour_of_every_shape_is_trained() -> None:
    trained = {(t.colour, t.shape) for scene in scenes(4000) for t in scene.things}
    assert trained == {(colour, shape) for colour in COLOURS for shape in SHAPES}


def test_tones_of_colours_are_apart() -> None:
    for one, other in combinations(COLOURS.values(), 2):
        assert distance(one, other) > 75
        assert min(distance(one, second_tone(other)), distance(second_tone(one), other)) > 45


def test_outlines_fit_their_square() -> None:
    for outline in OUTLINES.values():
        points = np.array(outline)
        assert np.abs(points).max() <= 1.09
        assert np.ptp(points, 0).min() > 1.7


def test_drawing_twice_gives_the_same_pixels() -> None:
    for scene in scenes(20):
        assert (draw(scene, Random(3)) == draw(scene, Random(3))).all()

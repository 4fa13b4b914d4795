"""Captions say what the scene shows."""

from __future__ import annotations

from random import Random

import pytest

from scenes.captions import NUMBERS, WORDS, caption
from scenes.meaning import QUESTIONS, UNKNOWN, meaning
from scenes.prompts import held_out_prompts
from scenes.scene import OPPOSITE, think_up


def words_of(name: str) -> tuple[str, ...]:
    return WORDS.get(name, (name,))


@pytest.mark.parametrize("kind", ["one", "several", "two"])
def test_clean_captions_name_every_thing(kind: str) -> None:
    random = Random(11)
    for _ in range(300):
        scene = think_up(random, kind=kind)
        text = caption(scene, random, clean=True).text
        for thing in scene.things:
            assert any(word in text for word in words_of(thing.colour)), text
            assert any(word[:5] in text for word in words_of(thing.shape)), text
        assert any(word in text for word in words_of(scene.background)) or (
            scene.background == "white"
        )


def test_numbers_are_told() -> None:
    random = Random(12)
    for _ in range(100):
        scene = think_up(random, kind="several")
        text = caption(scene, random, clean=True).text
        assert any(word in text.split() for word in NUMBERS[len(scene.things)])


def test_the_main_thing_is_named_first() -> None:
    random = Random(13)
    for _ in range(300):
        scene = think_up(random, kind="two")
        said = caption(scene, random, clean=True)
        main, other = scene.things[said.main], scene.things[said.other]
        if main.shape != other.shape:
            text = said.text.replace("on top", "")
            places = [
                min(text.find(word) for word in words_of(thing.shape) if word in text)
                for thing in (main, other)
            ]
            assert places[0] < places[1], said.text
        expected = scene.relation if said.main == 0 else OPPOSITE[scene.relation]
        assert said.relation == expected


def test_articles_fit() -> None:
    random = Random(14)
    for _ in range(500):
        text = caption(think_up(random), random, clean=True).text
        for wrong in (" a orange", " an red", " a outlined", "  "):
            assert wrong not in f" {text}"


def test_held_out_prompts_are_200_different_ones_and_always_the_same() -> None:
    texts = [prompt.text for prompt in held_out_prompts()]
    assert len(set(texts)) == 200
    assert texts == [prompt.text for prompt in held_out_prompts()]


def test_meaning_answers_every_question() -> None:
    random = Random(15)
    for _ in range(300):
        scene = think_up(random)
        answers = meaning(scene, caption(scene, random))
        assert len(answers) == len(QUESTIONS)
        assert all(
            answer == UNKNOWN or 0 <= answer < choices
            for answer, choices in zip(answers, QUESTIONS, strict=True)
        )

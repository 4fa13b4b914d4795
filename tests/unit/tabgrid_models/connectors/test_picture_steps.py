"""Steps of the shipped model's pictures, run again: honest ones agree, and no cheat's do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import msgspec
import pytest

from tabgrid_models import trace
from tabgrid_models.connectors.base import (
    InvalidInput,
    InvalidOutput,
    Thresholds,
    Traced,
)
from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageInput, TextToImageOutput
from tabgrid_models.trace import Claimed, Part, Recheck, Rechecked, Stretch
from tests.support import models
from tests.support.counted import Counted
from tests.support.scenes import MODEL

DRAWS = TextToImage()
ASKED = TextToImageInput("a red circle above a blue square", seed=7, steps=6)
SIZE = 4 * 4 * 16 * 16


class Drawn(msgspec.Struct):
    """A picture and what lay between its steps."""

    output: TextToImageOutput
    states: tuple[bytes, ...]


async def draw(input: TextToImageInput = ASKED) -> Drawn:
    manifest, runtime = models.manifest(MODEL), Counted(models.runtime(MODEL))
    output, kept = await DRAWS.run_traced(input, manifest, runtime, models.Progress())
    assert runtime.alive == 0, "everything was given back"
    return Drawn(output, DRAWS.split_trace(input, manifest, kept))


@pytest.fixture(scope="module")
def honest() -> Drawn:
    return asyncio.run(draw())


def asked_of(states: Sequence[bytes], *, input: TextToImageInput = ASKED) -> Recheck:
    """Every step of it, one by one."""
    stretches = (Stretch(at, 1, before) for at, before in enumerate(states[:-1]))
    return Recheck(msgspec.msgpack.encode(input), tuple(stretches), states[-1])


async def judge(drawn: Drawn) -> dict[str, Part]:
    """What an honest reference finds of an answer to ``ASKED``."""
    manifest, asked = models.manifest(MODEL), asked_of(drawn.states)
    runtime = Counted(models.runtime(MODEL))
    found = await DRAWS.recheck(asked, manifest, runtime, models.Progress())
    assert runtime.alive == 0
    DRAWS.check_rechecked(ASKED, asked, found, manifest)
    output, places = msgspec.msgpack.encode(drawn.output), tuple(range(len(drawn.states) - 1))
    claimed = Claimed(drawn.states[0], asked, drawn.states[1:], output, places)
    parts = DRAWS.compare_steps(ASKED, manifest, claimed, found, "q8", Thresholds())
    return {part.name: part for part in parts}


def wrong(parts: dict[str, Part]) -> list[str]:
    return [name for name, part in parts.items() if part.share > 1]


async def test_the_picture_is_the_one_that_is_drawn_without_a_trace(honest: Drawn) -> None:
    manifest, runtime = models.manifest(MODEL), models.runtime(MODEL)
    assert isinstance(DRAWS, Traced)
    assert await DRAWS.run(ASKED, manifest, runtime, models.Progress()) == honest.output
    assert [len(state) for state in honest.states] == [SIZE] * 7


async def test_an_honest_picture_is_right_in_every_part(honest: Drawn) -> None:
    parts = await judge(honest)
    assert list(parts) == ["noise", *(f"step {at}" for at in range(1, 7)), "picture"]
    assert [part.distance for part in parts.values()] == [0.0] * 8
    assert [part.place for part in parts.values()] == [None, *range(6), None]


async def test_another_seed_is_seen_in_the_noise(honest: Drawn) -> None:
    other = await draw(msgspec.structs.replace(ASKED, seed=8))
    claimed = Drawn(msgspec.structs.replace(other.output, seed=7), other.states)
    assert "noise" in wrong(await judge(claimed))
    # With the right noise in front of it, in the first step.
    claimed.states = (honest.states[0], *other.states[1:])
    assert wrong(await judge(claimed))[0] == "step 1"


async def test_fewer_steps_are_seen_in_those_that_were_made_up() -> None:
    few = await draw(msgspec.structs.replace(ASKED, steps=3))
    # Half of the steps; between two latents the cheat puts the one before.
    states = tuple(few.states[at // 2] for at in range(7))
    assert len(wrong(await judge(Drawn(few.output, states)))) >= 3


@pytest.mark.parametrize(
    "change",
    [{"guidance": 1.0}, {"prompt": "a red circle"}, {"negative_prompt": "blurry, dark"}],
    ids=["unguided", "shorter prompt", "another negative prompt"],
)
async def test_work_that_was_left_out_is_seen_in_every_step(change: dict[str, object]) -> None:
    cheap = await draw(msgspec.structs.replace(ASKED, **change))
    found = wrong(await judge(cheap))
    assert [name for name in found if name.startswith("step")] == [f"step {n}" for n in range(1, 7)]


async def test_a_right_picture_with_made_up_latents_is_seen(honest: Drawn) -> None:
    chance = random.Random(1)
    states = [honest.states[0]]
    states += [chance.randbytes(SIZE) for _ in honest.states[1:-1]]
    found = wrong(await judge(Drawn(honest.output, (*states, honest.states[-1]))))
    assert {f"step {n}" for n in range(1, 7)} == set(found)


async def test_another_picture_than_the_latents_are_of_is_seen(honest: Drawn) -> None:
    other = await draw(TextToImageInput("a green star", seed=7, steps=6))
    assert wrong(await judge(Drawn(other.output, honest.states))) == ["picture"]


async def test_numbers_that_are_none_are_as_far_as_can_be(honest: Drawn) -> None:
    nan = b"\0\0\xc0\x7f" * (SIZE // 4)
    found = await judge(Drawn(honest.output, (*honest.states[:3], nan, *honest.states[4:])))
    assert {"step 3", "step 4"} <= set(wrong(found))


async def test_only_latents_of_this_picture_are_run_again(honest: Drawn) -> None:
    manifest, runtime = models.manifest(MODEL), models.runtime(MODEL)
    right = asked_of(honest.states)
    replace = msgspec.structs.replace
    first = right.stretches[0]
    for asked in (
        replace(right, last=b""),
        replace(right, stretches=(replace(first, latents=first.latents[:-4]),)),
        replace(right, stretches=(replace(first, at=-1),)),
        replace(right, stretches=(replace(first, at=6),)),
        replace(right, stretches=(replace(first, steps=0),)),
        replace(right, stretches=(replace(first, steps=7),)),
    ):
        with pytest.raises(InvalidInput):
            await DRAWS.recheck(asked, manifest, runtime, models.Progress())


async def test_a_reference_answers_what_it_was_asked(honest: Drawn) -> None:
    manifest, right = models.manifest(MODEL), asked_of(honest.states)
    output = msgspec.msgpack.encode(honest.output)
    for found in (
        Rechecked(honest.states[1:-1], output),
        Rechecked((*honest.states[1:-1], b""), output),
        Rechecked(honest.states[1:], b"nonsense"),
        Rechecked(honest.states[1:], msgspec.msgpack.encode({"image": b""})),
    ):
        with pytest.raises(InvalidOutput):
            DRAWS.check_rechecked(ASKED, right, found, manifest)


def test_a_trace_has_the_size_of_its_picture(honest: Drawn) -> None:
    content = b"".join(honest.states)
    with pytest.raises(InvalidOutput, match="bytes"):
        DRAWS.split_trace(ASKED, models.manifest(MODEL), content[:-4])


def test_two_of_eight_steps_are_a_part_of_the_work(honest: Drawn) -> None:
    input = msgspec.structs.replace(ASKED, steps=8)
    right = asked_of(honest.states, input=input)
    two = msgspec.structs.replace(right, stretches=right.stretches[:2])
    share = DRAWS.recheck_share(input, models.manifest(MODEL), two)
    assert share == (2 + 2) / (8 + 2)
    assert trace.drawn(8, SIZE) == 2

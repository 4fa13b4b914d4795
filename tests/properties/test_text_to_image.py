"""Any picture survives its file, no damaged file passes for one, and any plan ends."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tabgrid_models import png
from tabgrid_models.connectors.base import InvalidInput, InvalidOutput
from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.diffusion import Schedule, plan, signal_levels
from tabgrid_models.drawing import TextToImageInput, TextToImageOutput
from tabgrid_models.manifest import Manifest
from tabgrid_models.noise import gaussians
from tests.support.pictures import CONFIG

DRAWS = TextToImage()
SCHEDULE = {"kind": "euler", "spacing": "trailing"}
MODEL = Manifest(
    "m", "text-to-image", "", "", "", "",
    {**CONFIG, "pad_ids": [0], "guided": True, "schedule": SCHEDULE}, (),
)  # fmt: skip
#: What a text of a PNG can hold: anything but zero and halves of pairs.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)
names = st.from_regex(png.KEYWORD, fullmatch=True)
sides = st.integers(min_value=1, max_value=9)
RGBA = bytes(range(256)) * 2
GOOD = png.encode(16, 8, RGBA, {"prompt": "ein Würfel", "seed": "7"})


@given(sides, sides, st.data(), st.dictionaries(names, texts, max_size=4))
def test_a_picture_survives_its_file(
    width: int, height: int, data: st.DataObject, text: dict[str, str]
) -> None:
    size = 4 * width * height
    rgba = data.draw(st.binary(min_size=size, max_size=size))
    picture = png.decode(png.encode(width, height, rgba, text), width * height)
    assert picture[:2] == (width, height)
    assert list(picture.text.items()) == list(text.items())
    assert picture.rgb == b"".join(rgba[at : at + 3] for at in range(0, size, 4))


@given(st.integers(0, 8 * len(GOOD) - 1))
def test_no_flipped_bit_passes(bit: int) -> None:
    damaged = bytearray(GOOD)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(png.BadPng):
        png.decode(bytes(damaged), 128)


@given(st.binary(max_size=200), st.integers(0, len(GOOD)))
def test_no_bytes_raise_anything_else(data: bytes, at: int) -> None:
    for made in (data, png.SIGNATURE + data, GOOD[:at] + data, GOOD[:at] + data + GOOD[at:]):
        assume(made != GOOD)
        with pytest.raises(png.BadPng):
            png.decode(made, 128)


schedules = st.builds(
    Schedule,
    kind=st.sampled_from(["euler", "ddim", "lcm"]),
    prediction=st.sampled_from(["v_prediction", "sample"]),
    beta_start=st.floats(1e-5, 1e-3),
    beta_end=st.floats(2e-3, 0.05),
    beta_schedule=st.sampled_from(["linear", "scaled_linear", "squaredcos_cap_v2"]),
    train_steps=st.integers(50, 1200),
    spacing=st.sampled_from(["leading", "trailing", "linspace"]),
    steps_offset=st.sampled_from([0, 1]),
    set_alpha_to_one=st.booleans(),
    rescale_zero_snr=st.booleans(),
)


@given(schedules, st.integers(1, 60))
@example(Schedule("ddim", "v_prediction", rescale_zero_snr=True, spacing="trailing"), 1)
@example(Schedule("euler", "v_prediction", train_steps=100, spacing="linspace"), 46)
def test_every_plan_is_finite_descends_and_stays_in_the_training(
    schedule: Schedule, steps: int
) -> None:
    assume(schedule.allows(steps))
    made = plan(schedule, steps)
    visited = [step.timestep for step in made.steps]
    assert len(visited) == steps
    assert visited == sorted(visited, reverse=True)
    assert 0 <= visited[-1] <= visited[0] <= schedule.train_steps - 1
    assert math.isfinite(made.sigma)
    assert made.sigma > 0
    assert all(math.isfinite(value) for step in made.steps for value in step.coefficients)


@given(schedules)
def test_the_signal_only_fades(schedule: Schedule) -> None:
    levels = signal_levels(schedule)
    # diffusers' stand-in for a signal of zero may be above the level before it.
    assert levels[:-1] == sorted(levels[:-1], reverse=True)
    assert 1 > levels[0] > levels[-1] >= 0


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_noise_is_a_function_of_seed_and_draw(seed: int, draw: int, count: int) -> None:
    values = gaussians(seed, draw, count)
    assert values == gaussians(seed, draw, count + 3)[:count]
    # 32 bits end at 6.7 standard deviations.
    assert all(abs(value) < 6.8 for value in values)


@given(
    st.builds(
        TextToImageInput,
        prompt=st.text(max_size=40),
        negative_prompt=st.text(max_size=10),
        seed=st.integers(-5, 2**33),
        steps=st.integers(-1, 30),
        width=st.sampled_from([0, 32, 64, 33]),
        height=st.sampled_from([0, 32]),
        guidance=st.none() | st.floats(),
    )
)
def test_what_validates_can_be_sent_counted_and_written(input: TextToImageInput) -> None:
    try:
        DRAWS.validate(input, MODEL)
    except InvalidInput:
        return
    packed = msgspec.msgpack.encode(input)
    assert msgspec.msgpack.decode(packed, type=TextToImageInput) == input
    assert 1 <= DRAWS.usage(input, MODEL, None).units <= 20
    width = input.width or 32
    with pytest.raises(InvalidOutput, match="cannot be read"):
        DRAWS.check(input, TextToImageOutput(b"", width, 32, input.seed), MODEL)

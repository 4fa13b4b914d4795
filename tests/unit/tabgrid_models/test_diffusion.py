"""The sampler's scalars against closed forms; tests/export compares them with diffusers."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from tabgrid_models.diffusion import (
    LEAST_SIGNAL,
    MAX_BETA,
    Schedule,
    betas,
    plan,
    signal_levels,
    timesteps,
)

KINDS = ("euler", "ddim", "lcm")
PREDICTIONS = ("epsilon", "v_prediction", "sample")


def schedule(**fields: Any) -> Schedule:
    return msgspec.convert(fields, Schedule)


class TestLevels:
    def test_linear_betas(self) -> None:
        made = betas(
            schedule(kind="ddim", beta_schedule="linear", beta_start=0.1, beta_end=0.4,
                     train_steps=4)
        )  # fmt: skip
        assert made == pytest.approx([0.1, 0.2, 0.3, 0.4])

    def test_scaled_linear_betas_are_linear_in_their_roots(self) -> None:
        made = betas(schedule(kind="ddim", beta_start=0.01, beta_end=0.09, train_steps=3))
        assert made == pytest.approx([0.01, 0.04, 0.09])

    def test_cosine_betas_end_at_their_cap(self) -> None:
        made = betas(schedule(kind="ddim", beta_schedule="squaredcos_cap_v2"))
        assert made[-1] == MAX_BETA
        assert made[0] == pytest.approx(4.1281e-05, rel=1e-3)

    def test_stable_diffusions_last_sigma(self) -> None:
        last = signal_levels(schedule(kind="euler"))[-1]
        assert math.sqrt((1 - last) / last) == pytest.approx(14.6146, abs=1e-3)

    @pytest.mark.parametrize(("kind", "end"), [("ddim", 0.0), ("euler", LEAST_SIGNAL)])
    def test_a_zero_signal_keeps_the_beginning(self, kind: str, end: float) -> None:
        plain = signal_levels(schedule(kind=kind, prediction="v_prediction"))
        zero = signal_levels(schedule(kind=kind, prediction="v_prediction", rescale_zero_snr=True))
        assert zero[0] == pytest.approx(plain[0])
        assert zero[-1] == end
        assert zero == sorted(zero, reverse=True)


class TestTimesteps:
    @pytest.mark.parametrize(
        ("fields", "steps", "wanted"),
        [
            ({"kind": "euler", "spacing": "trailing"}, 1, [999]),
            ({"kind": "euler", "spacing": "trailing"}, 4, [999, 749, 499, 249]),
            ({"kind": "ddim", "spacing": "trailing"}, 3, [999, 666, 332]),
            ({"kind": "ddim", "steps_offset": 1}, 4, [751, 501, 251, 1]),
            ({"kind": "ddim", "spacing": "linspace"}, 4, [999, 666, 333, 0]),
            ({"kind": "ddim", "spacing": "linspace"}, 3, [999, 500, 0]),
            ({"kind": "euler", "spacing": "linspace"}, 3, [999, 499.5, 0]),
            ({"kind": "lcm"}, 4, [999, 759, 499, 259]),
            ({"kind": "lcm", "original_steps": 100}, 1, [999]),
        ],
    )
    def test_are_those_of_the_papers(
        self, fields: dict[str, Any], steps: int, wanted: list[float]
    ) -> None:
        assert timesteps(schedule(**fields), steps) == wanted


@pytest.mark.parametrize("prediction", PREDICTIONS)
class TestCoefficients:
    """A network that is always right: noised data ends at the data, whatever it predicts."""

    DATA, NOISE = 0.7, -1.3

    def output(self, prediction: str, signal: float, noise: float) -> float:
        data, gauss = self.DATA, self.NOISE
        return {
            "epsilon": gauss,
            "sample": data,
            "v_prediction": signal * gauss - noise * data,
        }[prediction]

    @pytest.mark.parametrize("kind", ["ddim", "lcm"])
    def test_unit_power(self, kind: str, prediction: str) -> None:
        made = schedule(kind=kind, prediction=prediction, set_alpha_to_one=True, steps_offset=1)
        levels = signal_levels(made)
        steps = plan(made, 5).steps
        for number, (at, coefficients) in enumerate(steps):
            c0, c1, c2, c3, c4, c5 = coefficients
            signal, noise = math.sqrt(levels[int(at)]), math.sqrt(1 - levels[int(at)])
            x = signal * self.DATA + noise * self.NOISE
            m = self.output(prediction, signal, noise)
            assert c0 == 1
            # Consistency models keep a little of what they are shown.
            assert c4 * x + c5 * m == pytest.approx(self.DATA, abs=1e-9 if kind == "ddim" else 1e-5)
            after = c1 * x + c2 * m + c3 * self.NOISE
            target = levels[int(at) - 200] if kind == "ddim" and at >= 200 else 1.0
            if kind == "lcm" and number < 4:
                target = levels[int(steps[number + 1].timestep)]
            wanted = math.sqrt(target) * self.DATA + math.sqrt(1 - target) * self.NOISE
            assert after == pytest.approx(wanted, abs=1e-9 if kind == "ddim" else 1e-5)

    @pytest.mark.parametrize("spacing", ["trailing", "linspace", "leading"])
    def test_euler(self, spacing: str, prediction: str) -> None:
        made = plan(schedule(kind="euler", prediction=prediction, spacing=spacing), 6)
        x = None
        for at, (c0, c1, c2, c3, c4, c5) in made.steps:
            sigma = math.sqrt(1 / c0**2 - 1)
            if x is None:
                x = self.DATA + sigma * self.NOISE
                expected = math.hypot(sigma, 1) if spacing == "leading" else sigma
                assert made.sigma == pytest.approx(expected)
            assert x == pytest.approx(self.DATA + sigma * self.NOISE, abs=1e-9), at
            m = self.output(prediction, c0, sigma * c0)
            assert c3 == 0
            assert c4 * x + c5 * m == pytest.approx(self.DATA, abs=1e-9)
            x = c1 * x + c2 * m
        assert x == pytest.approx(self.DATA, abs=1e-9)

    def test_noise_is_asked_for_by_lcm_alone_and_not_at_the_end(self, prediction: str) -> None:
        for kind in KINDS:
            needs = [
                step.needs_noise
                for step in plan(schedule(kind=kind, prediction=prediction), 4).steps
            ]
            assert needs == ([True] * 3 + [False] if kind == "lcm" else [False] * 4)


def test_turbo_in_one_step_is_the_networks_own_picture() -> None:
    made = plan(schedule(kind="euler", spacing="trailing"), 1)
    assert made.sigma == pytest.approx(14.6146, abs=1e-3)
    ((at, (c0, c1, c2, c3, c4, c5)),) = made.steps
    assert (at, c1, c3) == (999, pytest.approx(1), 0)
    assert (c1, c2) == pytest.approx((c4, c5))
    assert c0 == pytest.approx(1 / math.hypot(14.6146, 1), abs=1e-5)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "heun"},
        {"kind": "ddim", "prediction": "flow"},
        {"kind": "ddim", "beta_start": 0},
        {"kind": "ddim", "beta_end": 1},
        {"kind": "ddim", "train_steps": 1},
        {"kind": "ddim", "karras": True},
        {"kind": "lcm", "original_steps": 1001},
        {"kind": "ddim", "rescale_zero_snr": True},
        {"kind": "lcm", "rescale_zero_snr": True},
    ],
)
def test_other_schedules_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        schedule(**fields)


@pytest.mark.parametrize(
    ("fields", "steps"),
    [
        ({"kind": "ddim"}, 0),
        ({"kind": "ddim"}, 1001),
        ({"kind": "ddim", "steps_offset": 1}, 1000),
        ({"kind": "euler", "spacing": "trailing"}, 1001),
        ({"kind": "lcm"}, 51),
    ],
)
def test_steps_that_a_schedule_does_not_have(fields: dict[str, Any], steps: int) -> None:
    with pytest.raises(ValueError, match="steps"):
        plan(schedule(**fields), steps)

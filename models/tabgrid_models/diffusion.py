"""The numbers of a diffusion sampler: when it looks at the noise, and how it mixes.

One step of Euler, DDIM (eta 0) or LCM, whatever the network predicts, is linear in the
latents ``x``, the network's output ``m`` and fresh noise ``n``:

    what the network sees   c0*x
    the next latents        c1*x + c2*m + c3*n
    the picture so far      c4*x + c5*m

So a tab needs no tensor arithmetic in Python: the six scalars are made here and go into
the graph as an input. They are those of diffusers' ``EulerDiscreteScheduler``,
``DDIMScheduler`` and ``LCMScheduler`` (without clipping), computed in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate, pairwise
from operator import mul
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

#: Networks are trained on 1,000 levels of noise; ten times that is more than any.
MAX_TRAIN_STEPS = 10_000
#: What diffusers puts in place of a signal of zero, whose noise ratio would be infinite.
LEAST_SIGNAL = 2.0**-24
#: No level of the cosine schedule removes more than this share of the signal.
MAX_BETA = 0.999
#: The consistency models' standard deviation of the data.
SIGMA_DATA = 0.5

Beta = Annotated[float, Meta(gt=0, lt=1)]
#: c0 to c5, as the head of this file names them.
Coefficients = tuple[float, float, float, float, float, float]


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model was trained to be sampled; field by field diffusers' ``scheduler_config``."""

    kind: Literal["euler", "ddim", "lcm"]
    prediction: Literal["epsilon", "v_prediction", "sample"] = "epsilon"
    beta_start: Beta = 0.00085
    beta_end: Beta = 0.012
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "scaled_linear"
    train_steps: Annotated[int, Meta(ge=2, le=MAX_TRAIN_STEPS)] = 1000
    spacing: Literal["leading", "trailing", "linspace"] = "leading"
    steps_offset: Annotated[int, Meta(ge=0, le=MAX_TRAIN_STEPS)] = 0
    set_alpha_to_one: bool = False
    rescale_zero_snr: bool = False
    #: LCM alone: the levels it was distilled on, and how sharply it trusts the first ones.
    original_steps: Annotated[int, Meta(ge=1, le=MAX_TRAIN_STEPS)] = 50
    timestep_scaling: Annotated[float, Meta(gt=0, le=1e6)] = 10.0

    def __post_init__(self) -> None:
        if self.kind != "euler" and self.rescale_zero_snr and self.prediction == "epsilon":
            raise ValueError("where the signal ends at zero, the noise does not tell the picture.")
        if self.kind == "lcm" and self.original_steps > self.train_steps:
            raise ValueError("original_steps cannot be more than train_steps.")

    def allows(self, steps: int) -> bool:
        """Whether ``plan`` can be made with so many steps."""
        if self.kind == "lcm":
            return 1 <= steps <= self.original_steps
        if self.spacing == "leading":
            last = (steps - 1) * (self.train_steps // max(steps, 1)) + self.steps_offset
            return 1 <= steps <= self.train_steps and last < self.train_steps
        return 1 <= steps <= self.train_steps


class Step(NamedTuple):
    """One call of the network."""

    timestep: float
    coefficients: Coefficients

    @property
    def needs_noise(self) -> bool:
        return self.coefficients[3] != 0.0


class Plan(NamedTuple):
    """A whole picture: standard deviation of the first latents, then the steps."""

    sigma: float
    steps: tuple[Step, ...]


def plan(schedule: Schedule, steps: int) -> Plan:
    """Raises ValueError for a number of steps that the schedule does not allow."""
    if not schedule.allows(steps):
        raise ValueError(f"This schedule cannot be walked in {steps} steps.")
    make = {"euler": _euler, "ddim": _ddim, "lcm": _lcm}[schedule.kind]
    return make(schedule, signal_levels(schedule), steps)


def signal_levels(schedule: Schedule) -> list[float]:
    """For each training step, the share of the signal's power that is left (alpha bar)."""
    levels = list(accumulate((1.0 - beta for beta in betas(schedule)), mul))
    if not schedule.rescale_zero_snr:
        return levels
    roots = [math.sqrt(level) for level in levels]
    first, last = roots[0], roots[-1]
    levels = [((root - last) * first / (first - last)) ** 2 for root in roots]
    if schedule.kind == "euler":
        levels[-1] = LEAST_SIGNAL
    return levels


def betas(schedule: Schedule) -> list[float]:
    """The share of the signal that each training step removes."""
    count = schedule.train_steps
    if schedule.beta_schedule == "linear":
        return list(_linspace(schedule.beta_start, schedule.beta_end, count))
    if schedule.beta_schedule == "scaled_linear":
        ends = math.sqrt(schedule.beta_start), math.sqrt(schedule.beta_end)
        return [root**2 for root in _linspace(*ends, count)]
    bars = [math.cos((at / count + 0.008) / 1.008 * math.pi / 2) ** 2 for at in range(count + 1)]
    return [min(1.0 - after / before, MAX_BETA) for before, after in pairwise(bars)]


def timesteps(schedule: Schedule, steps: int) -> list[float]:
    """The training steps that are visited, noisiest first. Rounding is to even, as numpy's."""
    count = schedule.train_steps
    if schedule.kind == "lcm":
        stride = count // schedule.original_steps
        origin = [number * stride - 1 for number in range(schedule.original_steps, 0, -1)]
        return [float(origin[at * len(origin) // steps]) for at in range(steps)]
    if schedule.spacing == "trailing":
        return [float(round(count - at * (count / steps)) - 1) for at in range(steps)]
    if schedule.spacing == "leading":
        stride = count // steps
        return [float(at * stride + schedule.steps_offset) for at in reversed(range(steps))]
    spread = list(_linspace(0.0, count - 1.0, steps))[::-1]
    # Euler looks between two levels of noise; DDIM only at those of the training.
    return spread if schedule.kind == "euler" else [float(round(at)) for at in spread]


def _euler(schedule: Schedule, levels: list[float], steps: int) -> Plan:
    noise = [math.sqrt((1.0 - level) / level) for level in levels]
    visited = timesteps(schedule, steps)
    sigmas = [_between(noise, at) for at in visited]
    made = [
        Step(at, _euler_step(schedule.prediction, sigma, after))
        for at, sigma, after in zip(visited, sigmas, [*sigmas[1:], 0.0], strict=True)
    ]
    # "leading" does not begin at pure noise, so the first latents hold some signal's power.
    first = math.hypot(sigmas[0], 1.0) if schedule.spacing == "leading" else sigmas[0]
    return Plan(first, tuple(made))


def _euler_step(prediction: str, sigma: float, after: float) -> Coefficients:
    """Latents are signal + sigma * noise here, so the network is shown them scaled."""
    power = sigma**2 + 1.0
    scale = 1.0 / math.sqrt(power)
    from_x, from_m = {
        "epsilon": (1.0, -sigma),
        "v_prediction": (1.0 / power, -sigma * scale),
        "sample": (0.0, 1.0),
    }[prediction]
    # Along the line from the picture to here, stop where the noise is ``after``.
    kept = after / sigma
    gone = 1.0 - kept
    return (scale, kept + gone * from_x, gone * from_m, 0.0, from_x, from_m)


def _ddim(schedule: Schedule, levels: list[float], steps: int) -> Plan:
    stride = schedule.train_steps // steps
    last = 1.0 if schedule.set_alpha_to_one else levels[0]
    made = []
    for at in timesteps(schedule, steps):
        before = int(at) - stride
        target = levels[before] if before >= 0 else last
        (x0, m0), (x1, m1) = _split(schedule.prediction, levels[int(at)])
        signal, noise = math.sqrt(target), math.sqrt(1.0 - target)
        mixed = (signal * x0 + noise * x1, signal * m0 + noise * m1)
        made.append(Step(at, (1.0, *mixed, 0.0, x0, m0)))
    return Plan(1.0, tuple(made))


def _lcm(schedule: Schedule, levels: list[float], steps: int) -> Plan:
    visited = timesteps(schedule, steps)
    made = []
    for at, after in zip(visited, [*visited[1:], None], strict=True):
        (x0, m0), _ = _split(schedule.prediction, levels[int(at)])
        scaled = at * schedule.timestep_scaling
        power = scaled**2 + SIGMA_DATA**2
        skip, out = SIGMA_DATA**2 / power, scaled / math.sqrt(power)
        x0, m0 = out * x0 + skip, out * m0
        # Jump to the picture, then put noise back; after the last jump there is none.
        target = 1.0 if after is None else levels[int(after)]
        signal, noise = math.sqrt(target), math.sqrt(1.0 - target)
        made.append(Step(at, (1.0, signal * x0, signal * m0, noise, x0, m0)))
    return Plan(1.0, tuple(made))


def _split(prediction: str, level: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """(x, m) weights of the picture, and of the noise, in latents of unit power."""
    signal, noise = math.sqrt(level), math.sqrt(1.0 - level)
    if prediction == "epsilon":
        return (1.0 / signal, -noise / signal), (0.0, 1.0)
    if prediction == "sample":
        return (0.0, 1.0), (1.0 / noise, -signal / noise)
    return (signal, -noise), (noise, signal)


def _between(values: list[float], at: float) -> float:
    below = int(at)
    if below + 1 >= len(values):
        return values[-1]
    return values[below] + (at - below) * (values[below + 1] - values[below])


def _linspace(start: float, end: float, count: int) -> Iterator[float]:
    """``count`` numbers from ``start`` to ``end``, both included; only ``start`` for one."""
    width = (end - start) / max(count - 1, 1)
    for at in range(count):
        # The last one exactly: rounded up it would lie outside.
        yield end if 0 < at == count - 1 else start + at * width

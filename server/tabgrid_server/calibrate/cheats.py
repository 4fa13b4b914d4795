"""Real cheats, tried against the threshold: other models in the same files, and forgeries."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tabgrid_models import calibration
from tabgrid_models.calibration import Cheat
from tabgrid_models.connectors.base import InvalidOutput, Traced

from ..export.native import NativeRuntime
from . import altered
from .forgeries import FORGERIES, Case, Forge
from .steps import Answer, Steps
from .subject import Subject

#: Cheats that are other models in the same files.
OTHER_MODELS: Mapping[str, altered.Change] = {
    "other weights": altered.reshuffle,
    "one layer less": altered.drop_last_layer,
    "weights of 4 bits": altered.fewer_bits,
    "arithmetic in 16 bits": altered.halve,
}
#: A variant that has few bits itself is not cheated at with as many.
HONEST_HERE = {"q4": "weights of 4 bits", "fp16": "arithmetic in 16 bits"}
SEED = 7

#: An input, a forged output, and the steps that go with it.
JudgeSteps = Callable[[Any, Any, Sequence[bytes]], Awaitable[None]]


class Cheats:
    """``honest`` are the reference's answers; ``steps`` also looks at each where there are any."""

    def __init__(
        self,
        subject: Subject,
        inputs: Sequence[Any],
        honest: Mapping[int, Answer],
        steps: Steps | None,
    ) -> None:
        self._subject = subject
        self._inputs = inputs
        self._honest = honest
        self._steps = steps

    def found(self, threshold: float) -> Iterator[Cheat]:
        """How many of each kind are told from honest answers by it."""
        for name, forge, runtime in self._ways():
            self._subject.say(f"cheat, {name}")
            judge = partial(self._steps.cheated, name) if self._steps else None
            tried = asyncio.run(self._tried(forge, runtime, judge))
            if tried:
                distances = [distance for distance in tried if distance is not None]
                told = sum(distance is None or distance > threshold for distance in tried)
                spread = calibration.spread(distances) if distances else None
                yield Cheat(name, len(tried), told, spread)

    def _ways(self) -> Iterator[tuple[str, Forge, NativeRuntime]]:
        manifest, variant, _, files, *_ = self._subject
        for name, change in OTHER_MODELS.items():
            if name == HONEST_HERE.get(variant.dtype):
                continue
            with tempfile.TemporaryDirectory(dir=files.parent) as scratch:
                if runtime := altered.load(manifest, variant, files, Path(scratch), change):
                    yield name, _as_it_is, runtime
        own = NativeRuntime(manifest, variant, files)
        for name, forge in FORGERIES.get(manifest.connector, {}).items():
            yield name, forge, own

    async def _tried(
        self, forge: Forge, runtime: NativeRuntime, judge: JudgeSteps | None
    ) -> list[float | None]:
        """Distances from what is right; None for a forgery that is refused for its form.

        ``judge`` looks at the steps of one that is not: those of what the cheat computed last,
        or the right ones where it computed nothing.
        """
        found: list[float | None] = []
        random = Random(SEED)  # noqa: S311 - forgeries, no secrets
        inputs, honest, manifest = self._inputs, self._honest, self._subject.manifest
        computed: list[tuple[Any, Answer]] = []

        async def answer(input: Any) -> Any:
            made = await self._subject.computed(runtime, input)
            computed.append((input, made))
            return made.output

        for number in list(honest)[: self._subject.options.cheated]:
            right, other = honest[number], honest[(number + 1) % len(honest)]
            computed[:] = [(inputs[number], right)]
            case = Case(inputs[number], right.output, other.output, answer, manifest, random)
            forged = await forge(case)
            if forged is None:
                continue
            found.append(self._judged(case, forged))
            if judge is not None and found[-1] is not None:
                await judge(case.input, forged, self._states(*computed[-1]))
        return found

    def _states(self, input: Any, answer: Answer) -> tuple[bytes, ...]:
        connector = self._subject.connector
        assert isinstance(connector, Traced)
        return connector.split_trace(input, self._subject.manifest, answer.trace)

    def _judged(self, case: Case, forged: Any) -> float | None:
        try:
            self._subject.connector.check(case.input, forged, self._subject.manifest)
        except InvalidOutput:
            return None
        return self._subject.distance(case.right, forged)


async def _as_it_is(case: Case) -> Any:
    """The model itself is the cheat."""
    return await case.answer(case.input)

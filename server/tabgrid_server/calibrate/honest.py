"""Honest answers of every backend to the same inputs."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from tabgrid_models.manifest import Golden, Manifest
from tabgrid_models.runtime import quiet

from ..export.native import NativeRuntime
from . import NATIVE
from .steps import Answer
from .subject import Subject


class Measured(NamedTuple):
    """Answers of one backend by the number of the input."""

    device: str
    answers: dict[int, Answer]


def measured(subject: Subject, inputs: Sequence[Any]) -> dict[str, Measured]:
    """Backend to its answers. Raises ``ClickException`` where a browser is not there."""
    found = {}
    for name in subject.options.backends:
        subject.say(name)
        found[name] = (_native if name in NATIVE else _tab)(subject, name, inputs)
        subject.tell(f"  {len(found[name].answers)} of {len(inputs)} inputs answered")
    return found


def _native(subject: Subject, name: str, inputs: Sequence[Any]) -> Measured:
    runtime = subject.runtime(name)
    device = f"onnxruntime on {platform.machine()}"
    return Measured(device, asyncio.run(_answers(subject, runtime, inputs)))


def _tab(subject: Subject, name: str, inputs: Sequence[Any]) -> Measured:
    from .tab import answers

    alone = asyncio.run(_alone(subject))
    device, found = answers(alone, subject.files, name, inputs, subject.options.seconds)
    return Measured(device, dict(enumerate(found)))


async def _alone(subject: Subject) -> Manifest:
    """A model of this one variant, so that a tab has no other to choose.

    Its golden answers are made anew: a picture names the manifest that it was drawn by.
    """
    connector = subject.connector
    alone = msgspec.structs.replace(subject.manifest, variants=(subject.variant,), golden=())
    runtime = NativeRuntime(alone, subject.variant, subject.files)
    golden = []
    for pair in subject.manifest.golden:
        input = msgspec.convert(pair.input, connector.Input)
        output = await connector.run(input, alone, runtime, quiet)
        golden.append(Golden(pair.input, msgspec.to_builtins(output)))
    return msgspec.structs.replace(alone, golden=tuple(golden))


async def _answers(
    subject: Subject, runtime: NativeRuntime, inputs: Sequence[Any]
) -> dict[int, Answer]:
    end, found = time.monotonic() + subject.options.seconds, dict[int, Answer]()
    for number, input in enumerate(inputs):
        if time.monotonic() > end:
            break
        found[number] = await subject.computed(runtime, input)
        subject.connector.check(input, found[number].output, subject.manifest)
    return found

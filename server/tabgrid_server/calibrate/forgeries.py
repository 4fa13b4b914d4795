"""Answers that cost less than the right one, or nothing: per algorithm, in the right form.

Each forgery passes for an answer as far as it can: a picture says of itself what its input
asked for, a vector is of length 1. What is left to tell it apart is the comparator.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec

from tabgrid_models import png
from tabgrid_models.connectors.classify import ClassifyOutput
from tabgrid_models.connectors.embeddings import EmbeddingsOutput
from tabgrid_models.drawing import TextToImageConfig, TextToImageInput, TextToImageOutput, drawing
from tabgrid_models.manifest import Manifest

#: The honest model, answering whatever input the cheat prefers.
Answer = Callable[[Any], Awaitable[Any]]


class Case(NamedTuple):
    """One job that somebody cheats at."""

    input: Any
    #: What an honest node answers.
    right: Any
    #: The right answer to another input.
    other: Any
    answer: Answer
    manifest: Manifest
    random: Random


#: None: this job leaves nothing to cheat at in this way.
Forge = Callable[[Case], Awaitable[Any]]


# --- texts ---------------------------------------------------------------------------


async def _half_the_texts(case: Case) -> Any:
    """Reads the first half of each text: a quarter of the attention, half of the rest."""
    texts = tuple(text[: (len(text) + 1) // 2] for text in case.input.texts)
    if texts == case.input.texts:
        return None
    return await case.answer(msgspec.structs.replace(case.input, texts=texts))


# --- vectors -------------------------------------------------------------------------


async def _other_vectors(case: Case) -> EmbeddingsOutput:
    """Rows of another job, as many as are needed."""
    wanted = len(case.right.embeddings)
    rows = case.other.embeddings
    return EmbeddingsOutput((rows * (wanted // len(rows) + 1))[:wanted], case.right.dims)


async def _random_vectors(case: Case) -> EmbeddingsOutput:
    return _nudged(case, math.inf)


def _vectors_off_by(part: float) -> Forge:
    async def forge(case: Case) -> EmbeddingsOutput:
        return _nudged(case, part)

    return forge


def _nudged(case: Case, part: float) -> EmbeddingsOutput:
    """Each row moved by ``part`` of its length in a chance direction, and of length 1 again."""
    dims = case.right.dims
    content = bytearray()
    for row in struct.iter_unpack(f"<{dims}f", case.right.embeddings):
        chance = _unit([case.random.gauss(0, 1) for _ in range(dims)])
        if math.isfinite(part):
            chance = _unit([a + part * b for a, b in zip(row, chance, strict=True)])
        content += struct.pack(f"<{dims}f", *chance)
    return EmbeddingsOutput(bytes(content), dims)


def _unit(row: list[float]) -> list[float]:
    length = math.hypot(*row)
    return [value / length for value in row]


# --- labels --------------------------------------------------------------------------


async def _other_scores(case: Case) -> ClassifyOutput:
    """Rows of another job, cut or filled up to as many labels."""
    wanted = [len(row) for row in case.right.scores]
    rows = case.other.scores * len(wanted)
    made = [
        [(row * count)[at] for at in range(count)] for row, count in zip(rows, wanted, strict=False)
    ]
    return ClassifyOutput(tuple(map(_shares, made)))


async def _random_scores(case: Case) -> ClassifyOutput:
    rows = ([case.random.random() for _ in row] for row in case.right.scores)
    return ClassifyOutput(tuple(map(_shares, rows)))


def _scores_off_by(part: float) -> Forge:
    async def forge(case: Case) -> ClassifyOutput:
        def moved(row: tuple[float, ...]) -> tuple[float, ...]:
            """``part`` of everything goes from the likeliest label to another one."""
            best = max(range(len(row)), key=row.__getitem__)
            to = case.random.choice([at for at in range(len(row)) if at != best])
            change = {best: -part, to: part}
            return tuple(max(0.0, share + change.get(at, 0.0)) for at, share in enumerate(row))

        return ClassifyOutput(tuple(map(moved, case.right.scores)))

    return forge


def _shares(row: list[float]) -> tuple[float, ...]:
    total = sum(row)
    return tuple(value / total for value in row)


# --- pictures ------------------------------------------------------------------------


def _drawn_with(change: Callable[[TextToImageInput, TextToImageConfig], dict[str, Any]]) -> Forge:
    """Another drawing by the same model, passed off as the one that was asked for."""

    async def forge(case: Case) -> TextToImageOutput | None:
        config = msgspec.convert(case.manifest.config, TextToImageConfig)
        other = msgspec.structs.replace(case.input, **change(case.input, config))
        if drawing(other, config) == drawing(case.input, config):
            return None
        return _passed_off(case, _pixels(await case.answer(other)))

    return forge


def _steps(input: TextToImageInput, config: TextToImageConfig) -> int:
    return input.steps or config.default_steps


def _one_step_less(input: TextToImageInput, config: TextToImageConfig) -> dict[str, Any]:
    return {"steps": max(_steps(input, config) - 1, 1)}


def _half_the_steps(input: TextToImageInput, config: TextToImageConfig) -> dict[str, Any]:
    return {"steps": max(_steps(input, config) // 2, 1)}


def _half_the_prompt(input: TextToImageInput, config: TextToImageConfig) -> dict[str, Any]:
    words = input.prompt.split()
    return {"prompt": " ".join(words[: (len(words) + 1) // 2])}


def _unguided(input: TextToImageInput, config: TextToImageConfig) -> dict[str, Any]:
    """One pass of the network in each step where two are paid for."""
    return {"guidance": 1.0} if config.guided else {}


def _another_seed(input: TextToImageInput, config: TextToImageConfig) -> dict[str, Any]:
    return {"seed": input.seed + 1}


async def _other_picture(case: Case) -> TextToImageOutput:
    return _passed_off(case, _pixels(case.other))


async def _noise(case: Case) -> TextToImageOutput:
    return _passed_off(case, case.random.randbytes(len(_pixels(case.right))))


def _levels_off_by(levels: float) -> Forge:
    async def forge(case: Case) -> TextToImageOutput:
        chance = case.random.gauss
        moved = (round(level + chance(0, levels)) for level in _pixels(case.right))
        return _passed_off(case, bytes(min(255, max(0, level)) for level in moved))

    return forge


def stretched(states: Sequence[bytes], count: int) -> tuple[bytes, ...]:
    """``count`` states for an answer that has others: of too few, some are shown twice."""
    shown = (states[at * len(states) // count] for at in range(count - 1))
    return (*shown, states[-1])


def _pixels(output: TextToImageOutput) -> bytes:
    return png.decode(output.image, output.width * output.height).rgb


def _passed_off(case: Case, rgb: bytes) -> TextToImageOutput:
    """These pixels with what a right answer says of itself."""
    config = msgspec.convert(case.manifest.config, TextToImageConfig)
    wanted = drawing(case.input, config)
    image = png.encode(wanted.width, wanted.height, _rgba(rgb), wanted.texts(case.manifest))
    return TextToImageOutput(image, wanted.width, wanted.height, wanted.seed)


def _rgba(rgb: bytes) -> bytes:
    full = bytearray(b"\xff" * (len(rgb) // 3 * 4))
    for channel in range(3):
        full[channel::4] = rgb[channel::3]
    return bytes(full)


# --- which there are -----------------------------------------------------------------

FORGERIES: dict[str, dict[str, Forge]] = {
    "embeddings": {
        "half of each text": _half_the_texts,
        "another job's answer": _other_vectors,
        "random unit vectors": _random_vectors,
        "right but for 1 %": _vectors_off_by(0.01),
        "right but for 0.1 %": _vectors_off_by(0.001),
    },
    "classify": {
        "half of each text": _half_the_texts,
        "another job's answer": _other_scores,
        "random shares": _random_scores,
        "right but for 1 %": _scores_off_by(0.01),
        "right but for 0.1 %": _scores_off_by(0.001),
    },
    "text-to-image": {
        "one step less": _drawn_with(_one_step_less),
        "half of the steps": _drawn_with(_half_the_steps),
        "half of the prompt": _drawn_with(_half_the_prompt),
        "without guidance": _drawn_with(_unguided),
        "another seed": _drawn_with(_another_seed),
        "another job's picture": _other_picture,
        "random pixels": _noise,
        "right but for 5 levels": _levels_off_by(5),
        "right but for 1 level": _levels_off_by(1),
    },
}

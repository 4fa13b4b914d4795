"""Honest work to measure with: as varied as users', the same every time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice
from random import Random
from typing import Any

import msgspec

from tabgrid_models import catalogue
from tabgrid_models.connectors.classify import ClassifyInput
from tabgrid_models.connectors.embeddings import EmbeddingsInput
from tabgrid_models.drawing import TextToImageInput
from tabgrid_models.manifest import Manifest

from ..export import corpus

SEED = 5
#: Texts of one job, in turn: most people send one, and a batch is padded.
TEXTS = (1, 2, 1, 4)
#: Texts are put together from so many sentences.
SENTENCES = (1, 1, 2, 3)
#: Beyond this a text is cut; SwiftShader takes a second for every twenty tokens.
MAX_CHARACTERS = 400
LABELS = (
    ("sport", "economy", "weather", "cooking"),
    ("a complaint", "praise", "a question"),
    ("science", "law", "software", "travel", "health", "art"),
    ("something urgent", "something that can wait"),
)
SIZES = ("small", "big", "")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "black", "white")
SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring")
PLACES = ("", "in the middle", "at the top", "at the bottom", "above a white square")


def honest(manifest: Manifest, count: int) -> list[Any]:
    """``count`` inputs of the model's connector; its golden ones where it is none of ours."""
    make = MAKERS.get(manifest.connector, _golden)
    return make(manifest, count, Random(SEED))  # noqa: S311 - inputs, no secrets


def read(manifest: Manifest, lines: bytes) -> list[Any]:
    """Inputs that somebody wrote down, one JSON object per line.

    Raises ``msgspec.DecodeError`` and the connector's ``InvalidInput``.
    """
    connector = catalogue.connector_of(manifest)
    found = [
        msgspec.json.decode(line, type=connector.Input)
        for line in lines.splitlines()
        if line.strip()
    ]
    for input in found:
        connector.validate(input, manifest)
    return found


def _embeddings(manifest: Manifest, count: int, random: Random) -> list[Any]:
    texts = _texts(random)
    return [EmbeddingsInput(tuple(islice(texts, many))) for many in islice(cycle(TEXTS), count)]


def _classify(manifest: Manifest, count: int, random: Random) -> list[Any]:
    texts = (text for text in _texts(random) if text.strip())
    return [
        ClassifyInput(tuple(islice(texts, many)), random.choice(LABELS))
        for many in islice(cycle(TEXTS), count)
    ]


def _pictures(manifest: Manifest, count: int, random: Random) -> list[Any]:
    return [TextToImageInput(_prompt(random), seed=seed) for seed in range(count)]


def _golden(manifest: Manifest, count: int, random: Random) -> list[Any]:
    given = [input for input, _ in catalogue.golden(manifest)]
    return list(islice(cycle(given), count))


def _texts(random: Random) -> Any:
    """Without end: sentences and oddities in many scripts, alone and together."""
    known = [text[:MAX_CHARACTERS] for text in corpus.texts(MAX_CHARACTERS // 8)]
    yield from random.sample(known, len(known))
    while True:
        parts = random.choices(known, k=random.choice(SENTENCES))
        yield " ".join(parts)[:MAX_CHARACTERS]


def _prompt(random: Random) -> str:
    words = (
        "a",
        random.choice(SIZES),
        random.choice(COLOURS),
        random.choice(SHAPES),
        random.choice(PLACES),
        "on a",
        random.choice(COLOURS),
        "background",
    )
    return " ".join(word for word in words if word)


MAKERS: dict[str, Callable[[Manifest, int, Random], list[Any]]] = {
    "embeddings": _embeddings,
    "classify": _classify,
    "text-to-image": _pictures,
}

"""The playground: one side per kind of model, and a form from the schema for all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from . import guides
from .views import ModelCard

_LEAD = "Ask a tab somewhere. See what comes back, who answered, how fast, and for how much."


class Side(NamedTuple):
    """A template of ``playground/``, and the words that lead to it."""

    name: str
    word: str
    lead: str


SIDES = {
    "text-to-image": Side(
        "draw",
        "Pictures",
        "Describe a picture. A tab somewhere draws it: watch it come, see who drew it, "
        "how fast, and for how much.",
    ),
    "embeddings": Side(
        "compare",
        "Similarity",
        "Send two texts to a tab somewhere. See how near they are in meaning, who answered, "
        "how fast, and for how much.",
    ),
}
#: What stands in the field when the page opens; the shipped model draws such scenes.
EXAMPLE = "a red circle above a blue square on a white background"


class Choice(msgspec.Struct, frozen=True):
    card: ModelCard
    word: str


def context(cards: Sequence[ModelCard], wanted: str | None, origin: str) -> dict[str, Any]:
    """What the template needs; ``wanted`` is a model's id as somebody typed it into the address."""
    cards = sorted(cards, key=_rank)
    choices = [Choice(card, side_of(card).word) for card in cards]
    chosen = _chosen(cards, wanted)
    if chosen is None:
        data = {"side": "", "origin": origin}
        return {"choices": choices, "chosen": None, "side": "", "lead": _LEAD, "page_data": data}
    side = side_of(chosen)
    return {
        "choices": choices,
        "chosen": chosen,
        "side": side.name,
        "lead": side.lead,
        "example": EXAMPLE,
        "card": guides.card(chosen.readme),
        "page_data": {
            "side": side.name,
            "origin": origin,
            "model": chosen.model.id,
            "title": chosen.model.title,
            "unit": chosen.model.unit,
        },
    }


def side_of(card: ModelCard) -> Side:
    word = card.model.connector.replace("-", " ").capitalize()
    return SIDES.get(card.model.connector, Side("generic", word, _LEAD))


def _chosen(cards: Sequence[ModelCard], wanted: str | None) -> ModelCard | None:
    """The one that was asked for, else the first."""
    named = [card for card in cards if card.model.id == wanted]
    return next(iter([*named, *cards]), None)


def _rank(card: ModelCard) -> int:
    """What draws comes first, then what has a side of its own."""
    order = list(SIDES)
    connector = card.model.connector
    return order.index(connector) if connector in order else len(order)

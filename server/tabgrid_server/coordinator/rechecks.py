"""Answers that came in steps: which of them are run again, and what a reference found. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tabgrid_models import trace
from tabgrid_models.connectors.base import InvalidOutput, Traced
from tabgrid_models.trace import Claimed, Part, Rechecked

from ..trust.draws import draw_steps
from .live import Answer
from .offers import Offer

#: JSON and databases have no infinity; shapes that differ are as far as can be.
FURTHEST = 1e308

_decode = msgspec.msgpack.Decoder(Rechecked).decode


def claimed_in(
    offer: Offer,
    input: Any,
    input_bytes: bytes,
    answer: Answer,
    secret: bytes,
    commit: bytes,
    *,
    every_step: bool = False,
) -> Claimed | None:
    """What is to be run again of an answer that was just committed to.

    ``secret`` is that of the epoch, ``commit`` the commit hash. None where the whole answer is:
    it has no steps, its node did not commit to them, or they are too large to be sent at once.
    """
    connector = offer.connector
    if not isinstance(connector, Traced) or answer.result.root is None:
        return None
    states = connector.split_trace(input, offer.manifest, answer.trace)
    stretches = len(states) - 1
    count = stretches if every_step else trace.drawn(stretches, len(states[0]))
    places = draw_steps(secret, commit, stretches, count)
    kept = connector.kept(input, offer.manifest)
    found = trace.claim(input_bytes, kept, states, places, answer.output)
    return found if found.sent <= trace.MAX_SENT else None


def units(offer: Offer, input: Any, units: int, claimed: Claimed) -> int:
    """Work in running it again; ``units`` are those of the whole answer."""
    connector = _traced(offer)
    share = connector.recheck_share(input, offer.manifest, claimed.asked)
    return max(1, round(units * share))


def read(offer: Offer, input: Any, claimed: Claimed, output: bytes) -> Rechecked:
    """What a reference answered. Raises ``InvalidOutput``."""
    try:
        found = _decode(output)
    except msgspec.MsgspecError as error:
        raise InvalidOutput(f"it cannot be read: {error}") from error
    _traced(offer).check_rechecked(input, claimed.asked, found, offer.manifest)
    return found


def parts(
    offer: Offer, input: Any, claimed: Claimed, found: Rechecked, dtype: str
) -> tuple[Part, ...]:
    """What was found of each; the worst decides. ``dtype`` is the node's and the reference's."""
    return _traced(offer).compare_steps(
        input, offer.manifest, claimed, found, dtype, offer.thresholds(dtype)
    )


def text_of(parts: Sequence[Part]) -> str:
    """As JSON, which has no infinity: what is further than that is as far as can be."""
    bounded = (msgspec.structs.replace(p, distance=min(p.distance, FURTHEST)) for p in parts)
    return msgspec.json.encode(list(bounded)).decode()


def _traced(offer: Offer) -> Traced:
    assert isinstance(offer.connector, Traced)
    return offer.connector

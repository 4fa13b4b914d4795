"""What a job would cost, before anybody pays: the same check and count as when it is sent."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request

from ..auth import client_address
from ..services import services
from .operations import Operation, TooLarge, operation
from .schemas.base import Request as Body
from .schemas.jobs import Quote

_encode = msgspec.msgpack.Encoder().encode

#: Counting the tokens of this much takes some 30-60 ms; nobody has paid for them yet.
MAX_BYTES = 64 * 1024


class QuoteRequest(Body, frozen=True):
    model: Annotated[str, Meta(min_length=1, max_length=64)]
    #: The connector's own input, as for a job.
    input: dict[str, Any]


@operation(
    "POST",
    "/api/quotes",
    tag="Jobs",
    summary="Check an input and say what it would cost; nothing is kept",
    body=QuoteRequest,
    returns=Quote,
    errors=(404, 429),
)
async def create_quote(request: Request, body: QuoteRequest) -> Quote:
    at = services(request)
    # Counted apart from sign-ins, so that whoever types a prompt can still sign in.
    at.public_requests.take(f"quote {client_address(request)}", time.monotonic())
    coordinator = at.coordinator
    offer = coordinator.offer_of(body.model)
    input = offer.convert(body.input)
    if len(_encode(input)) > MAX_BYTES:
        raise TooLarge(f"Only inputs of up to {MAX_BYTES} bytes are priced without a key.")
    priced = await offer.price_in_time(input)
    speed = coordinator.speed(offer)
    return Quote(
        model=offer.manifest.id,
        grid=offer.grid,
        units=priced.units,
        unit=offer.connector.unit,
        usage=priced.usage,
        price=priced.price.total,
        check=priced.check if coordinator.can_check(offer) else None,
        token=at.settings.chain.symbol,
        nodes=coordinator.scheduler.serving(offer.grid, offer.digest),
        waiting=coordinator.scheduler.waiting_for(offer.grid, offer.digest),
        seconds=priced.units / speed if speed else None,
    )


OPERATIONS: tuple[Operation, ...] = (create_quote,)

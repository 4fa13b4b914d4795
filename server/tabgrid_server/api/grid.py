"""What the grid is and does: grids, models, weights, nodes, wallets, figures, live events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from ..errors import NotFound
from ..services import Services, services
from .operations import Operation, operation
from .schemas.grid import Grids, Nodes, Stats, UnsupportedKinds
from .schemas.jobs import JobRow
from .schemas.wallets import Wallet
from .streams import stream_of

#: A name that is a hash never changes its content.
IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
ASK_AGAIN = {"Cache-Control": "no-cache"}
#: People cannot follow more than a few changes a second; browsers should not have to.
EVENTS_PAUSE_S = 0.25
EVENTS_ROWS = 25
TOTALS_S = 2.0


@operation("GET", "/api/grids", tag="Grid", summary="What one can opt in to", returns=Grids)
async def list_grids(request: Request) -> Grids:
    return Grids(tuple(await services(request).views.grids()))


@operation("GET", "/api/nodes", tag="Grid", summary="Nodes that are connected", returns=Nodes)
async def list_nodes(request: Request) -> Nodes:
    return Nodes(tuple(await services(request).views.nodes()))


@operation(
    "GET",
    "/api/unsupported",
    tag="Grid",
    summary="Kinds of devices that cannot run a model, the most frequent first",
    returns=UnsupportedKinds,
)
async def list_unsupported(request: Request) -> UnsupportedKinds:
    return UnsupportedKinds(tuple(await services(request).views.unsupported()))


@operation("GET", "/api/stats", tag="Grid", summary="Totals and the last hour", returns=Stats)
async def get_stats(request: Request) -> Stats:
    return await services(request).views.stats()


@operation(
    "GET",
    "/api/wallets/{address}",
    tag="Grid",
    summary="What a wallet has earned, and where it is",
    returns=Wallet,
    errors=(404,),
)
async def get_wallet(request: Request) -> Wallet:
    address = request.path_params["address"]
    if not is_address(address):
        raise NotFound("This is not a Solana address: those are 32-44 base58 characters.")
    return await services(request).views.wallet(address)


@operation(
    "GET",
    "/api/models/{digest}",
    tag="Grid",
    summary="A model's manifest: the bytes whose SHA-256 is its digest",
    returns=dict,
    errors=(404,),
)
async def get_manifest(request: Request) -> Response:
    digest = request.path_params["digest"]
    manifest = services(request).library.catalogue.by_digest(digest)
    if manifest is None:
        raise NotFound("No model of this grid has this digest.")
    body = msgspec.json.encode(manifest, order="sorted")
    return Response(body, headers=IMMUTABLE, media_type="application/json")


@operation(
    "GET",
    "/api/models/{digest}/calibration",
    tag="Grid",
    summary="How far honest answers of a model lie apart: the thresholds of self-tests and audits",
    returns=dict,
    errors=(404,),
)
async def get_calibration(request: Request) -> Response:
    library = services(request).library
    manifest = library.catalogue.by_digest(request.path_params["digest"])
    found = library.calibrations.get(manifest.id) if manifest else None
    if found is None:
        raise NotFound("Nobody has calibrated this model: its connector's thresholds hold.")
    # It is made anew without a change of the digest, so browsers ask again.
    return Response(found.encoded(), headers=ASK_AGAIN, media_type="application/json")


@operation(
    "GET",
    "/weights/{sha256}",
    tag="Grid",
    summary="A file of a model by the SHA-256 of its bytes; Range is understood",
    returns=bytes,
    media="application/octet-stream",
    errors=(404,),
)
async def get_weights(request: Request) -> Response:
    path = services(request).library.files.get(request.path_params["sha256"])
    if path is None:
        raise NotFound("No file of this grid's models has this SHA-256.")
    return FileResponse(path, headers=IMMUTABLE, media_type="application/octet-stream")


@operation(
    "GET",
    "/api/events",
    tag="Grid",
    summary="Live: events `totals` and `job`",
    returns=str,
    media="text/event-stream",
    errors=(503,),
)
async def follow_grid(request: Request) -> EventSourceResponse:
    return stream_of(request, _events(services(request)))


async def _events(at: Services) -> AsyncIterator[tuple[str, Any]]:
    """The newest row of each changed job, a few times a second; totals when they changed."""
    shown: Any = None
    with at.coordinator.bus.listen("jobs") as changes:
        while True:
            totals = await at.views.totals()
            if totals != shown:
                shown = totals
                yield "totals", totals
            for row in await _burst(changes):
                yield "job", row


async def _burst(changes: asyncio.Queue[JobRow]) -> list[JobRow]:
    """What changed within a moment of the first change, one row per job, oldest first."""
    try:
        async with asyncio.timeout(TOTALS_S):
            first = await changes.get()
    except TimeoutError:
        return []
    await asyncio.sleep(EVENTS_PAUSE_S)
    rows = {first.id: first}
    while not changes.empty():
        row = changes.get_nowait()
        rows[row.id] = row
    return list(rows.values())[-EVENTS_ROWS:]


def is_address(text: str) -> bool:
    from solders.pubkey import Pubkey

    try:
        Pubkey.from_string(text)
    except ValueError:
        return False
    return True


OPERATIONS: tuple[Operation, ...] = (
    list_grids, list_nodes, list_unsupported, get_stats, get_wallet, get_manifest,
    get_calibration, get_weights, follow_grid,
)  # fmt: skip

"""Statements: every movement of a wallet's or a key's money, as JSON by pages and as CSV."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Literal

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .. import statements
from ..auth import client_address
from ..errors import NotFound
from ..services import Services, services
from ..store.statements import Account, accounts_of_owner, accounts_of_wallet
from .grid import is_address
from .operations import Operation, operation
from .schemas.base import Request as Body
from .schemas.wallets import Statement

#: More than the accounts of a wallet, so that a transfer is never cut in two; a page of 500
#: lines is some 100 kB.
Limit = Annotated[int, Meta(ge=10, le=500)]
Number = Annotated[int, Meta(ge=1, le=2**53 - 1)]
#: Ids and signatures; the longest is a signature of 88 characters.
Reference = Annotated[str, Meta(min_length=1, max_length=128)]


class WalletStatementQuery(Body, frozen=True):
    limit: Limit = 100
    before: Number | None = None
    account: (
        Literal["withheld", "claimable", "in_flight", "paid", "push_fees", "overpaid"] | None
    ) = None
    ref: Reference | None = None


class KeyStatementQuery(Body, frozen=True):
    limit: Limit = 100
    before: Number | None = None
    account: Literal["credit", "held", "in_flight"] | None = None
    ref: Reference | None = None


class StatementDays(Body, frozen=True):
    """Days in UTC, both included."""

    since: date | None = None
    until: date | None = None


@operation(
    "GET",
    "/api/wallets/{address}/statement",
    tag="Statements",
    summary="Every posting of a wallet, newest first; `next` is the `before` of the next page",
    query=WalletStatementQuery,
    returns=Statement,
    errors=(404, 429),
)
async def get_wallet_statement(request: Request, query: WalletStatementQuery) -> Statement:
    return await _page(request, accounts_of_wallet(_address(request)), query)


@operation(
    "GET",
    "/api/wallets/{address}/statement.csv",
    tag="Statements",
    summary="The same as CSV, oldest first, whole or of some days",
    query=StatementDays,
    returns=str,
    media="text/csv",
    errors=(404, 429),
)
async def download_wallet_statement(request: Request, query: StatementDays) -> Response:
    address = _address(request)
    return _download(request, accounts_of_wallet(address), query, address)


@operation(
    "GET",
    "/api/keys/current/statement",
    tag="Statements",
    summary="Every posting of the key that asks, newest first",
    query=KeyStatementQuery,
    returns=Statement,
    auth="key",
    errors=(429,),
)
async def get_key_statement(request: Request, query: KeyStatementQuery) -> Statement:
    key = await services(request).keys.key_of(request)
    return await _page(request, accounts_of_owner(key.owner), query)


@operation(
    "GET",
    "/api/keys/current/statement.csv",
    tag="Statements",
    summary="The same as CSV, oldest first, whole or of some days",
    query=StatementDays,
    returns=str,
    media="text/csv",
    auth="key",
    errors=(429,),
)
async def download_key_statement(request: Request, query: StatementDays) -> Response:
    key = await services(request).keys.key_of(request)
    return _download(request, accounts_of_owner(key.owner), query, key.id)


async def _page(
    request: Request,
    accounts: Sequence[Account],
    query: WalletStatementQuery | KeyStatementQuery,
) -> Statement:
    at = _counted(request)
    return await statements.page(
        at.store,
        accounts,
        at.views.token,
        query.limit,
        account=query.account,
        ref=query.ref,
        before=query.before,
    )


def _download(
    request: Request, accounts: Sequence[Account], days: StatementDays, name: str
) -> Response:
    at = _counted(request)
    symbol = at.settings.chain.symbol
    lines = statements.as_csv(at.store, accounts, symbol, days.since, days.until)
    headers = {
        "Content-Disposition": f'attachment; filename="tabgrid-{name}.csv"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(lines, media_type="text/csv", headers=headers)


def _counted(request: Request) -> Services:
    """A statement costs reading: it counts as what anybody may ask for so often a minute."""
    at = services(request)
    at.public_requests.take(client_address(request), time.monotonic())
    return at


def _address(request: Request) -> str:
    address: str = request.path_params["address"]
    if not is_address(address):
        raise NotFound("This is not a Solana address: those are 32-44 base58 characters.")
    return address


OPERATIONS: tuple[Operation, ...] = (
    get_wallet_statement,
    download_wallet_statement,
    get_key_statement,
    download_key_statement,
)

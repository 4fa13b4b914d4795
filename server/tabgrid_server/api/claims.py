"""Claims: from what is claimable to a transaction on chain that the wallet signed first."""

from __future__ import annotations

import time

from starlette.requests import Request

from ..auth import client_address
from ..errors import NotFound
from ..services import services
from ..views import claim_view
from .account import decode_base64
from .operations import Operation, operation
from .schemas.base import Address
from .schemas.base import Request as Body
from .schemas.claims import Claim, ClaimRequest, Claims, PayoutOffer, PayoutRequest, SignedClaim
from .schemas.transactions import Transaction


class ClaimsQuery(Body, frozen=True):
    wallet: Address


@operation(
    "POST",
    "/api/claims",
    tag="Claims",
    summary="Reserve all that is claimable and get the transaction to sign",
    body=ClaimRequest,
    returns=Claim,
    status=201,
    auth="session",
    errors=(409, 429, 503),
)
async def create_claim(request: Request, body: ClaimRequest) -> Claim:
    at = services(request)
    session = await at.sessions.required(request)
    at.public_requests.take(client_address(request), time.monotonic())
    return claim_view(await at.payouts.service.reserve(session.wallet))


@operation(
    "POST",
    "/api/claims/{claim}/sign",
    tag="Claims",
    summary="Hand in the transaction that the wallet signed",
    body=SignedClaim,
    returns=Claim,
    status=202,
    auth="session",
    errors=(404, 409, 503),
)
async def sign_claim(request: Request, body: SignedClaim) -> Claim:
    at = services(request)
    session = await at.sessions.required(request)
    signed = decode_base64(body.transaction, "transaction")
    return claim_view(
        await at.payouts.service.sign(request.path_params["claim"], session.wallet, signed)
    )


@operation(
    "GET",
    "/api/claims/{claim}",
    tag="Claims",
    summary="How far a claim is",
    returns=Claim,
    errors=(404,),
)
async def get_claim(request: Request) -> Claim:
    claim = await services(request).views.claim(request.path_params["claim"])
    if claim is None:
        raise NotFound("No claim has this id.")
    return claim


@operation(
    "GET",
    "/api/claims",
    tag="Claims",
    summary="A wallet's claims, newest first",
    query=ClaimsQuery,
    returns=Claims,
)
async def list_claims(request: Request, query: ClaimsQuery) -> Claims:
    return Claims(tuple(await services(request).views.claims(query.wallet)))


@operation(
    "GET",
    "/api/transactions/{signature}",
    tag="Claims",
    summary="A claim's transaction: what was booked, and what the chain says of it",
    returns=Transaction,
    errors=(404,),
)
async def get_transaction(request: Request) -> Transaction:
    found = await services(request).views.transaction(request.path_params["signature"])
    if found is None:
        raise NotFound("No claim of this grid has a transaction with this signature.")
    return found


@operation(
    "GET",
    "/api/payouts/offer",
    tag="Claims",
    summary="What it costs to have the grid pay the network, for a wallet without SOL",
    returns=PayoutOffer,
    auth="session",
    errors=(429, 503),
)
async def get_payout_offer(request: Request) -> PayoutOffer:
    at = services(request)
    session = await at.sessions.required(request)
    chain = at.settings.chain
    if not chain.push_minimum:
        return PayoutOffer(offered=False)
    at.public_requests.take(client_address(request), time.monotonic())
    offer = await at.payouts.service.offer(session.wallet)
    return PayoutOffer(
        offered=True,
        fee=offer.fee,
        minimum=chain.push_minimum,
        creates_account=offer.creates_account,
        has_sol=offer.has_sol,
    )


@operation(
    "POST",
    "/api/payouts",
    tag="Claims",
    summary="Have the grid pay out all that is claimable, less its fee; nothing is to be signed",
    body=PayoutRequest,
    returns=Claim,
    status=201,
    auth="session",
    errors=(409, 429, 503),
)
async def create_payout(request: Request, body: PayoutRequest) -> Claim:
    at = services(request)
    session = await at.sessions.required(request)
    at.public_requests.take(client_address(request), time.monotonic())
    return claim_view(await at.payouts.service.push(session.wallet, body.max_fee))


OPERATIONS: tuple[Operation, ...] = (
    create_claim,
    sign_claim,
    get_claim,
    list_claims,
    get_transaction,
    get_payout_offer,
    create_payout,
)

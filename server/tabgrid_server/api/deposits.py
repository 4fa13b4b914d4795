"""Deposits: credit for a key, paid on chain, and what of it is unused, back to its wallet."""

from __future__ import annotations

import base64
import io
import time

import msgspec
import segno
from starlette.requests import Request
from starlette.responses import Response

from ..auth import client_address
from ..chain.refusals import ClaimUnknown
from ..errors import BadRequest, NotFound
from ..services import services
from ..store import claims as stored_claims
from ..views import claim_view
from .account import decode_base64
from .grid import is_address
from .operations import Operation, operation
from .schemas.claims import Claim, Claims, SignedClaim
from .schemas.deposits import (
    Deposit,
    DepositRequest,
    Deposits,
    PaymentRequest,
    RefundRequest,
    UnsignedPayment,
)


@operation(
    "POST",
    "/api/deposits",
    tag="Deposits",
    summary="Get a reference, a Solana Pay link and its QR code to pay credit with",
    body=DepositRequest,
    returns=Deposit,
    status=201,
    auth="key",
    errors=(404, 429, 503),
)
async def create_deposit(request: Request, body: DepositRequest) -> Deposit:
    at = services(request)
    key = await at.keys.key_of(request)
    at.public_requests.take(client_address(request), time.monotonic())
    wallet = None if body.wallet is None else _wallet(body.wallet)
    made = await at.payouts.deposits.ask(key.owner, body.amount, wallet)
    return msgspec.structs.replace(made, qr=qr_code(made.url))


@operation(
    "GET",
    "/api/deposits",
    tag="Deposits",
    summary="The key's deposits, what came for them, and what can be refunded to whom",
    returns=Deposits,
    auth="key",
    errors=(404, 503),
)
async def list_deposits(request: Request) -> Deposits:
    at = services(request)
    key = await at.keys.key_of(request)
    return await at.payouts.deposits.of_owner(key.owner)


@operation(
    "GET",
    "/api/deposits/{deposit}",
    tag="Deposits",
    summary="How far a deposit is",
    returns=Deposit,
    auth="key",
    errors=(404, 503),
)
async def get_deposit(request: Request) -> Deposit:
    at = services(request)
    key = await at.keys.key_of(request)
    return await at.payouts.deposits.get(request.path_params["deposit"], key.owner)


@operation(
    "GET",
    "/api/deposits/{deposit}/qr.svg",
    tag="Deposits",
    summary="The QR code of a deposit's Solana Pay link",
    returns=bytes,
    media="image/svg+xml",
    auth="key",
    errors=(404, 503),
)
async def get_deposit_qr(request: Request) -> Response:
    found = await get_deposit.handler(request)
    svg = qr_code(found.url)
    if svg is None:
        raise NotFound("This grid's treasury takes no Solana Pay links; pay by a wallet here.")
    return Response(svg, media_type="image/svg+xml")


@operation(
    "POST",
    "/api/deposits/{deposit}/transaction",
    tag="Deposits",
    summary="The transaction with which a connected wallet pays",
    body=PaymentRequest,
    returns=UnsignedPayment,
    auth="key",
    errors=(404, 409, 429, 503),
)
async def create_payment(request: Request, body: PaymentRequest) -> UnsignedPayment:
    at = services(request)
    key = await at.keys.key_of(request)
    at.public_requests.take(client_address(request), time.monotonic())
    deposits, wallet = at.payouts.deposits, _wallet(body.wallet)
    await at.payouts.welcome(wallet)
    id = request.path_params["deposit"]
    raw = await deposits.transaction(id, key.owner, wallet, body.amount)
    return UnsignedPayment(base64.b64encode(raw).decode())


@operation(
    "POST",
    "/api/deposits/{deposit}/send",
    tag="Deposits",
    summary="Hand in the payment that the wallet signed; it is passed on to the network",
    body=SignedClaim,
    returns=Deposit,
    status=202,
    auth="key",
    errors=(404, 409, 429, 503),
)
async def send_payment(request: Request, body: SignedClaim) -> Deposit:
    at = services(request)
    key = await at.keys.key_of(request)
    at.public_requests.take(client_address(request), time.monotonic())
    signed = decode_base64(body.transaction, "transaction")
    return await at.payouts.deposits.send(request.path_params["deposit"], key.owner, signed)


@operation(
    "POST",
    "/api/refunds",
    tag="Deposits",
    summary="Set all unused deposits from one wallet aside, and get the transaction to sign",
    body=RefundRequest,
    returns=Claim,
    status=201,
    auth="key",
    errors=(404, 409, 429, 503),
)
async def create_refund(request: Request, body: RefundRequest) -> Claim:
    at = services(request)
    key = await at.keys.key_of(request)
    _ = at.payouts.deposits  # a grid without a chain gives nothing back either
    at.refunds.take(key.owner, time.monotonic())
    wallet = _wallet(body.wallet)
    await at.payouts.welcome(wallet)
    return claim_view(await at.payouts.service.reserve(wallet, key.owner))


@operation(
    "POST",
    "/api/refunds/{refund}/sign",
    tag="Deposits",
    summary="Hand in the refund's transaction that the wallet signed",
    body=SignedClaim,
    returns=Claim,
    status=202,
    auth="key",
    errors=(404, 409, 503),
)
async def sign_refund(request: Request, body: SignedClaim) -> Claim:
    at = services(request)
    refund = await _refund(request)
    signed = decode_base64(body.transaction, "transaction")
    return claim_view(await at.payouts.service.sign(refund.id, refund.wallet, signed))


@operation(
    "GET",
    "/api/refunds/{refund}",
    tag="Deposits",
    summary="How far a refund is",
    returns=Claim,
    auth="key",
    errors=(404,),
)
async def get_refund(request: Request) -> Claim:
    return await _refund(request)


@operation(
    "GET",
    "/api/refunds",
    tag="Deposits",
    summary="The key's refunds, newest first",
    returns=Claims,
    auth="key",
)
async def list_refunds(request: Request) -> Claims:
    at = services(request)
    key = await at.keys.key_of(request)
    found = await at.store.read(stored_claims.of_owner, key.owner)
    return Claims(tuple(claim_view(each) for each in found))


async def _refund(request: Request) -> Claim:
    at = services(request)
    key = await at.keys.key_of(request)
    found = await at.store.read(stored_claims.get, request.path_params["refund"])
    if found is None or found.owner != key.owner:
        raise ClaimUnknown(f"This key has no refund {request.path_params['refund']}.")
    return claim_view(found)


def _wallet(text: str) -> str:
    """What looks like an address may still be none, and nothing could be paid back to it.

    Raises ``BadRequest``.
    """
    if not is_address(text):
        raise BadRequest(f"{text} is no Solana address: 32 bytes in base58.", "wallet")
    return text


def qr_code(url: str | None) -> str | None:
    """SVG, black on white whatever the page's colours: scanners need the contrast."""
    if url is None:
        return None
    # Level M, 15% of it may be unreadable: a phone before a screen needs no more.
    made = segno.make(url, error="m", micro=False, boost_error=False)
    out = io.BytesIO()
    made.save(
        out,
        kind="svg",
        xmldecl=False,
        border=4,
        omitsize=True,
        dark="#000",
        light="#fff",
        svgclass=None,
        lineclass=None,
        title="QR code of the Solana Pay link",
    )
    return out.getvalue().decode()


OPERATIONS: tuple[Operation, ...] = (
    create_deposit,
    list_deposits,
    get_deposit,
    get_deposit_qr,
    create_payment,
    send_payment,
    create_refund,
    list_refunds,
    get_refund,
    sign_refund,
)

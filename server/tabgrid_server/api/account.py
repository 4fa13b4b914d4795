"""Sign-in with a wallet, and keys for AI users."""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..auth import COOKIE, client_address, session_token
from ..chain import siws
from ..errors import BadRequest, Forbidden
from ..services import services
from ..store import Session as StoredSession
from ..store import ledger as stored_ledger
from .operations import Operation, operation
from .schemas.account import (
    Challenge,
    ChallengeRequest,
    Key,
    KeyRequest,
    NewKey,
    NewSession,
    Session,
    VerifyRequest,
)

_encode = msgspec.json.Encoder().encode


@operation(
    "POST",
    "/api/auth/challenge",
    tag="Sign-in",
    summary="What a wallet has to sign to sign in",
    body=ChallengeRequest,
    returns=Challenge,
    errors=(429,),
)
async def create_challenge(request: Request, body: ChallengeRequest) -> Challenge:
    at = services(request)
    at.public_requests.take(client_address(request), time.monotonic())
    issued = await at.sessions.challenge(body)
    return Challenge(issued.nonce, issued, siws.message_text(issued))


@operation(
    "POST",
    "/api/auth/verify",
    tag="Sign-in",
    summary="Turn the signed message into a session",
    body=VerifyRequest,
    returns=NewSession,
    errors=(401, 429),
)
async def create_session(request: Request, body: VerifyRequest) -> Response:
    at = services(request)
    at.public_requests.take(client_address(request), time.monotonic())
    message = decode_base64(body.signed_message, "signed_message")
    signature = decode_base64(body.signature, "signature")
    session, token = await at.sessions.verify(body, message, signature)
    await at.payouts.welcome(session.wallet)
    answer = NewSession(**_session(session), token=token)
    response = Response(_encode(answer), media_type="application/json")
    response.set_cookie(
        COOKIE,
        token,
        max_age=at.settings.sessions.days * 86_400,
        httponly=True,
        secure=at.settings.url.startswith("https:"),
        samesite="strict",
    )
    return response


@operation(
    "GET",
    "/api/auth/session",
    tag="Sign-in",
    summary="Who is signed in",
    returns=Session,
    auth="session",
)
async def get_session(request: Request) -> Session:
    return Session(**_session(await services(request).sessions.required(request)))


@operation(
    "DELETE",
    "/api/auth/session",
    tag="Sign-in",
    summary="Sign out; nodes of this session are disconnected",
    returns=None,
    status=204,
    auth="session",
)
async def delete_session(request: Request) -> Response:
    at = services(request)
    session = await at.sessions.required(request)
    await at.sessions.end(session_token(request) or "")
    at.sockets.sign_out(session.token_hash)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@operation(
    "POST",
    "/api/keys",
    tag="Keys",
    summary="Make an API key with demo credit",
    body=KeyRequest,
    returns=NewKey,
    status=201,
    errors=(403, 429),
)
async def create_key(request: Request, body: KeyRequest) -> NewKey:
    at = services(request)
    credit = at.settings.demo_credit
    if not credit:
        raise Forbidden("This grid gives no demo credit; ask its operator for a key.")
    at.new_keys.take(client_address(request), time.monotonic())
    key, secret = await at.keys.create(body.label, credit)
    return NewKey(key.id, secret, key.label, credit, at.settings.chain.symbol)


@operation(
    "GET",
    "/api/keys/current",
    tag="Keys",
    summary="The key that asks, and its credit",
    returns=Key,
    auth="key",
)
async def get_key(request: Request) -> Key:
    at = services(request)
    key = await at.keys.key_of(request)
    symbol = at.settings.chain.symbol
    credit = await at.store.read(stored_ledger.credit, key.owner, symbol)
    return Key(
        key.id,
        key.label,
        credit.available,
        credit.held,
        credit.spent,
        symbol,
        credit.deposited,
        credit.refunded,
    )


def decode_base64(text: str, param: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BadRequest(f"{param} is not valid base64.", param) from error


def _session(session: StoredSession) -> dict[str, Any]:
    return {
        "wallet": session.wallet,
        "worker_key": session.worker_key,
        "device_id": session.device_id,
        "expires_at": session.expires_at,
    }


OPERATIONS: tuple[Operation, ...] = (
    create_challenge, create_session, get_session, delete_session, create_key, get_key,
)  # fmt: skip

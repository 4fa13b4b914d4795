"""Sign-in with Solana, for a node without a wallet's window to read the text in.

So the text is read here, field by field, before it is signed: another domain's text, or
one that binds another worker key, would let somebody else act as this wallet.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
import msgspec
from solders.keypair import Keypair

from tabgrid_wire.errors import CloseCode

from .hosts import ConnectionLost

#: A grid whose text is valid for longer than this wants something other than a sign-in.
LONGEST = timedelta(days=1)

T = TypeVar("T")


class SignInInput(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of the text, as wallets take them."""

    domain: str
    address: str
    statement: str
    uri: str
    version: str
    chain_id: str
    nonce: str
    issued_at: str
    expiration_time: str
    resources: tuple[str, ...]

    def text(self) -> str:
        """The message of the standard's grammar, byte for byte."""
        return "\n".join(
            [
                f"{self.domain} wants you to sign in with your Solana account:",
                self.address,
                "",
                self.statement,
                "",
                f"URI: {self.uri}",
                f"Version: {self.version}",
                f"Chain ID: {self.chain_id}",
                f"Nonce: {self.nonce}",
                f"Issued At: {self.issued_at}",
                f"Expiration Time: {self.expiration_time}",
                "Resources:",
                *(f"- {resource}" for resource in self.resources),
            ]
        )


class Challenge(msgspec.Struct, frozen=True):
    nonce: str
    input: SignInInput
    message: str


class Session(msgspec.Struct, frozen=True):
    wallet: str
    worker_key: str
    token: str


class SignInRefused(Exception):
    """The text is not one to sign; nothing was signed."""


def check(
    challenge: Challenge,
    *,
    domain: str,
    address: str,
    worker_key: str,
    device_id: str,
    now: datetime,
) -> bytes:
    """The bytes to sign, after every field was found to be ours. Raises SignInRefused."""
    asked = challenge.input
    wanted = {
        "domain": (asked.domain, domain),
        "address": (asked.address, address),
        "resources": (
            asked.resources,
            (f"urn:tabgrid:worker:{worker_key}", f"urn:tabgrid:device:{device_id}"),
        ),
        "version": (asked.version, "1"),
        "nonce": (asked.nonce, challenge.nonce),
    }
    for field, (got, expected) in wanted.items():
        if got != expected:
            raise SignInRefused(f"The sign-in names {field} {got!r} instead of {expected!r}.")
    if any("\n" in text for text in (asked.statement, asked.uri, asked.chain_id)):
        raise SignInRefused("A field of the sign-in has more than one line.")
    try:
        expires = datetime.fromisoformat(asked.expiration_time)
        soon = now < expires <= now + LONGEST
    except (ValueError, TypeError) as error:
        raise SignInRefused(f"The sign-in has no usable expiry: {error}.") from error
    if not soon:
        raise SignInRefused(f"The sign-in expires at {asked.expiration_time}; check the clocks.")
    if challenge.message != asked.text():
        raise SignInRefused("The sign-in's text says something else than its fields.")
    return challenge.message.encode()


async def sign_in(
    http: httpx.AsyncClient, wallet: Keypair, *, worker_key: str, device_id: str, domain: str
) -> Session:
    """A session of ``wallet`` that binds ``worker_key``.

    Raises ConnectionLost: with NOT_SIGNED_IN where only a person can help.
    """
    address = str(wallet.pubkey())
    request = {"address": address, "worker_key": worker_key, "device_id": device_id}
    challenge = await _post(http, "/api/auth/challenge", request, Challenge)
    try:
        message = check(
            challenge,
            domain=domain,
            address=address,
            worker_key=worker_key,
            device_id=device_id,
            now=datetime.now(UTC),
        )
    except SignInRefused as error:
        raise ConnectionLost(f"Not signed in: {error}", CloseCode.NOT_SIGNED_IN) from error
    answer = {
        "nonce": challenge.nonce,
        "address": address,
        "signed_message": base64.b64encode(message).decode(),
        "signature": base64.b64encode(bytes(wallet.sign_message(message))).decode(),
    }
    session = await _post(http, "/api/auth/verify", answer, Session)
    if (session.wallet, session.worker_key) != (address, worker_key):
        raise ConnectionLost("The grid signed in somebody else.", CloseCode.NOT_SIGNED_IN)
    return session


async def _post(http: httpx.AsyncClient, path: str, body: Any, shape: type[T]) -> T:
    try:
        response = await http.post(path, json=body)
    except httpx.TransportError as error:
        raise ConnectionLost(f"The grid cannot be reached ({error}).") from error
    if response.is_success:
        try:
            return msgspec.json.decode(response.content, type=shape)
        except msgspec.MsgspecError as error:
            raise ConnectionLost(f"{path} gave no sign-in: {error}") from error
    final = response.is_client_error and response.status_code not in (408, 425, 429)
    raise ConnectionLost(
        f"The sign-in was refused: {_reason(response)}",
        CloseCode.NOT_SIGNED_IN if final else 1006,
    )


def _reason(response: httpx.Response) -> str:
    """The server's own sentence, where it gave one."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"

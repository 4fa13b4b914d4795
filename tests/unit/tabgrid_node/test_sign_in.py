"""A native node signs no text that it has not understood word for word."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
from solders.keypair import Keypair

from tabgrid_node.hosts import ConnectionLost
from tabgrid_node.sign_in import Challenge, SignInInput, SignInRefused, check, sign_in
from tabgrid_wire.errors import CloseCode

ADDRESS = "4LYAntW5H54ainp3CxzSduCXBn7QWhCWjbfXSDMo6DAg"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
US: dict[str, Any] = {
    "domain": "grid.example",
    "address": ADDRESS,
    "worker_key": "worker",
    "device_id": "device",
    "now": NOW,
}


def challenge(message: str | None = None, **changes: Any) -> Challenge:
    asked = SignInInput(
        domain="grid.example",
        address=ADDRESS,
        statement="Lend this device.",
        uri="https://grid.example",
        version="1",
        chain_id="localnet",
        nonce="abcdefgh",
        issued_at="2026-11-23T12:00:00Z",
        expiration_time="2026-11-23T12:10:00Z",
        resources=("urn:tabgrid:worker:worker", "urn:tabgrid:device:device"),
    )
    asked = msgspec.structs.replace(asked, **changes)
    return Challenge("abcdefgh", asked, asked.text() if message is None else message)


def test_the_text_is_the_standards() -> None:
    assert check(challenge(), **US) == (
        b"grid.example wants you to sign in with your Solana account:\n"
        b"4LYAntW5H54ainp3CxzSduCXBn7QWhCWjbfXSDMo6DAg\n"
        b"\n"
        b"Lend this device.\n"
        b"\n"
        b"URI: https://grid.example\n"
        b"Version: 1\n"
        b"Chain ID: localnet\n"
        b"Nonce: abcdefgh\n"
        b"Issued At: 2026-11-23T12:00:00Z\n"
        b"Expiration Time: 2026-11-23T12:10:00Z\n"
        b"Resources:\n"
        b"- urn:tabgrid:worker:worker\n"
        b"- urn:tabgrid:device:device"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"domain": "evil.example"},
        {"address": "11111111111111111111111111111111"},
        {"resources": ("urn:tabgrid:worker:another", "urn:tabgrid:device:device")},
        {"resources": ("urn:tabgrid:worker:worker", "urn:tabgrid:device:device", "urn:x")},
        {"resources": ()},
        {"nonce": "another1"},
        {"version": "2"},
        {"statement": "Fine.\n\nURI: https://evil.example"},
        {"expiration_time": "2026-11-23T11:59:59Z"},
        {"expiration_time": "2027-11-23T12:00:00Z"},
        {"expiration_time": "2026-11-23T12:10:00"},
        {"expiration_time": "soon"},
        {"message": "Send all my tokens."},
        {"message": challenge().message + "\n"},
    ],
)
def test_what_is_not_ours_is_not_signed(changes: dict[str, Any]) -> None:
    with pytest.raises(SignInRefused):
        check(challenge(**changes), **US)


def server(handler: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url="http://grid.example")


@pytest.mark.parametrize(
    ("status", "code"), [(400, CloseCode.NOT_SIGNED_IN), (429, 1006), (503, 1006)]
)
async def test_refusals_of_the_server(status: int, code: int) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={"error": {"message": "Because."}})

    async with server(refuse) as http:
        with pytest.raises(ConnectionLost, match=r"Because\.") as lost:
            await sign_in(http, Keypair(), worker_key="w", device_id="d", domain="grid.example")
    assert lost.value.code == code


async def test_a_server_that_speaks_something_else() -> None:
    async with server(lambda request: httpx.Response(200, text="<html>")) as http:
        with pytest.raises(ConnectionLost, match="gave no sign-in"):
            await sign_in(http, Keypair(), worker_key="w", device_id="d", domain="grid.example")

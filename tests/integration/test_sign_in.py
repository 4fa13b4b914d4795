"""Sign-in with Solana against a real coordinator: forged, replayed, expired, wrong."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from solders.keypair import Keypair

from tests.integration.conftest import EchoGrid

DEVICE = "test-device"


async def challenge(client: httpx.AsyncClient, wallet: Keypair, worker: Keypair) -> Any:
    asked = {
        "address": str(wallet.pubkey()),
        "worker_key": str(worker.pubkey()),
        "device_id": DEVICE,
    }
    answer = await client.post("/api/auth/challenge", json=asked)
    return answer.raise_for_status().json()


def signed(given: Any, wallet: Keypair, text: str = "", address: str = "") -> dict[str, str]:
    message = (text or given["message"]).encode()
    return {
        "nonce": given["nonce"],
        "address": address or str(wallet.pubkey()),
        "signed_message": base64.b64encode(message).decode(),
        "signature": base64.b64encode(bytes(wallet.sign_message(message))).decode(),
    }


async def test_sign_in_gives_a_cookie_and_sign_out_takes_it(echo_grid: EchoGrid) -> None:
    wallet, worker = Keypair(), Keypair()
    async with echo_grid.client() as client:
        given = await challenge(client, wallet, worker)
        assert given["input"]["resources"][0] == f"urn:tabgrid:worker:{worker.pubkey()}"
        answer = await client.post("/api/auth/verify", json=signed(given, wallet))
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        session = (await client.get("/api/auth/session")).json()
        assert session["wallet"] == str(wallet.pubkey())
        assert session["worker_key"] == str(worker.pubkey())
        assert (await client.delete("/api/auth/session")).status_code == 204
        assert (await client.get("/api/auth/session")).status_code == 401


async def refused(echo_grid: EchoGrid, change: Callable[[Any, Keypair], dict[str, str]]) -> str:
    wallet = Keypair()
    async with echo_grid.client() as client:
        given = await challenge(client, wallet, Keypair())
        answer = await client.post("/api/auth/verify", json=change(given, wallet))
        assert answer.status_code == 401, answer.text
        assert "set-cookie" not in answer.headers
        return str(answer.json()["error"]["message"])


async def test_a_forged_signature_is_refused(echo_grid: EchoGrid) -> None:
    def forge(given: Any, wallet: Keypair) -> dict[str, str]:
        return signed(given, Keypair(), address=str(wallet.pubkey()))

    assert await refused(echo_grid, forge)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("127.0.0.1", "evil.example"),
        ("localnet", "mainnet"),
        ("urn:tabgrid:worker:", "urn:tabgrid:worker:1"),
        ("moves no funds", "moves all funds"),
    ],
)
async def test_a_message_for_another_purpose_is_refused(
    echo_grid: EchoGrid, old: str, new: str
) -> None:
    def change(given: Any, wallet: Keypair) -> dict[str, str]:
        return signed(given, wallet, text=given["message"].replace(old, new, 1))

    assert await refused(echo_grid, change)


async def test_a_sign_in_is_used_once(echo_grid: EchoGrid) -> None:
    wallet = Keypair()
    async with echo_grid.client() as client:
        proof = signed(await challenge(client, wallet, Keypair()), wallet)
        answers = await asyncio.gather(
            *(client.post("/api/auth/verify", json=proof) for _ in range(8))
        )
        assert sorted(a.status_code for a in answers) == [200, *[401] * 7]


async def test_a_made_up_nonce_is_refused(echo_grid: EchoGrid) -> None:
    def change(given: Any, wallet: Keypair) -> dict[str, str]:
        return signed({**given, "nonce": "0" * 32}, wallet)

    assert "too old" in await refused(echo_grid, change)


async def test_an_expired_challenge_is_refused(make_echo_grid: Callable[..., EchoGrid]) -> None:
    grid = make_echo_grid(scheduling="[sessions]\nchallenge_s = 1")
    grid.start()
    wallet = Keypair()
    async with grid.client() as client:
        given = await challenge(client, wallet, Keypair())
        await asyncio.sleep(1.1)  # the real clock is what is tested
        answer = await client.post("/api/auth/verify", json=signed(given, wallet))
        assert answer.status_code == 401


async def test_nonsense_is_refused_with_the_field_that_is_wrong(echo_grid: EchoGrid) -> None:
    good = {"address": str(Keypair().pubkey()), "worker_key": str(Keypair().pubkey())}
    async with echo_grid.client() as client:
        for field, value in (("address", "0OIl"), ("worker_key", "x" * 44), ("device_id", "")):
            body = {**good, "device_id": DEVICE, field: value}
            answer = await client.post("/api/auth/challenge", json=body)
            assert answer.status_code == 400
            assert answer.json()["error"]["param"] == field


async def test_too_many_attempts_are_slowed_down(make_echo_grid: Callable[..., EchoGrid]) -> None:
    grid = make_echo_grid()
    grid.start(TABGRID_LIMITS_PUBLIC_REQUESTS_PER_MINUTE="5")
    async with grid.client() as client:
        for _ in range(5):
            await challenge(client, Keypair(), Keypair())
        asked = {
            "address": str(Keypair().pubkey()),
            "worker_key": str(Keypair().pubkey()),
            "device_id": DEVICE,
        }
        # One more is allowed every twelve seconds: on a slow machine it is not the very next.
        for _ in range(10):
            answer = await client.post("/api/auth/challenge", json=asked)
            if answer.status_code != 200:
                break
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1

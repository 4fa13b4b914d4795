"""What is secret is in no log: a whole run with troubles, searched for the key in every form."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx
from solders.keypair import Keypair

from tabgrid_server import ledger
from tabgrid_server.bench.claims import sign
from tabgrid_server.bench.client import sign_in
from tabgrid_server.chain.localnet.text import base58
from tabgrid_server.ledger import Transfer
from tabgrid_server.store import Store
from tabgrid_server.store import ledger as stored_ledger
from tests.support.programs import Program, Programs, free_port

UNIT = 10**6
API_KEY = "rpc-key-7f3a9"
#: Beyond this it hangs.
UNTIL_S = 90.0


def forms(secret: bytes) -> dict[str, str]:
    """Every way in which somebody would write it."""
    return {
        "base58": base58(secret),
        "hex": secret.hex(),
        "base64": base64.b64encode(secret).decode().rstrip("="),
        "base64, for addresses": base64.urlsafe_b64encode(secret).decode().rstrip("="),
        "JSON": json.dumps(list(secret)).strip("[]"),
        "short JSON": json.dumps(list(secret), separators=(",", ":")).strip("[]"),
        "Python": repr(secret)[2:-1],
    }


def leaks(text: str, hot: Keypair) -> list[str]:
    """Forms of the whole keypair, or of its secret half, that are in ``text``."""
    halves = {"keypair": bytes(hot), "secret half": bytes(hot)[:32]}
    found = [
        f"{half} in {form}"
        for half, secret in halves.items()
        for form, written in forms(secret).items()
        if written in text
    ]
    return found + ([API_KEY] if API_KEY in text else [])


def test_the_search_finds_what_it_looks_for() -> None:
    hot = Keypair()
    for written in [*forms(bytes(hot)).values(), *forms(bytes(hot)[:32]).values(), API_KEY]:
        assert leaks(f"before {written} after", hot)
    assert leaks(str(hot.pubkey()), hot) == []


def test_nothing_secret_is_in_the_logs_of_a_run(programs: Programs, tmp_path: Path) -> None:
    hot, wallet, data = Keypair(), Keypair(), tmp_path / "data"
    port, chain_port = free_port(), free_port()
    data.mkdir()
    asyncio.run(_earned(data, wallet))

    def chain() -> Program:
        where = ("--port", str(chain_port), "--data", str(tmp_path / "chain"))
        return programs.tabgrid("chain", "localnet", *where, "--slot-ms", "50")

    def coordinator(secret: str) -> Program:
        rpc = f"http://user:{API_KEY}@127.0.0.1:{chain_port}/?api-key={API_KEY}"
        where = ("--port", str(port), "--data", str(data), "--rpc", rpc, "--demo")
        env = {"TABGRID_CHAIN_HOT_SECRET": secret, "TABGRID_SERVER_LOG_LEVEL": "debug"}
        return programs.tabgrid("coordinator", "serve", *where, **env)

    running = chain()
    running.ready()
    server = coordinator(str(hot))
    server.ready()
    url = f"http://127.0.0.1:{port}"
    claim = _claim(url, wallet)
    assert claim["signature"] is not None
    running.kill()  # now every request to the RPC fails
    server.says("cannot be reached", "claims wait")
    server.stop()
    told = server.text()
    assert str(hot.pubkey()) in told or "claims are open" in told, "it was this key that paid"
    assert "claim moved" in told
    chain().ready()
    broken = coordinator(str(list(bytes(hot)))[:-9])
    broken.ready()
    broken.says("holds no keypair")  # the local chain's treasury is opened in the background
    broken.stop()
    assert leaks(server.text() + broken.text() + running.text(), hot) == []


async def _earned(data: Path, wallet: Keypair) -> None:
    store = await Store.open(f"sqlite:///{data / 'tabgrid.db'}")
    claimable = ledger.claimable_of(str(wallet.pubkey()))
    postings = (("system:grants:somebody", -UNIT), (claimable, UNIT))
    await store.write(stored_ledger.post, Transfer("release", "test", "TGT", postings, time.time()))
    await store.close()


def _claim(url: str, wallet: Keypair) -> dict[str, Any]:
    """As the page does, up to the chain's word."""
    token = asyncio.run(sign_in(url, wallet, Keypair(), "device-of-a-test"))
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as http:
        until = time.monotonic() + UNTIL_S
        while (answer := http.post("/api/claims", json={})).status_code != 201:
            assert time.monotonic() < until, answer.text  # claims open a moment after the pages do
            time.sleep(0.2)
        claim: dict[str, Any] = answer.json()
        raw = sign(claim["transaction"], wallet)
        signed = {"transaction": base64.b64encode(raw).decode()}
        http.post(f"/api/claims/{claim['id']}/sign", json=signed).raise_for_status()
        while claim["state"] not in ("confirmed", "finalized"):
            assert time.monotonic() < until, claim
            time.sleep(0.1)
            claim = http.get(f"/api/claims/{claim['id']}").json()
        return claim

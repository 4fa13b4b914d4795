"""Jobs, results and stores for the tests of what is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from tabgrid_server.store import ApiKey, NewJob, Refund, Settlement, Store, keys
from tabgrid_server.store.audit import findings

TOKEN = "TGT"
USAGE = {"prompt_tokens": 5, "total_tokens": 5}
CREDIT = 1_000_000


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """A store that is closed again, and whose books were right to the end."""
    store = await Store.open(url)
    try:
        yield store
        broken = [finding for finding in await store.read(findings) if finding.broken]
        assert not broken
    finally:
        await store.close()


async def add_owner(store: Store, owner: str = "alice", credit: int = CREDIT) -> None:
    key = ApiKey(id=f"key_{owner}", owner=owner, label=owner, created_at=1.0, revoked_at=None)
    await store.write(keys.create, key, f"hash of {owner}", credit, TOKEN)


def new_job(id: str = "job_1", **changes: Any) -> NewJob:
    job = NewJob(
        id=id,
        owner="alice",
        key_id="key_alice",
        grid="text",
        model="all-MiniLM-L6-v2",
        digest="d" * 64,
        connector="embeddings",
        token=TOKEN,
        input=b"\x00input",
        price=100,
        fee=5,
        units=5,
        usage=USAGE,
        public=True,
        submitted_at=1_000.0,
    )
    return replace(job, **changes)


def settlement(job_id: str = "job_1", **changes: Any) -> Settlement:
    made = Settlement(
        job_id=job_id,
        output=b"\xffoutput",
        receipt=b'{"job":"%s"}' % job_id.encode(),
        price=100,
        fee=5,
        units=5,
        usage=USAGE,
        node="node_1",
        wallet="Wallet1",
        worker_key="Worker1",
        host="browser",
        backend="wasm",
        device="x86-64, 2 threads",
        device_class="wasm:x86-64",
        dtype="q8",
        attempts=1,
        assigned_at=1_001.0,
        returned_at=1_002.0,
        finished_at=1_003.0,
        release_at=1_023.0,
    )
    return replace(made, **changes)


def refund(job_id: str = "job_1", **changes: Any) -> Refund:
    made = Refund(
        job_id=job_id,
        state="failed",
        error_code="no_node",
        error="No node took it.",
        attempts=3,
        finished_at=1_004.0,
    )
    return replace(made, **changes)

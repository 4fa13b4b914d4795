"""Jobs that were really settled, with receipts as the coordinator writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from solders.keypair import Keypair

from tabgrid_server.api.schemas.receipts import Receipt
from tabgrid_server.store import Store
from tabgrid_wire import commitment
from tests.support.books import new_job, settlement
from tests.support.pages import RECEIPT

PAY = 95


async def settle(store: Store, wallet: Keypair, jobs: Sequence[str], at: float) -> None:
    """Do these jobs on ``wallet``'s node, at 95 base units each, released at once."""
    address = str(wallet.pubkey())
    for id in jobs:
        await store.submit(new_job(id, submitted_at=at - 1))
        receipt = receipt_of(id, address, at)
        await store.settle(
            settlement(id, wallet=address, receipt=receipt, finished_at=at, release_at=at)
        )


def receipt_of(job: str, wallet: str, at: float) -> bytes:
    made: Receipt = msgspec.structs.replace(
        RECEIPT, job=job, wallet=wallet, price=100, pay=PAY, fee=5, settled_at=at, release_at=at,
        input_hash=hashlib.sha256(job.encode()).hexdigest(),
    )  # fmt: skip
    return msgspec.json.encode(made, order="sorted")


def signed_receipt(job: str, wallet: Keypair, at: float) -> bytes:
    """The same with a commitment that holds, by the wallet's own key."""
    address, nonce, digest = str(wallet.pubkey()), bytes(16), hashlib.sha256(job.encode()).digest()
    said = commitment.result_message(job, address, nonce, digest)
    made = msgspec.structs.replace(
        msgspec.json.decode(receipt_of(job, address, at), type=Receipt),
        nonce=nonce.hex(),
        result_hash=digest.hex(),
        commit_hash=hashlib.sha256(said).hexdigest(),
        worker_key=address,
        signature=bytes(wallet.sign_message(said)).hex(),
    )
    return msgspec.json.encode(made, order="sorted")

"""The public record of a settled job: everything one needs to check it, nothing private. Pure."""

from __future__ import annotations

import hashlib

from tabgrid_wire import commitment

from ..api.schemas import Receipt
from .live import Answer, LiveJob, LiveNode

VERSION = 1


def receipt_of(
    job: LiveJob, node: LiveNode, answer: Answer, dtype: str, settled_at: float
) -> Receipt:
    """The store numbers receipts in the order of settlement."""
    result, digest = answer.result, answer.digest
    commit_hash = commitment.commit_hash(job.id, node.wallet, result.nonce, digest)
    offer = job.offer
    return Receipt(
        v=VERSION,
        job=job.id,
        grid=offer.grid,
        model=offer.manifest.id,
        digest=offer.digest,
        connector=offer.manifest.connector,
        comparator_version=offer.connector.comparator_version,
        dtype=dtype,
        device_class=node.hello.device_class,
        wallet=node.wallet,
        worker_key=node.worker_key,
        input_hash=hashlib.sha256(job.input_bytes).hexdigest(),
        result_hash=digest.hex(),
        commit_hash=commit_hash.hex(),
        nonce=result.nonce.hex(),
        signature=result.signature.hex(),
        units=job.units,
        price=job.price.total,
        pay=job.price.pay,
        fee=job.price.fee,
        audited=False,
        settled_at=settled_at,
        release_at=settled_at + offer.settings.release_s,
    )

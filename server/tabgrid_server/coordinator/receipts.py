"""What is written down when a job is settled. Pure.

The receipt is the public part: everything one needs to check the job, nothing private.
"""

from __future__ import annotations

import hashlib

import msgspec

from tabgrid_models.connectors.base import Traced
from tabgrid_wire import commitment

from ..api.schemas.receipts import Receipt
from ..store import Settlement, TrustStep
from .live import Answer, LiveJob, LiveNode

#: 2 has the figures of the draw, 3 the root of what lay between the steps, 4 how large that is.
VERSION = 4


class Evidence(msgspec.Struct, frozen=True):
    """How it was drawn whether the answer is checked; see ``trust.draws``."""

    audited: bool
    #: In millionths.
    probability: int
    epoch: int
    #: Hex of the SHA-256 of the epoch's secret.
    commitment: str


def commit_hash(job: LiveJob, node: LiveNode, answer: Answer) -> bytes:
    result = answer.result
    return commitment.commit_hash(job.id, node.wallet, result.nonce, answer.digest, result.root)


def _leaves(job: LiveJob) -> int:
    """States that the answer's node committed to."""
    connector = job.offer.connector
    assert isinstance(connector, Traced), "a root was taken of an answer without steps"
    return len(connector.kept(job.input, job.offer.manifest))


def receipt_of(
    job: LiveJob,
    node: LiveNode,
    answer: Answer,
    dtype: str,
    settled_at: float,
    evidence: Evidence | None = None,
) -> Receipt:
    """The store numbers receipts in the order of settlement."""
    result, digest = answer.result, answer.digest
    leaves = _leaves(job) if result.root else None
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
        commit_hash=commit_hash(job, node, answer).hex(),
        nonce=result.nonce.hex(),
        checked=job.checked,
        trace_root=result.root.hex() if result.root else None,
        trace_leaves=leaves,
        trace_size=len(answer.trace) // leaves if leaves else None,
        signature=result.signature.hex(),
        units=job.units,
        price=job.price.total,
        pay=job.price.pay,
        fee=job.price.fee,
        audited=evidence is not None and evidence.audited,
        audit_probability=evidence.probability if evidence else None,
        draw_epoch=evidence.epoch if evidence else None,
        draw_commitment=evidence.commitment if evidence else None,
        settled_at=settled_at,
        release_at=settled_at + offer.settings.release_s,
    )


def settlement_of(
    job: LiveJob,
    node: LiveNode,
    answer: Answer,
    dtype: str,
    now: float,
    evidence: Evidence | None = None,
    step: TrustStep | None = None,
) -> Settlement:
    """An accepted answer as the store books it; of one that was uploaded, only its name."""
    blob = answer.result.blob
    receipt = receipt_of(job, node, answer, dtype, now, evidence)
    return Settlement(
        job_id=job.id,
        output=answer.output if blob is None else None,
        output_digest=blob.digest if blob else None,
        output_size=blob.size if blob else None,
        receipt=msgspec.json.encode(receipt, order="sorted"),
        price=job.price.total,
        fee=job.price.fee,
        units=job.units,
        usage=job.usage,
        node=node.id,
        wallet=node.wallet,
        worker_key=node.worker_key,
        host=node.hello.host,
        backend=node.hello.backend,
        device=node.hello.device,
        device_class=node.hello.device_class,
        dtype=dtype,
        attempts=job.attempts,
        assigned_at=job.assigned_at or now,
        returned_at=job.returned_at or now,
        finished_at=now,
        release_at=now + job.offer.settings.release_s,
        trust=step,
    )

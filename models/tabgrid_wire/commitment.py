"""What a node signs when it returns a result, so that it can never deny or trade it.

The worker key signs the job, the wallet that is to be paid, a fresh nonce and the digest
of the output. The nonce keeps two nodes' commitments to one easy answer apart, so that a
published commitment tells nobody what to copy. An answer that came in steps commits to what
lay between them too, by the root of a Merkle tree (see ``tabgrid_models.trace``).
"""

from __future__ import annotations

import hashlib

DOMAIN = b"tabgrid/result/v1\0"
#: Of an answer with a root. A domain of its own, so that a root is never left out unseen.
TRACED = b"tabgrid/result/v2\0"
NONCE = 16
DIGEST = 32


def output_digest(output: bytes) -> bytes:
    """SHA-256 of the output's bytes as they travel."""
    return hashlib.sha256(output).digest()


def result_message(
    job: str, wallet: str, nonce: bytes, digest: bytes, root: bytes | None = None
) -> bytes:
    """The bytes to sign. Every field has a fixed size or an end mark: none can shift."""
    if len(nonce) != NONCE or len(digest) != DIGEST:
        raise ValueError(f"A commitment has a nonce of {NONCE} and a digest of {DIGEST} bytes.")
    if root is not None and len(root) != DIGEST:
        raise ValueError(f"A root has {DIGEST} bytes.")
    if "\0" in job or "\0" in wallet:
        raise ValueError("Job and wallet cannot contain a zero character.")
    domain = DOMAIN if root is None else TRACED
    who = job.encode() + b"\0" + wallet.encode() + b"\0"
    return domain + who + nonce + digest + (root or b"")


def commit_hash(
    job: str, wallet: str, nonce: bytes, digest: bytes, root: bytes | None = None
) -> bytes:
    """SHA-256 of the signed bytes: what receipts and audits refer to."""
    return hashlib.sha256(result_message(job, wallet, nonce, digest, root)).digest()

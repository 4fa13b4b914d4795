"""What a node signs when it returns a result, so that it can never deny or trade it.

The worker key signs the job, the wallet that is to be paid, a fresh nonce and the digest
of the output. The nonce keeps two nodes' commitments to one easy answer apart, so that a
published commitment tells nobody what to copy.
"""

from __future__ import annotations

import hashlib

DOMAIN = b"tabgrid/result/v1\0"
NONCE = 16
DIGEST = 32


def output_digest(output: bytes) -> bytes:
    """SHA-256 of the output's bytes as they travel."""
    return hashlib.sha256(output).digest()


def result_message(job: str, wallet: str, nonce: bytes, digest: bytes) -> bytes:
    """The bytes to sign. Every field has a fixed size or an end mark: none can shift."""
    if len(nonce) != NONCE or len(digest) != DIGEST:
        raise ValueError(f"A commitment has a nonce of {NONCE} and a digest of {DIGEST} bytes.")
    if "\0" in job or "\0" in wallet:
        raise ValueError("Job and wallet cannot contain a zero character.")
    return DOMAIN + job.encode() + b"\0" + wallet.encode() + b"\0" + nonce + digest


def commit_hash(job: str, wallet: str, nonce: bytes, digest: bytes) -> bytes:
    """SHA-256 of the signed bytes: what receipts and audits refer to."""
    return hashlib.sha256(result_message(job, wallet, nonce, digest)).digest()

"""Nothing that a node says is trusted: shape, size, numbers, signature. Pure."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from tabgrid_models.connectors.base import InvalidOutput
from tabgrid_wire import commitment

from .live import Answer, LiveNode
from .offers import Offer


class Asked(Protocol):
    """A job, or an audit of one."""

    id: str
    offer: Offer
    input: Any


def check_answer(job: Asked, node: LiveNode, answer: Answer) -> str:
    """The dtype it was computed in, if this could be the answer. Raises ``InvalidOutput``."""
    model = node.models.get(job.offer.digest)
    if model is None:
        raise InvalidOutput("the node never passed the self-test of this model")
    if answer.result.blob is not None and answer.result.output:
        raise InvalidOutput("it holds an output and names another")
    try:
        output = job.offer.output(answer.output)
    except msgspec.MsgspecError as error:
        raise InvalidOutput(f"it cannot be read: {error}") from error
    job.offer.connector.check(job.input, output, job.offer.manifest)
    result = answer.result
    message = commitment.result_message(job.id, node.wallet, result.nonce, answer.digest)
    if not signed_by(node.worker_key, message, result.signature):
        raise InvalidOutput("its signature is not of the worker key that this wallet signed in")
    return model.dtype


def signed_by(address: str, message: bytes, signature: bytes) -> bool:
    """Ed25519. ``address`` was checked at sign-in, ``signature`` has 64 bytes by its type."""
    return Signature(signature).verify(Pubkey.from_string(address), message)

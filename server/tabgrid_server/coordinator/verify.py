"""Nothing that a node says is trusted: shape, size, numbers, signature. Pure."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from tabgrid_models import trace
from tabgrid_models.connectors.base import InvalidOutput, Traced
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
    dtype = check_signed(job, node, answer)
    try:
        output = job.offer.output(answer.output)
    except msgspec.MsgspecError as error:
        raise InvalidOutput(f"it cannot be read: {error}") from error
    job.offer.connector.check(job.input, output, job.offer.manifest)
    return dtype


def check_signed(job: Asked, node: LiveNode, answer: Answer) -> str:
    """The dtype, if the node may answer and signed this. Raises ``InvalidOutput``."""
    model = node.models.get(job.offer.digest)
    if model is None:
        raise InvalidOutput("the node never passed the self-test of this model")
    result = answer.result
    if (result.blob and result.output) or (result.trace_blob and result.trace):
        raise InvalidOutput("it holds an output and names another")
    _check_trace(job, answer)
    message = commitment.result_message(
        job.id, node.wallet, result.nonce, answer.digest, result.root
    )
    if not signed_by(node.worker_key, message, result.signature):
        raise InvalidOutput("its signature is not of the worker key that this wallet signed in")
    return model.dtype


def _check_trace(job: Asked, answer: Answer) -> None:
    """Whether the root is of the trace that came with it, and that of this answer's size.

    An answer without either is taken too: it is checked as a whole.
    """
    root = answer.result.root
    if root is None:
        if answer.trace:
            raise InvalidOutput("it has steps that it does not commit to")
        return
    connector = job.offer.connector
    if not isinstance(connector, Traced):
        raise InvalidOutput("it commits to steps, and its model has none")
    states = connector.split_trace(job.input, job.offer.manifest, answer.trace)
    if trace.root(states) != root:
        raise InvalidOutput("its root is not of the steps that came with it")


def signed_by(address: str, message: bytes, signature: bytes) -> bool:
    """Ed25519. ``address`` was checked at sign-in, ``signature`` has 64 bytes by its type."""
    return Signature(signature).verify(Pubkey.from_string(address), message)

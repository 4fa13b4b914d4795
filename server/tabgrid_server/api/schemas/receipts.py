"""The public record of what was settled, and what was corrected afterwards."""

from __future__ import annotations

from .base import Response


class Receipt(Response, frozen=True):
    """The public record of one settled job; its hash is what a later proof commits to."""

    v: int
    job: str
    grid: str
    model: str
    digest: str
    connector: str
    comparator_version: int
    dtype: str
    device_class: str
    wallet: str
    worker_key: str
    #: Lower-case hex SHA-256 of the input as it was sent to the node.
    input_hash: str
    result_hash: str
    commit_hash: str
    #: In hex; with the fields above they let anybody check the commitment without us.
    nonce: str
    signature: str
    units: int
    price: int
    pay: int
    fee: int
    #: Whether it was drawn to be run again by a reference.
    audited: bool
    settled_at: float
    release_at: float
    #: How surely it was, in millionths, and by which secret; null for the operator's own nodes
    #: and in receipts before version 2. ``/api/draws`` says how to draw again.
    audit_probability: int | None = None
    draw_epoch: int | None = None
    draw_commitment: str | None = None
    #: Root over what lay between the steps to the result, in hex, and how many states that are;
    #: the signature is over it too. Null for models without steps, and before version 3.
    trace_root: str | None = None
    trace_leaves: int | None = None
    #: Bytes of each of these states: how many steps are drawn goes by it. Null before version 4.
    trace_size: int | None = None
    #: Whether it was held until a reference agreed; ``fee`` has what that cost.
    checked: bool = False


class CorrectionLink(Response, frozen=True):
    """One correction of a node's pay, and its hash, which covers all before it."""

    number: int
    #: Its exact text, JSON: kind, reference, wallet, amount, reason and time.
    correction: str
    #: SHA-256 of "tabgrid/correction/v1" 0x00, the hash before it (32 bytes, zeros before the
    #: first) and the text.
    hash: str


class Corrections(Response, frozen=True):
    """In order, without a gap; a signed statement names the newest one's number and hash."""

    corrections: tuple[CorrectionLink, ...]

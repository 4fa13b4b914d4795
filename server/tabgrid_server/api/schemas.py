"""The JSON that the grid's own API speaks; TypeScript types and OpenAPI are made from here.

Times are seconds since 1970 as floats. Amounts are integers in base units of the token
that stands beside them. Bytes travel as base64 text.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..chain.siws import SignInInput

JobState = Literal["queued", "running", "returned", "done", "failed", "cancelled"]
DepositState = Literal["waiting", "arriving", "partial", "paid"]
ClaimState = Literal["reserved", "signed", "confirmed", "finalized", "failed", "expired"]
NodeState = Literal["joining", "ready", "working", "paused", "draining"]

#: Base58 of 32 bytes.
Address = Annotated[str, Meta(pattern="^[1-9A-HJ-NP-Za-km-z]{32,44}$")]
#: 1,232 bytes, a Solana packet, are 1,644 characters of base64; a signed message is smaller.
Base64 = Annotated[str, Meta(pattern="^[A-Za-z0-9+/]*={0,2}$", max_length=4096)]
JobId = Annotated[str, Meta(pattern="^job_[0-9A-HJKMNP-TV-Z]{26}$")]
ClaimId = Annotated[str, Meta(pattern="^claim_[0-9A-HJKMNP-TV-Z]{26}$")]
Label = Annotated[str, Meta(max_length=64)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of bodies that come from outside: a field we do not know is a mistake to report."""


class Response(msgspec.Struct, frozen=True):
    """Base of bodies that go out: fields may be added in later versions."""


class ErrorDetail(Response, frozen=True):
    message: str
    type: str
    code: str | None = None
    param: str | None = None


class ErrorBody(Response, frozen=True):
    """OpenAI's error object, used on every path so that one handler serves all clients."""

    error: ErrorDetail


# --- who you are ------------------------------------------------------------------------


class ChallengeRequest(Request, frozen=True):
    address: Address
    #: Public half of the Ed25519 key that signs results; bound to the wallet by the sign-in.
    worker_key: Address
    device_id: Annotated[str, Meta(min_length=8, max_length=64, pattern="^[A-Za-z0-9_-]+$")]


class Challenge(Response, frozen=True):
    nonce: str
    input: SignInInput
    #: The same as text, for wallets that have only ``solana:signMessage``.
    message: str


class VerifyRequest(Request, frozen=True):
    nonce: Annotated[str, Meta(min_length=8, max_length=64)]
    address: Address
    signed_message: Base64
    signature: Base64


class Session(Response, frozen=True):
    wallet: str
    worker_key: str
    device_id: str
    expires_at: float


class NewSession(Session, frozen=True):
    #: For native nodes (``Authorization: Bearer``); a browser keeps the cookie instead.
    token: str


class KeyRequest(Request, frozen=True):
    label: Label = ""


class Key(Response, frozen=True):
    id: str
    label: str
    credit: int
    held: int
    spent: int
    token: str
    #: Of what was paid in, and of what went back of it, base units in all.
    deposited: int = 0
    refunded: int = 0


class NewKey(Response, frozen=True):
    id: str
    #: Shown once; only its hash is kept.
    key: str
    label: str
    credit: int
    token: str


# --- what the grid has ------------------------------------------------------------------


class Token(Response, frozen=True):
    symbol: str
    decimals: int
    mint: str


class GridModel(Response, frozen=True):
    id: str
    digest: str
    title: str
    connector: str
    unit: str
    price_per_unit: int
    licence: str
    #: Smallest variant, tokeniser included.
    download_bytes: int
    memory_mib: int


class Grid(Response, frozen=True):
    id: str
    title: str
    description: str
    models: tuple[GridModel, ...]
    token: Token
    fee_bps: int
    release_s: int
    nodes: int
    queued: int
    running: int


class Grids(Response, frozen=True):
    grids: tuple[Grid, ...]


class Node(Response, frozen=True):
    id: str
    wallet: str
    host: str
    backend: str
    device: str
    grids: tuple[str, ...]
    state: NodeState
    jobs_done: int
    connected_at: float


class Nodes(Response, frozen=True):
    nodes: tuple[Node, ...]


class Wallet(Response, frozen=True):
    address: str
    jobs_done: int
    #: Everything ever settled to this wallet; the four below and ``push_fees`` add up to it.
    earned: int
    withheld: int
    claimable: int
    in_flight: int
    paid: int
    next_release_at: float | None
    token: Token
    #: Kept by the grid for paying the network's fee where the wallet could not.
    push_fees: int = 0


class StatementLine(Response, frozen=True):
    """One posting: what one account got (or, negative, gave), and what it held afterwards."""

    #: Number of the transfer; its postings share it and sum to zero.
    transfer: int
    at: float
    kind: str
    account: str
    amount: int
    balance: int
    #: The job, claim, key or deposit that the money moved for.
    ref: str
    #: The transaction on chain, where there is one.
    signature: str | None


class Statement(Response, frozen=True):
    lines: tuple[StatementLine, ...]
    token: Token
    #: ``before`` of the next page; null at the end.
    next: int | None


# --- jobs -------------------------------------------------------------------------------


class JobRequest(Request, frozen=True):
    model: Annotated[str, Meta(min_length=1, max_length=64)]
    #: The connector's own input.
    input: dict[str, Any]
    #: Whether the explorer may show input and output; off unless asked for.
    public: bool = False
    #: Whether pictures of how far it is may be sent, to the node's owner too.
    show_preview: bool = True


class Progress(Response, frozen=True):
    """How far a running job is, as its node says."""

    done: int
    total: int
    #: What is counted: "steps", "texts".
    stage: str


class JobRow(Response, frozen=True):
    """What anybody may see of a job."""

    id: str
    state: JobState
    grid: str
    model: str
    digest: str
    connector: str
    price: int
    units: int
    host: str | None
    backend: str | None
    device: str | None
    wallet: str | None
    node: str | None
    submitted_at: float
    assigned_at: float | None
    returned_at: float | None
    finished_at: float | None
    attempts: int
    #: The claim that carries the node's pay to the chain.
    claim: str | None
    error: str | None
    #: Whether anybody may see what is in it.
    public: bool
    #: When input and output were let go, by the grid's rule; null while they are kept.
    expired_at: float | None
    #: While it runs; null before its node said anything, and afterwards.
    progress: Progress | None = None


class Jobs(Response, frozen=True):
    jobs: tuple[JobRow, ...]


class Job(JobRow, frozen=True, kw_only=True):
    """What the owner of the key sees; ``output`` is the connector's, once there."""

    usage: dict[str, int]
    #: As it was submitted; null for who may not see it, and once it is kept no more.
    input: dict[str, Any] | None = None
    output: dict[str, Any] | None = None
    #: Where a picture can be fetched without a key, for an hour; of public jobs, at any time.
    image: str | None = None


class Preview(Response, frozen=True):
    """How far a picture is: a small PNG."""

    #: Base64.
    png: bytes


class Quote(Response, frozen=True):
    """What a job would be, as of now."""

    model: str
    grid: str
    units: int
    unit: str
    usage: dict[str, int]
    #: Base units of ``token``.
    price: int
    token: str
    #: That could take it, and jobs that wait before it.
    nodes: int
    waiting: int
    #: Computing alone, on the median of these nodes as they measured themselves; null where
    #: there is none.
    seconds: float | None


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


class Draws(Response, frozen=True):
    """What decides which answers are checked. All bytes in lower-case hex.

    A day's secret is published when the day is over. Hashing it (SHA-256) ``revealed + 1``
    times gives ``anchor``, which was there before any draw. With it anybody draws again:
    HMAC-SHA256(secret, commit hash), its first 8 bytes as a big-endian number n; n times
    1,000,000 divided by 2 to the 64th, rounded down, is the draw. The answer is checked if that
    is below the receipt's ``audit_probability``.
    """

    anchor: str
    #: Days since ``first_day`` (Unix seconds).
    epoch: int
    first_day: float
    #: SHA-256 of today's secret: the ``draw_commitment`` of today's receipts.
    commitment: str
    #: The last day that is over, and its secret; the one before is the secret's SHA-256.
    revealed: int | None
    secret: str | None


class Check(Response, frozen=True):
    """A reference ran a job again and compared."""

    job: str
    #: audit: it was drawn. second: the first reference differed.
    purpose: str
    #: The reference's wallet, and what it computed with.
    auditor: str
    device_class: str
    comparator_version: int
    #: How far the node's answer is from the reference's; above the threshold is wrong.
    distance: float
    threshold: float
    agreed: bool
    checked_at: float


class Checks(Response, frozen=True):
    """In the order in which they were made; none while they are still to come."""

    checks: tuple[Check, ...]


EpochState = Literal["closed", "sent", "final"]


class Epoch(Response, frozen=True):
    """Receipts whose Merkle root is on chain, or on its way there."""

    epoch: int
    #: Leaves: the receipts, then one for each wallet and token.
    count: int
    receipts: int
    wallets: int
    #: In hex, as in the memo.
    root: str
    prev_root: str
    closed_at: float
    state: EpochState
    #: Of the transaction that carries the memo; null before it is signed.
    signature: str | None
    slot: int | None
    final_at: float | None
    #: As it stands on chain.
    memo: str


class Epochs(Response, frozen=True):
    """Newest first, with what is in none yet."""

    epochs: tuple[Epoch, ...]
    #: Receipts that wait for the next one, counted up to the most that it takes.
    waiting: int
    #: Seconds between two.
    every_s: int
    #: Why none is published right now; null while they are.
    problem: str | None


class Leaf(Response, frozen=True):
    """One leaf of an epoch: a receipt, or what a wallet has earned by its end."""

    kind: Literal["receipt", "earned"]
    #: The number of the receipt, rising with each settlement.
    seq: int | None = None
    #: The receipt's exact text: its SHA-256 is in the leaf.
    receipt: str | None = None
    wallet: str | None = None
    token: str | None = None
    #: Base units since the grid began.
    earned: int | None = None


class Leaves(Response, frozen=True):
    epoch: int
    #: Place of the first one here.
    start: int
    leaves: tuple[Leaf, ...]
    #: Where the next page starts; null on the last one.
    next: int | None


class Receipts(Response, frozen=True):
    """In the order of settlement; each leaf is a receipt."""

    receipts: tuple[Leaf, ...]


class Proof(Response, frozen=True):
    """That a receipt is in an epoch: hashes that lead from its leaf to the root, in hex."""

    job: str
    #: SHA-256 of the receipt's bytes.
    receipt_hash: str
    index: int
    path: tuple[str, ...]
    epoch: Epoch


class Balance(Response, frozen=True):
    """A wallet's money in the books, in base units, at the moment of a statement.

    What it earned by its receipts is the sum of the first five, less ``overpaid``.
    """

    wallet: str
    withheld: int
    claimable: int
    in_flight: int
    #: Of its earnings, booked as final on chain.
    paid: int
    #: Kept of its claims for the network's fee, where the grid paid that.
    charged: int
    #: Paid beyond what these books know of, after a restore from a backup.
    overpaid: int
    #: Of a user's credit, not of earnings: given back to this wallet, or on the way to it.
    refunded: int


class Balances(Response, frozen=True):
    """A page of what a statement commits to, in the order of its leaves."""

    balances: tuple[Balance, ...]
    next: int | None


class Attestation(Response, frozen=True):
    """The grid's signed word about its books, for ``tabgrid audit``."""

    #: JSON, byte for byte as it was signed after the prefix "tabgrid/attestation/v1" 0x00.
    statement: str
    #: Base58 of an Ed25519 signature, and of the key: the treasury's delegate.
    signature: str
    key: str


# --- claims -----------------------------------------------------------------------------


class ClaimRequest(Request, frozen=True):
    """Empty today: a claim takes all that is claimable."""


class PayoutRequest(Request, frozen=True):
    #: The most, in base units, that the grid may keep for paying the network's fee.
    max_fee: Annotated[int, Meta(ge=0, le=2**53 - 1)]


class PayoutOffer(Response, frozen=True):
    """What the grid keeps, in base units, for paying all that is claimable to a wallet itself."""

    #: False where this grid pushes no payouts; the rest is then 0 and false.
    offered: bool
    fee: int = 0
    minimum: int = 0
    #: Part of ``fee`` is for making the wallet's token account.
    creates_account: bool = False
    #: Whether the wallet has SOL enough to claim by itself.
    has_sol: bool = False


class SignedClaim(Request, frozen=True):
    transaction: Base64


class Claim(Response, frozen=True):
    id: str
    wallet: str
    amount: int
    #: Base units of ``amount`` that the token itself keeps of a transfer, by its own rules; the
    #: wallet receives the rest. 0 for most tokens.
    fee: int
    #: Base units of ``amount`` that the grid keeps for paying the network's fee itself; null
    #: where the wallet signs and pays it.
    push_fee: int | None
    state: ClaimState
    #: Unsigned, while the wallet's signature is awaited.
    transaction: str | None
    #: The transaction's id on chain.
    signature: str | None
    error: str | None
    created_at: float
    updated_at: float
    expires_at: float | None


class Claims(Response, frozen=True):
    claims: tuple[Claim, ...]


# --- deposits ---------------------------------------------------------------------------


#: Base units, at least one; the largest number that every JSON reader takes.
Units = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class DepositRequest(Request, frozen=True):
    """``amount`` in base units; without it the wallet asks for one. What comes is credited.

    ``wallet`` is where a refund goes. Without it that is the wallet that pays, so name your
    own when you pay from an exchange.
    """

    amount: Units | None = None
    wallet: Address | None = None


class Arrival(Response, frozen=True):
    """A transaction that brought credit. ``payer`` owns the account that it came from."""

    signature: str
    amount: int
    payer: str | None
    #: Where a refund of it goes; None for tokens that were just made, which only the operator
    #: can give back.
    refund_to: str | None
    at: float


class Deposit(Response, frozen=True):
    """A reference to pay with, and what came.

    ``state``: ``waiting`` for a payment, one is ``arriving`` (on chain and not final yet),
    ``partial`` (less came than was asked for; it is credited), ``paid``.
    """

    id: str
    state: DepositState
    amount: int | None
    received: int
    token: str
    reference: str
    #: Solana Pay link; None where the treasury's account is none that wallets find by a link.
    url: str | None
    #: The treasury's token account, which a transfer that names the reference has to go to.
    account: str
    wallet: str | None
    arrivals: tuple[Arrival, ...]
    #: Of a transaction with this reference that brought nothing: what, and why.
    note: str | None
    created_at: float
    #: The link as a QR code, in SVG; only where the deposit is made (see ``qr.svg``).
    qr: str | None = None


class Refundable(Response, frozen=True):
    """What of the unused deposits can go back to ``wallet``, in base units."""

    wallet: str
    amount: int


class Deposits(Response, frozen=True):
    deposits: tuple[Deposit, ...]
    #: What came in all, with what the operator assigned.
    arrivals: tuple[Arrival, ...]
    refundable: tuple[Refundable, ...]
    token: str


class PaymentRequest(Request, frozen=True):
    """``amount``: what is paid, if not what was asked for."""

    wallet: Address
    amount: Units | None = None


class UnsignedPayment(Response, frozen=True):
    transaction: str


class RefundRequest(Request, frozen=True):
    wallet: Address


class Step(Response, frozen=True):
    """One instruction, in words."""

    program: str
    text: str


class Move(Response, frozen=True):
    """What one owner has more (or, negative, less) of the token afterwards, in base units."""

    owner: str
    amount: int


class OnChain(Response, frozen=True):
    """A transaction as the chain keeps it. ``fee`` in lamports, ``error`` as JSON."""

    signature: str
    slot: int
    at: float | None
    error: str | None
    fee: int
    #: Compute units that it took.
    units: int | None
    signers: tuple[str, ...]
    steps: tuple[Step, ...]
    moves: tuple[Move, ...]


class Transaction(Response, frozen=True):
    """A claim's transaction: what we booked, and what the chain says."""

    claim: Claim
    #: None while the chain does not have it, or cannot be asked (``problem`` says why).
    on_chain: OnChain | None
    problem: str | None = None
    #: All that it pays, ``claim`` first: payouts that the grid pushes share a transaction.
    claims: tuple[Claim, ...] = ()


# --- live -------------------------------------------------------------------------------


class Minute(Response, frozen=True):
    at: float
    done: int
    p50_ms: float | None


class Totals(Response, frozen=True):
    nodes_by_backend: dict[str, int]
    nodes: int
    running: int
    queued: int
    done: int
    failed: int
    #: Base units settled to nodes, and finalized on chain.
    settled: int
    paid: int
    token: Token


class Stats(Totals, frozen=True):
    hour: tuple[Minute, ...]

"""What a node and the coordinator say to each other, one frozen struct per sentence.

Every frame on ``/ws/node`` (subprotocol ``tabgrid.v1``) is one of these structs as
msgpack, tagged by ``type``. Unknown fields are refused: a peer that says more than this
file knows is a peer of another version, and guessing at its meaning would be worse than
a clear close code. All limits stand here, beside the fields they bound.

What is added to version 1 has a subprotocol of its own, ``tabgrid.v1.1``. A node offers all
that it speaks, the newest first, and the coordinator takes the best that it speaks too; so it
says nothing that an older node would not understand (``SINCE``).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

VERSION = 1
SUBPROTOCOL = f"tabgrid.v{VERSION}"
#: The newest addition to it, and what a node offers in the WebSocket handshake.
MINOR = 1
SUBPROTOCOLS = (f"{SUBPROTOCOL}.{MINOR}", SUBPROTOCOL)

#: Largest frame in bytes, either way. 256 embeddings of 1,024 float32 are 1 MiB; the
#: rest is for the envelope. Larger results travel as blobs over HTTP, not in frames.
MAX_FRAME = 1024 * 1024 + 64 * 1024
#: Of a partial result, so that it never blocks what comes after it.
MAX_CHUNK = 64 * 1024

#: Largest output in bytes that travels inside a Result. A frame holds up the progress,
#: the pongs and the cancellations behind it: 64 KiB pass a 5 Mbit/s uplink in a tenth of
#: a second. Larger outputs are uploaded as blobs, and the Result names them.
INLINE_OUTPUT = 64 * 1024

#: Largest blob in bytes: a picture of 2048x2048 pixels that does not compress at all is
#: 12 MiB. What a node may make the grid store has to end somewhere.
MAX_BLOB = 16 * 1024 * 1024

ShortText = Annotated[str, Meta(max_length=128)]
#: Shown to a person, never parsed.
Reason = Annotated[str, Meta(max_length=500)]
#: Lower-case hex SHA-256 of a model's manifest or of a file. Python's ``$`` also matches
#: before a last line break; the look-ahead rules that out here and below.
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
#: ``job_``, ``lease_``, ``node_`` and 26 characters of Crockford base 32 (see ``ids``).
Identifier = Annotated[str, Meta(pattern=r"^[a-z]{3,8}_[0-9A-HJKMNP-TV-Z]{26}$(?!\n)")]
GridId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$(?!\n)")]
Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, Meta(min_length=64, max_length=64)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
#: A node takes at most this many jobs at once; a tab takes 1.
Capacity = Annotated[int, Meta(ge=1, le=16)]

Backend = Literal["webgpu", "wasm", "cpu", "cuda"]
FailureCode = Literal["out_of_memory", "device_lost", "model_unavailable", "bad_input", "internal"]
#: Why a node does not run a model: it answers the golden inputs otherwise than it should; it
#: cannot load or compute it; memory runs out; no variant is for such a device; its owner allows
#: no such download; the model itself is at fault; this program does not know the algorithm; a
#: variant that is not worth waiting for.
RefusalCode = Literal[
    "wrong_numbers",
    "fails",
    "out_of_memory",
    "no_variant",
    "download_limit",
    "bad_model",
    "unknown_algorithm",
    "slow",
]
PauseReason = Literal["owner", "battery", "hidden", "busy", "offline"]
#: testing: "Test this model anew, then say Ready." probation, proven: it gets jobs. waiting: it
#: gets further ones once some of its answers are checked. paused: it gets jobs, its pay waits.
#: convicted, quarantined (with its kind of device), refused: it gets none.
StandingState = Literal[
    "testing", "probation", "waiting", "proven", "paused", "convicted", "quarantined", "refused"
]


class Message(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag=str.lower,
    omit_defaults=True,
):
    """Base of everything that travels in a frame."""


class LoadedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that a node holds and whose golden self-test it passed."""

    digest: Digest
    variant: ShortText
    dtype: ShortText
    #: Connector units (tokens, images, …) per second, measured in the self-test.
    units_per_second: Annotated[float, Meta(gt=0, le=1e9)]


class RefusedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that this node cannot run, and why, in words for its owner."""

    digest: Digest
    reason: Reason
    code: RefusalCode = "fails"
    #: In which dtypes it computed wrong numbers, if it did.
    dtypes: Annotated[tuple[ShortText, ...], Meta(max_length=8)] = ()


class OfferedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model of a grid that the node opted in to; its manifest is at ``/api/models/{digest}``."""

    grid: GridId
    model: ShortText
    digest: Digest


class Blob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes that travelled over HTTP: their SHA-256 and how many they are."""

    digest: Digest
    size: Annotated[int, Meta(ge=1, le=MAX_BLOB)]


# --- from the node --------------------------------------------------------------------


class Hello(Message, frozen=True):
    """First frame of a node. Who it is comes from the session of the WebSocket handshake."""

    agent: ShortText
    host: Literal["browser", "native"]
    backend: Backend
    #: For people: "Apple M1", "SwiftShader", "x86-64, 8 threads".
    device: ShortText
    #: Numeric class of results (vendor/architecture), e.g. "webgpu:apple:common-3d".
    device_class: ShortText
    #: Random, kept per browser profile or keypair: two tabs of one device are one device.
    device_id: ShortText
    memory_mib: Annotated[int, Meta(ge=0, le=2**24)]
    grids: Annotated[tuple[GridId, ...], Meta(min_length=1, max_length=32)]


class Ready(Message, frozen=True):
    """The node takes jobs for these models from now on (also: the end of a pause)."""

    models: Annotated[tuple[LoadedModel, ...], Meta(max_length=64)]
    refused: Annotated[tuple[RefusedModel, ...], Meta(max_length=64)] = ()
    capacity: Capacity = 1


class Progress(Message, frozen=True):
    lease: Identifier
    done: Count
    total: Count
    stage: ShortText = ""


class Chunk(Message, frozen=True):
    """The result so far (a preview): it takes the place of the one before."""

    lease: Identifier
    seq: Count
    data: Annotated[bytes, Meta(max_length=MAX_CHUNK)]


class Result(Message, frozen=True):
    """The answer, with the commitment to it signed by the worker key (see ``commitment``)."""

    lease: Identifier
    job: Identifier
    #: msgpack of the connector's ``Output``; empty where ``blob`` says what it is.
    output: bytes
    nonce: Bytes16
    signature: Bytes64
    compute_ms: Count
    #: The output was uploaded to the assignment's ``upload`` before this was sent.
    blob: Blob | None = None
    #: Root over what lay between the steps to the output, signed with it; None for answers
    #: that have no steps. ``trace`` is what it is the root of, or ``trace_blob`` names it.
    root: Bytes32 | None = None
    trace: bytes = b""
    trace_blob: Blob | None = None


class Failed(Message, frozen=True):
    lease: Identifier
    job: Identifier
    code: FailureCode
    message: Reason


class Paused(Message, frozen=True):
    """No new jobs, please. Running leases are either finished or reported as failed."""

    reason: PauseReason


class Bye(Message, frozen=True):
    reason: Reason = ""


# --- to the node ----------------------------------------------------------------------


class Welcome(Message, frozen=True):
    node: Identifier
    wallet: ShortText
    models: tuple[OfferedModel, ...]
    #: The node must be heard at least this often (any frame or pong counts).
    heartbeat_s: Count


class Assign(Message, frozen=True):
    lease: Identifier
    job: Identifier
    grid: GridId
    model: Digest
    #: msgpack of the connector's ``Input``; of a ``Recheck`` where ``task`` says so.
    input: bytes
    #: From receipt; after it the lease is void and the job may run elsewhere.
    deadline_ms: Count
    #: Whether its owner may see what it computes meanwhile. If not, no Chunk is sent either.
    show_preview: bool = True
    #: Path and query of the grid's server, signed for this lease: ``PUT`` the output there,
    #: ``{digest}`` replaced by its SHA-256 in lower-case hex, where it is larger than
    #: INLINE_OUTPUT. Empty: this grid takes outputs in frames only.
    upload: Annotated[str, Meta(max_length=500)] = ""
    #: What to do: give the answer, or run a few steps of another node's answer again. Only
    #: the operator's own references are asked for the latter.
    task: Literal["answer", "recheck"] = "answer"


class Cancel(Message, frozen=True):
    lease: Identifier
    reason: Reason


class Settled(Message, frozen=True):
    """A result was accepted and booked. Amounts in base units of the grid's token."""

    job: Identifier
    amount: Count
    token: ShortText
    #: Seconds until the amount becomes claimable.
    release_s: Count


class Standing(Message, frozen=True):
    """How the grid takes the node's answers of one model, and why. Since 1.1."""

    model: Digest
    state: StandingState
    #: For its owner.
    reason: Reason
    #: Whether it may be worth its owner's while to test the model again.
    test: bool = False
    #: The answer that was found wrong, if one has just been; until when its owner may appeal,
    #: in Unix seconds.
    job: Identifier | None = None
    appeal_until: Count | None = None


class Drain(Message, frozen=True):
    """The coordinator is about to stop: finish what runs, expect a reconnect."""

    deadline_s: Count


class Error(Message, frozen=True):
    """Something the node sent was not accepted; fatal ones are followed by a close."""

    code: ShortText
    message: Reason
    lease: Identifier | None = None
    retry_after_s: Count | None = None


FromNode = Hello | Ready | Progress | Chunk | Result | Failed | Paused | Bye
ToNode = Welcome | Assign | Cancel | Settled | Standing | Drain | Error

#: Messages that came with an addition to version 1; the others are of its beginning.
SINCE: dict[type[Message], int] = {Standing: 1}


def minor_of(subprotocol: str) -> int:
    """Up to which addition a peer understands that speaks one of ``SUBPROTOCOLS``."""
    return MINOR - SUBPROTOCOLS.index(subprotocol)

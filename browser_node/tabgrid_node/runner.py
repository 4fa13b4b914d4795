"""One job: bytes in, signed bytes out, or a reason why not."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import msgspec

from tabgrid_models import trace
from tabgrid_models.connectors.base import InvalidInput, Traced
from tabgrid_models.trace import Recheck
from tabgrid_wire.commitment import NONCE, output_digest, result_message
from tabgrid_wire.messages import (
    INLINE_OUTPUT,
    MAX_CHUNK,
    MAX_FRAME,
    Assign,
    Blob,
    Chunk,
    Failed,
    FailureCode,
    Progress,
    Result,
)

from .hosts import ConnectionLost, DeviceLost, Host, UploadRefused
from .loading import Held

log = logging.getLogger(__name__)

#: At most this often a job says how far it is: five times a second looks alive, and a
#: short job says nothing at all.
PROGRESS_EVERY_S = 0.2
#: As often at most, and at once the first time, it shows what it has.
CHUNK_EVERY_S = 0.2
#: Room in a frame for everything in a Result that is not its output and not its trace.
ENVELOPE = 1024
#: Seconds before the second and the third try of an upload: a dropped connection is back by
#: then, and a grid that is still away hands the job to another node anyway.
UPLOAD_AGAIN_S = (1.0, 4.0)
#: Where uploads go; whatever else an assignment might name is none of ours to send to.
UPLOADS = "/api/blobs/"
_encode = msgspec.msgpack.Encoder().encode


class JobStopped(Exception):
    """Nobody wants the answer any more. Raised out of ``emit``, at the connector's next step."""


class Made(msgspec.Struct, frozen=True):
    """What was computed: msgpack of the output, and what lay between the steps to it."""

    output: bytes
    trace: bytes = b""
    root: bytes | None = None


class Job:
    """One assignment while it runs. ``say`` takes Progress and Chunk messages."""

    def __init__(
        self,
        assign: Assign,
        host: Host,
        wallet: str,
        say: Callable[[Progress | Chunk], None] = lambda message: None,
    ) -> None:
        self.assign = assign
        #: On the host's monotonic clock; the lease counts from receipt.
        self.void_at = host.monotonic() + assign.deadline_ms / 1000
        self.stopped = False
        self.device_lost: DeviceLost | None = None
        self._host = host
        self._wallet = wallet
        self._say = say
        self._said_at = host.monotonic()
        self._chunks = 0
        self._shown_at = -math.inf

    def stop(self) -> None:
        """Ends it at the connector's next step."""
        self.stopped = True

    def emit(self, done: int, total: int, stage: str = "", chunk: bytes = b"") -> None:
        self._check_wanted()
        now = self._host.monotonic()
        lease = self.assign.lease
        if chunk:
            self._show(chunk, now)
        if now - self._said_at >= PROGRESS_EVERY_S:
            self._said_at = now
            self._say(Progress(lease, done, total, stage[:128]))

    def _show(self, chunk: bytes, now: float) -> None:
        """Nothing leaves the connector where the user hid it."""
        fits = len(chunk) <= MAX_CHUNK
        if self.assign.show_preview and fits and now - self._shown_at >= CHUNK_EVERY_S:
            self._say(Chunk(self.assign.lease, self._chunks, chunk))
            self._chunks += 1
            self._shown_at = now

    async def run(self, held: Held) -> Result | Failed | None:
        """The message to send; None where nobody waits for it any more."""
        try:
            answer = await self._answer(held)
        except JobStopped:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError, InvalidInput) as error:
            return self.failed("bad_input", str(error))
        except MemoryError:
            return self.failed("out_of_memory", "The device ran out of memory.")
        except DeviceLost as error:
            self.device_lost = error
            return self.failed("device_lost", str(error))
        except (ConnectionLost, UploadRefused) as error:
            return self.failed("internal", f"The answer could not be uploaded: {error}")
        except Exception as error:
            # Whatever a connector or a runtime does, it must fail its own job and no other.
            log.exception("Job %s failed", self.assign.job)
            return self.failed("internal", f"{type(error).__name__}: {error}")
        return None if self.stopped else answer

    async def _answer(self, held: Held) -> Result | Failed:
        host = self._host
        started = host.monotonic()
        made = await self._compute(held)
        elapsed = host.monotonic() - started
        digest = output_digest(made.output)
        blob = await self._uploaded(made.output)
        trace_blob = await self._uploaded(made.trace)
        inline, inline_trace = b"" if blob else made.output, b"" if trace_blob else made.trace
        if len(inline) + len(inline_trace) > MAX_FRAME - ENVELOPE:
            size = len(inline) + len(inline_trace)
            return self.failed("internal", f"The answer is too large: {size} bytes.")
        nonce = host.random(NONCE)
        message = result_message(self.assign.job, self._wallet, nonce, digest, made.root)
        return Result(
            lease=self.assign.lease,
            job=self.assign.job,
            output=inline,
            nonce=nonce,
            signature=await host.signer.sign(message),
            compute_ms=round(elapsed * 1000),
            blob=blob,
            root=made.root,
            trace=inline_trace,
            trace_blob=trace_blob,
        )

    async def _compute(self, held: Held) -> Made:
        connector, manifest = held.tested.connector, held.tested.manifest
        if self.assign.task == "recheck":
            if not isinstance(connector, Traced):
                raise InvalidInput("This model has no steps that could be run again.")
            asked = msgspec.msgpack.decode(self.assign.input, type=Recheck)
            found = await connector.recheck(asked, manifest, held.runtime, self.emit)
            return Made(_encode(found))
        input = msgspec.msgpack.decode(self.assign.input, type=connector.Input)
        connector.validate(input, manifest)
        if not isinstance(connector, Traced):
            return Made(_encode(await connector.run(input, manifest, held.runtime, self.emit)))
        output, kept = await connector.run_traced(input, manifest, held.runtime, self.emit)
        states = connector.split_trace(input, manifest, kept)
        return Made(_encode(output), kept, trace.root(states))

    async def _uploaded(self, content: bytes) -> Blob | None:
        """What names large bytes after they were sent; None for such as go in the frame."""
        if len(content) <= INLINE_OUTPUT or not self.assign.upload.startswith(UPLOADS):
            return None
        blob = Blob(output_digest(content).hex(), len(content))
        path = self.assign.upload.replace("{digest}", blob.digest)
        for wait in UPLOAD_AGAIN_S:
            try:
                await self._host.upload(path, content)
                return blob
            except ConnectionLost as lost:
                log.warning("Job %s: upload broke off: %s", self.assign.job, lost)
            await self._host.sleep(wait)
            self._check_wanted()
        await self._host.upload(path, content)
        return blob

    def _check_wanted(self) -> None:
        if self.stopped or self._host.monotonic() > self.void_at:
            raise JobStopped

    def failed(self, code: FailureCode, reason: str) -> Failed:
        return Failed(self.assign.lease, self.assign.job, code, fit(reason))


def fit(reason: str) -> str:
    """A reason as the wire takes it: at most 500 characters, no lone surrogates."""
    return reason.encode(errors="replace").decode()[:500]

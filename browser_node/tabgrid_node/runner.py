"""One job: bytes in, signed bytes out, or a reason why not."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import msgspec

from tabgrid_models.connectors.base import InvalidInput
from tabgrid_wire.commitment import NONCE, output_digest, result_message
from tabgrid_wire.messages import (
    MAX_CHUNK,
    MAX_FRAME,
    Assign,
    Chunk,
    Failed,
    FailureCode,
    Progress,
    Result,
)

from .hosts import DeviceLost, Host
from .loading import Held

log = logging.getLogger(__name__)

#: At most this often a job says how far it is: five times a second looks alive, and a
#: short job says nothing at all.
PROGRESS_EVERY_S = 0.2
#: As often at most, and at once the first time, it shows what it has.
CHUNK_EVERY_S = 0.2
#: Room in a frame for everything in a Result that is not its output.
ENVELOPE = 512
_encode = msgspec.msgpack.Encoder().encode


class JobStopped(Exception):
    """Nobody wants the answer any more. Raised out of ``emit``, at the connector's next step."""


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
        now = self._host.monotonic()
        if self.stopped or now > self.void_at:
            raise JobStopped
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
        except Exception as error:
            # Whatever a connector or a runtime does, it must fail its own job and no other.
            log.exception("Job %s failed", self.assign.job)
            return self.failed("internal", f"{type(error).__name__}: {error}")
        return None if self.stopped else answer

    async def _answer(self, held: Held) -> Result | Failed:
        connector, host = held.connector, self._host
        input = msgspec.msgpack.decode(self.assign.input, type=connector.Input)
        connector.validate(input, held.manifest)
        started = host.monotonic()
        output = _encode(await connector.run(input, held.manifest, held.runtime, self.emit))
        elapsed = host.monotonic() - started
        if len(output) > MAX_FRAME - ENVELOPE:
            return self.failed("internal", f"The answer is too large: {len(output)} bytes.")
        nonce = host.random(NONCE)
        message = result_message(self.assign.job, self._wallet, nonce, output_digest(output))
        signature = await host.signer.sign(message)
        return Result(
            self.assign.lease, self.assign.job, output, nonce, signature, round(elapsed * 1000)
        )

    def failed(self, code: FailureCode, reason: str) -> Failed:
        return Failed(self.assign.lease, self.assign.job, code, fit(reason))


def fit(reason: str) -> str:
    """A reason as the wire takes it: at most 500 characters, no lone surrogates."""
    return reason.encode(errors="replace").decode()[:500]

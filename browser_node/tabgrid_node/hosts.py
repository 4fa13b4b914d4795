"""What the node program asks of the place it runs in: a tab, or a process.

``node.py`` and ``runner.py`` know only these protocols. ``in_browser.py`` (Pyodide) and
``native.py`` (CPython) implement them; ``testing.py`` ships one more host for tests of
whoever builds on this package.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, Protocol

import msgspec

from tabgrid_models.calibration import Calibration
from tabgrid_models.manifest import File, Manifest, Variant
from tabgrid_models.runtime import Runtime
from tabgrid_wire.errors import STOP_CODES, CloseCode
from tabgrid_wire.messages import Backend, RefusalCode, StandingState

#: Bytes so far, bytes in all, of the download or check of one model.
DownloadProgress = Callable[[int, int], None]


class ConnectionLost(Exception):
    """The coordinator cannot be reached or closed the socket; ``code`` is the close code."""

    def __init__(self, message: str, code: int = 1006) -> None:
        super().__init__(message)
        self.code = code


LOST = "The connection to the grid is lost"


def closed(code: int, reason: str = "") -> ConnectionLost:
    """What a transport raises when its socket was closed, in words for the owner."""
    if code in STOP_CODES:
        return ConnectionLost(STOP_CODES[CloseCode(code)], code)
    if code == CloseCode.DRAINING:
        return ConnectionLost("The grid restarts.", code)
    return ConnectionLost(f"{LOST} ({reason})." if reason else f"{LOST}.", code)


class UploadRefused(Exception):
    """The grid does not take this output; trying again would not help. The text says why."""


class CannotRun(Exception):
    """This device cannot run this model; the text is shown to the owner, ``code`` sorts it."""

    def __init__(self, message: str, code: RefusalCode = "fails") -> None:
        super().__init__(message)
        self.code = code
        #: In which dtypes it computed wrong numbers.
        self.dtypes: tuple[str, ...] = ()


class OutOfMemory(CannotRun):
    """It does not fit beside what is in memory now."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "out_of_memory")


class WrongNumbers(CannotRun):
    """It runs here, and answers what is known otherwise than it should."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "wrong_numbers")


class DeviceLost(Exception):
    """The device (a GPU, a WASM heap) is gone: only a fresh host can go on. Ends ``Node.run``.

    Memory that ran out for one job, with the device still usable, is a MemoryError instead.
    """


class Device(msgspec.Struct, frozen=True):
    """What the host found out about itself, once, at start."""

    host: Literal["browser", "native"]
    backend: Backend
    name: str
    device_class: str
    device_id: str
    memory_mib: int
    features: tuple[str, ...] = ()
    #: What computes, with its version: what was measured with another may no longer hold.
    runtime: str = ""


class Transport(Protocol):
    """One open WebSocket; frames are whole."""

    async def send(self, frame: bytes) -> None: ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Frames until the socket closes; then raises ``ConnectionLost`` (see ``closed``)."""

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


class Signer(Protocol):
    """The worker key: Ed25519, made where it is used, never exported from a tab."""

    async def sign(self, message: bytes) -> bytes: ...


class Host(Protocol):
    """Everything a node needs. All methods may raise ``ConnectionLost`` where they use the net."""

    @property
    def device(self) -> Device: ...

    @property
    def signer(self) -> Signer: ...

    async def connect(self) -> Transport:
        """Open ``/ws/node`` with the owner's session."""

    async def fetch_manifest(self, digest: str) -> Manifest:
        """The manifest whose digest this is; the caller checks that it is."""

    async def fetch_calibration(self, digest: str) -> Calibration | None:
        """What was measured of that model; None where nobody has, or where it is unreadable."""

    async def missing(self, files: Sequence[File]) -> int:
        """Bytes of them that are not here yet. A guess: nothing is hashed for it."""

    async def recall(self, name: str) -> bytes | None:
        """What ``remember`` was last told under this name, in this visit or an earlier one."""

    async def remember(self, name: str, value: bytes) -> None:
        """Kept until the next visit, where that can be done; never raises where it cannot."""

    async def load(
        self, manifest: Manifest, variant: Variant, progress: DownloadProgress
    ) -> Runtime:
        """Weights verified and kept, session open. Raises ``CannotRun`` with the reason."""

    async def unload(self, digest: str) -> None: ...

    async def upload(self, path: str, data: bytes) -> None:
        """PUT ``data`` to a path of the grid's server, which has it for good on return.

        Raises ``UploadRefused``, and ``ConnectionLost`` where another try may succeed.
        """

    async def sleep(self, seconds: float) -> None: ...

    def monotonic(self) -> float: ...

    def random(self, count: int) -> bytes: ...

    def report(self, status: NodeStatus) -> None:
        """Show the owner what happens; called on every change."""

    def show(self, job: str, grid: str, preview: bytes) -> None:
        """Let the owner see how far a picture is, a PNG, if they like to."""


class ModelStanding(msgspec.Struct, frozen=True):
    """How the grid takes this device's answers of one model, as it last said."""

    state: StandingState
    #: For the owner; text, never markup.
    reason: str
    #: Whether another self-test may help.
    test: bool
    #: The answer that was found wrong, if this is about one; until when one may appeal, in Unix
    #: seconds, 0 where there is nothing to appeal.
    job: str
    appeal_until: int
    #: What of its answers is trusted, or not, beside the wallet: "q8 on cpu:x86-64".
    unit: str


class Refusal(msgspec.Struct, frozen=True):
    """Why this device does not run a model: in words, and as the page sorts it."""

    reason: str
    code: RefusalCode
    #: The precisions that came out wrong, if any did, and where: "q8 on cpu:x86-64".
    unit: str


class NodeStatus(msgspec.Struct, frozen=True):
    """What the owner sees; the page renders exactly this. Also a generated TypeScript type."""

    state: Literal["idle", "loading", "ready", "working", "paused", "stopped"]
    #: One plain sentence: "Downloading all-MiniLM-L6-v2", "Coordinator gone, next try in 8 s".
    message: str
    backend: str
    device: str
    wallet: str
    download_bytes: int
    download_total: int
    job: str
    job_stage: str
    job_done: int
    job_total: int
    #: Its user lets nobody look on.
    job_hidden: bool
    jobs_done: int
    #: Base units, sum of this run's settlements; the page adds it to the wallet's figures.
    earned: int
    #: Model id to why this device does not run it.
    refused: dict[str, Refusal]
    #: Model id to how the grid takes its answers.
    standings: dict[str, ModelStanding]
    #: Seconds until the next connection attempt, 0 when connected.
    retry_in: float

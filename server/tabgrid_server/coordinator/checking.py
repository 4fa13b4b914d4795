"""Answers that wait for a reference: at hand for as many as references may soon take, for the
others only their names; their inputs and outputs lie in the store until their turn comes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import structlog

from tabgrid_models import trace
from tabgrid_models.connectors.base import Comparison, InvalidOutput
from tabgrid_models.trace import Claimed, Part
from tabgrid_wire.ids import new_id

from .. import scheduler
from ..blobs import BlobDamaged, BlobsUnavailable
from ..store import StoreUnavailable, WhyGivenUp
from ..store import checks as stored_checks
from ..trust.instructions import Purpose
from . import rechecks, verify
from .live import Answer, LiveJob, LiveNode
from .offers import Offer
from .state import State

log = structlog.get_logger("tabgrid.auditing")

#: Answers at hand, and the bytes of their inputs and outputs: where references cannot keep up,
#: memory would fill.
AT_HAND = 1_000
AT_HAND_BYTES = 64 * 1024 * 1024
#: Names of more that wait, some hundred bytes each; what waits longest is then not checked.
WAITING = 100_000
#: Before the store is asked again that could not answer, or has the job's end not yet.
AGAIN_S = 0.2


class Wanted(msgspec.Struct, frozen=True):
    """A job that references are to run."""

    job: str
    purpose: Purpose
    #: Unix seconds.
    since: float
    #: How many are asked, one after the other.
    references: int = 1


class Judged(msgspec.Struct, frozen=True):
    """What a reference found; ``part`` names the step that decides, "" for a whole answer."""

    comparison: Comparison
    part: str = ""
    #: All that was looked at, where that were steps.
    parts: tuple[Part, ...] = ()


class LiveAudit(msgspec.Struct):
    """An answer on its way through a reference."""

    id: str
    wanted: Wanted
    offer: Offer
    input: Any
    input_bytes: bytes
    #: What the node said, and who it is.
    output: bytes
    dtype: str
    units: int
    wallet: str
    node_class: str
    #: Kinds of devices of the references that have judged it, and what they found.
    judged_on: frozenset[str] = frozenset()
    found: tuple[bool, ...] = ()
    #: What is run again in place of the whole answer: a few steps, drawn after it came.
    claimed: Claimed | None = None
    #: Its user waits for the verdict.
    awaited: bool = False

    @property
    def is_awaited(self) -> bool:
        """Somebody is: then it goes before others, or whoever makes much work delays it."""
        return self.awaited or self.purpose == "appeal"

    @property
    def job(self) -> str:
        return self.wanted.job

    @property
    def purpose(self) -> Purpose:
        return self.wanted.purpose

    @property
    def size(self) -> int:
        steps = 0 if self.claimed is None else self.claimed.size
        return len(self.input_bytes) + len(self.output) + steps

    @property
    def work(self) -> int:
        """Units that a reference computes."""
        if self.claimed is None:
            return self.units
        return rechecks.units(self.offer, self.input, self.units, self.claimed)

    @property
    def task(self) -> Literal["answer", "recheck"]:
        return "answer" if self.claimed is None else "recheck"

    @property
    def sent(self) -> bytes:
        """What a reference is sent."""
        claimed = self.claimed
        return self.input_bytes if claimed is None else msgspec.msgpack.encode(claimed.asked)

    def judge(self, node: LiveNode, answer: Answer) -> Judged:
        """How far the node's answer is from that of the reference ``node``.

        Raises ``InvalidOutput`` for what is no answer of a reference's.
        """
        if self.claimed is None:
            dtype = verify.check_answer(self, node, answer)
            right, said = self.offer.output(answer.output), self.offer.output(self.output)
            return Judged(self.offer.compare(right, said, self.dtype, dtype))
        if verify.check_signed(self, node, answer) != self.dtype:
            raise InvalidOutput("it was computed in another precision than it was sent for")
        found = rechecks.read(self.offer, self.input, self.claimed, answer.output)
        parts = rechecks.parts(self.offer, self.input, self.claimed, found, self.dtype)
        part = trace.worst(parts)
        return Judged(Comparison(part.distance, part.threshold), part.name, parts)


GiveUp = Callable[[Wanted, WhyGivenUp], None]


class Gone(Exception):
    """The job cannot be run again; the text says why, as does ``why``."""

    def __init__(self, why: WhyGivenUp, text: str) -> None:
        super().__init__(text)
        self.why: WhyGivenUp = why


class Checking:
    """``tell`` reaches the scheduler, ``idle`` says whether an audit waits there for a
    reference, ``give_up`` hears of what nobody could run; ``wake`` is called whenever
    ``next_alarm`` may have become earlier."""

    def __init__(
        self,
        state: State,
        tell: Callable[[scheduler.Event], None],
        idle: Callable[[str], bool],
        give_up: GiveUp,
        wake: Callable[[], None],
    ) -> None:
        #: By the audit's own id, which the scheduler and the reference know it by.
        self.audits: dict[str, LiveAudit] = {}
        self._state = state
        self._rules = state.settings.trust
        self._tell = tell
        self._idle = idle
        self._give_up = give_up
        self._wake_clock = wake
        self._size = 0
        self._line: deque[Wanted] = deque()
        #: Out of the line, and not yet with all that it takes.
        self._loading: Wanted | None = None
        #: Audits that another kind of device should run, and until when one is waited for.
        self._choosy: deque[tuple[float, str]] = deque()
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Answers that a reference is to run, on all grids."""
        return len(self.audits) + len(self._line) + (self._loading is not None)

    def waits(self, job: str) -> bool:
        if self._loading is not None and self._loading.job == job:
            return True
        running = any(audit.job == job for audit in self.audits.values())
        return running or any(wanted.job == job for wanted in self._line)

    def want(self, wanted: Wanted, audit: LiveAudit | None = None) -> None:
        """Have it run; ``audit`` where all that it takes is at hand."""
        if audit is not None and self._has_room():
            self._submit(audit)
            return
        if wanted.purpose == "appeal":
            self._line.appendleft(wanted)  # nobody drowns one in work
        else:
            self._line.append(wanted)
        self._wake.set()
        if len(self._line) > WAITING:
            self._give_up(self._take_crowded(), "crowded")

    def want_now(self, audit: LiveAudit) -> None:
        """Have it run whatever waits: its user does."""
        self._submit(audit)

    def call_off(self, job: str, reason: str) -> None:
        """Nobody wants to know any more."""
        for audit in [each for each in self.audits.values() if each.job == job]:
            self._tell(scheduler.JobCancelled(audit.id, reason))
            self.forget(audit)

    def whole(self, audit: LiveAudit) -> None:
        """Have the whole answer run again: its reference knows no other way, or computes in
        another precision, and how far steps may then differ nobody measured."""
        self._size -= audit.size
        audit.claimed = None
        self._size += audit.size

    def again(self, audit: LiveAudit, wanted: Wanted, node: LiveNode, agreed: bool) -> None:
        """Ask one more for the whole answer, on another kind of device than ``node`` if there
        is one."""
        self._submit(
            msgspec.structs.replace(
                audit,
                id=_new_id(),
                wanted=wanted,
                judged_on=audit.judged_on | {node.hello.device_class},
                found=(*audit.found, agreed),
                claimed=None,
            )
        )

    def forget(self, audit: LiveAudit) -> None:
        """It was run, or cannot be."""
        del self.audits[audit.id]
        self._size -= audit.size
        self._wake.set()

    def next_alarm(self) -> float | None:
        """When ``tick`` is due, in Unix seconds."""
        due = [self._choosy[0][0]] if self._choosy else []
        oldest = self._oldest()
        if oldest is not None:
            due.append(oldest.since + self._rules.check_within_s)
        return min(due, default=None)

    def tick(self, now: float) -> None:
        while self._choosy and self._choosy[0][0] <= now:
            self._take_any(self._choosy.popleft()[1])
        while (oldest := self._oldest()) is not None:
            if oldest.since + self._rules.check_within_s > now:
                return
            self._give_up_one(oldest)

    async def keep_loading(self) -> None:
        """Fetch from the store what is next in line, as references get to it."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._line and (self._has_room() or self._line[0].purpose == "appeal"):
                await self._load_next()

    async def _load_next(self) -> None:
        wanted = self._loading = self._line.popleft()
        try:
            if wanted.job in self._state.jobs:  # it is being booked
                raise StoreUnavailable("The job has its end not yet.")
            audit = await self._load(wanted)
        except Gone as gone:
            log.info("a job cannot be run again", job=wanted.job, why=str(gone))
            self._give_up(wanted, gone.why)
        except (StoreUnavailable, BlobsUnavailable):
            self._loading = None
            self._line.append(wanted)
            await asyncio.sleep(AGAIN_S)
        except Exception as error:  # whatever is wrong with this one, the others wait behind it
            log.error("a job to be checked cannot be read", job=wanted.job, exc_info=error)
            self._give_up(wanted, "damaged")
        else:
            self._submit(audit)
        finally:
            self._loading = None

    async def _load(self, wanted: Wanted) -> LiveAudit:
        kept = await self._state.store.read(stored_checks.material, wanted.job)
        if kept is None:
            raise Gone("expired", "there is no such answer, or its content has expired")
        job, content, found = kept
        offer = self._state.offers.at(job.grid, job.digest)
        if offer is None:
            raise Gone("withdrawn", "its model is not offered any more")
        output = content.output
        if output is None:
            assert content.output_digest is not None
            try:
                output = await self._state.uploads.kept(content.output_digest)
            except BlobDamaged as damaged:
                raise Gone("damaged", str(damaged)) from damaged
        # What other references found before this process began.
        before = [check for check in found if _counts(check.purpose, wanted.purpose)]
        return LiveAudit(
            id=_new_id(),
            wanted=wanted,
            offer=offer,
            input=offer.input(content.input),
            input_bytes=content.input,
            output=output,
            dtype=job.dtype or "",
            units=job.units,
            wallet=job.wallet or "",
            node_class=job.device_class or "",
            judged_on=frozenset(check.device_class for check in before),
            found=tuple(check.agreed for check in before),
        )

    def _submit(self, audit: LiveAudit) -> None:
        self.audits[audit.id] = audit
        self._size += audit.size
        if audit.judged_on:
            self._choosy.append((time.time() + self._rules.other_kind_s, audit.id))
        self._wake_clock()
        self._hand_out(audit, audit.judged_on)

    def _hand_out(self, audit: LiveAudit, not_on: frozenset[str]) -> None:
        grid, digest = audit.offer.grid, audit.offer.digest
        self._tell(
            scheduler.AuditSubmitted(
                *(audit.id, grid, digest, audit.work, audit.wallet, not_on, audit.is_awaited),
                dtype=audit.dtype,
            )
        )

    def _take_any(self, id: str) -> None:
        """No other kind of device took it in time: a look of the same kind is better than none."""
        audit = self.audits.get(id)
        if audit is not None and self._idle(id):
            self._tell(scheduler.JobCancelled(id, "Any kind of device may run it now."))
            self._hand_out(audit, frozenset())

    def _oldest(self) -> Wanted | None:
        """Of those in memory and the first in line."""
        waiting = [audit.wanted for audit in self.audits.values()]
        waiting += [self._line[0]] if self._line else []
        return min(waiting, key=_asked_at, default=None)

    def _give_up_one(self, oldest: Wanted) -> None:
        for audit in self.audits.values():
            if audit.wanted is oldest:
                self._tell(scheduler.JobCancelled(audit.id, "No reference could run it in time."))
                self.forget(audit)
                self._give_up(oldest, "late")
                return
        self._give_up(self._line.popleft(), "late")

    def _take_crowded(self) -> Wanted:
        """What waits longest, but for appeals."""
        place = next((n for n, each in enumerate(self._line) if each.purpose != "appeal"), 0)
        found = self._line[place]
        del self._line[place]
        return found

    def _has_room(self) -> bool:
        return len(self.audits) < AT_HAND and self._size < AT_HAND_BYTES


def of_answer(
    wanted: Wanted,
    job: LiveJob,
    node: LiveNode,
    answer: Answer,
    dtype: str,
    claimed: Claimed | None = None,
) -> LiveAudit:
    """An answer that has just come; ``claimed`` is what of its steps was drawn."""
    return LiveAudit(
        id=_new_id(),
        wanted=wanted,
        offer=job.offer,
        input=job.input,
        input_bytes=job.input_bytes,
        output=answer.output,
        dtype=dtype,
        units=job.units,
        wallet=node.wallet,
        node_class=node.hello.device_class,
        claimed=claimed,
    )


def _asked_at(wanted: Wanted) -> float:
    return wanted.since


def _counts(purpose: str, wanted: Purpose) -> bool:
    """Whether an earlier check is one of those that this purpose goes on from."""
    if wanted == "second":
        return purpose in ("audit", "reaudit", "rerun")
    return purpose == wanted == "appeal"


def _new_id() -> str:
    return new_id("audit", int(time.time() * 1000), os.urandom(10))

"""The one who knows what goes on: takes jobs, hands them out, books results.

The shell around the scheduler. Everything here is short and in order: tell the scheduler
what happened, carry out what it says, keep what must be kept. Jobs are durable before they
are acknowledged and booked before they are answered, so this process may die at any line.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Coroutine, Iterable
from typing import Any

import msgspec
import structlog

from tabgrid_models.connectors.base import HasMedia, InvalidOutput
from tabgrid_wire import messages as wire
from tabgrid_wire.commitment import output_digest
from tabgrid_wire.ids import new_id

from .. import metrics, scheduler
from ..api.schemas import JobRow, Minute, Preview, Progress
from ..blobs import BlobDamaged, BlobsUnavailable, Uploads
from ..errors import Draining, NoNode, QueueFull, TooManyJobs, UnknownModel
from ..settings import Settings
from ..store import AlreadyFinished, Check, NewJob, Refund, Store, StoreUnavailable
from ..store import checks as stored_checks
from ..store import jobs as stored_jobs
from ..store import stats as stored_stats
from . import previews, verify
from .auditing import Auditing, LiveAudit
from .bus import Bus
from .draws import Draws
from .figures import Figures, Sums
from .live import Answer, Link, LiveJob, LiveNode, Outcome
from .offers import Offer, Offers, Priced
from .pricing import Price
from .receipts import Evidence, settlement_of

log = structlog.get_logger("tabgrid.coordinator")

#: Waits between attempts to book a result while the store cannot write (disk full, say).
BOOKING_RETRY_S = (0.2, 0.5, 1, 2, 5)


class Caller(msgspec.Struct, frozen=True):
    """Who pays: the owner of an API key."""

    owner: str
    key_id: str


class Coordinator:
    """All live state of one grid process."""

    def __init__(self, settings: Settings, offers: Offers, store: Store, uploads: Uploads) -> None:
        self.settings = settings
        self.offers = offers
        self.store = store
        self.uploads = uploads
        self.nodes: dict[str, LiveNode] = {}
        self.jobs: dict[str, LiveJob] = {}
        self.bus: Bus[JobRow] = Bus()
        #: By job's id its changes; by ``previews.topic`` what only some may see. Kept nowhere.
        self.followers: Bus[JobRow | Preview] = Bus()
        self.figures = Figures(Sums(), ())
        self.draining = False
        #: Done when whoever still waits for a queued job should be told to come back later.
        self.stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        rules = settings.scheduling
        policy = scheduler.Policy(
            lease_factor=rules.lease_factor,
            lease_min_s=rules.lease_min_s,
            lease_max_s=rules.lease_max_s,
            hedge_factor=rules.hedge_factor,
            hedge_min_s=rules.hedge_min_s,
            attempts=rules.attempts,
            strikes=rules.strikes,
            audit_places=rules.audit_places,
        )
        self.scheduler = scheduler.Scheduler(policy, lambda: self.new_id("lease"))
        uploads.holds = self.scheduler.leases.__contains__
        self.draws = Draws.of_folder(settings.data)
        self.auditing = Auditing(self.draws, self._tell, self._keep_check)
        self._jobs_of: Counter[str] = Counter()
        self._alarm = asyncio.Event()
        #: Leases whose answer is being looked through.
        self._checking: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- life -------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up again what an earlier process left unfinished, then keep time."""
        self.figures = await self._read_figures()
        for stored in await self.store.read(stored_jobs.unfinished):
            self._recover(stored)
        self._spawn(self._keep_time())
        log.info("coordinator started", recovered=len(self.jobs))

    async def _read_figures(self) -> Figures:
        symbol = self.settings.chain.symbol
        totals = await self.store.read(stored_stats.totals)
        hour = await self.store.read(stored_stats.hour_series, time.time())
        settled, paid = totals.settled.get(symbol, 0), totals.paid.get(symbol, 0)
        sums = Sums(done=totals.done, failed=totals.failed, settled=settled, paid=paid)
        return Figures(sums, [Minute(m.at, m.done, m.p50_ms) for m in hour])

    def _recover(self, stored: NewJob) -> None:
        offer = self.offers.at(stored.grid, stored.digest)
        if offer is None:
            self._spawn(self._refund_orphan(stored))
            return
        # The price that was held then; settings may have changed since.
        price = Price(stored.price, stored.fee)
        job = LiveJob(
            id=stored.id,
            owner=stored.owner,
            key_id=stored.key_id,
            offer=offer,
            input=offer.input(stored.input),
            input_bytes=stored.input,
            price=price,
            units=stored.units,
            usage=stored.usage,
            public=stored.public,
            show_preview=stored.show_preview,
            submitted_at=stored.submitted_at,
        )
        self._enter(job)

    async def drain(self) -> None:
        """Take nothing new; give running jobs their time; queued ones are durable."""
        self.draining = True
        seconds = self.settings.server.drain_s
        for node in self.nodes.values():
            self.node_draining(node)
            node.link.send(wire.Drain(seconds))
        deadline = time.monotonic() + seconds
        # Once in a life: an event for it would be one more thing to keep right.
        while self.scheduler.leases and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        while booking := {t for t in self._tasks if t.get_name() == "booking"}:
            _, late = await asyncio.wait(booking, timeout=max(0.5, deadline - time.monotonic()))
            if late:
                break
        if not self.stopping.done():
            self.stopping.set_result(None)
        log.info("drained", unfinished=len(self.jobs))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_time(self) -> None:
        """Wake the scheduler when it asked to be woken."""
        while True:
            due = self.scheduler.next_alarm()
            wait = None if due is None else max(0.0, due - time.monotonic())
            self._alarm.clear()
            try:
                await asyncio.wait_for(self._alarm.wait(), wait)
            except TimeoutError:
                self._tell(scheduler.Ticked())

    # --- jobs -------------------------------------------------------------------------

    def offer_of(self, model: str) -> Offer:
        offer = self.offers.for_model(model)
        if offer is None:
            raise UnknownModel(model, [o.manifest.id for o in self.offers.all])
        return offer

    async def submit(
        self,
        caller: Caller,
        offer: Offer,
        priced: Priced,
        *,
        public: bool = False,
        show_preview: bool = True,
    ) -> LiveJob:
        """Hold the price, keep the job, queue it. On return it is durable.

        Raises ``Draining``, ``QueueFull``, ``TooManyJobs``, ``InsufficientFunds``,
        ``StoreUnavailable``.
        """
        self._admit(caller)
        job = LiveJob(
            id=self.new_id("job"),
            owner=caller.owner,
            key_id=caller.key_id,
            offer=offer,
            input=priced.input,
            input_bytes=priced.encoded,
            price=priced.price,
            units=priced.units,
            usage=priced.usage,
            public=public,
            show_preview=show_preview,
            submitted_at=time.time(),
        )
        self._jobs_of[job.owner] += 1
        try:
            await self.store.submit(self._stored(job))
        except BaseException:
            self._jobs_of[job.owner] -= 1
            raise
        self._jobs_of[job.owner] -= 1
        self._enter(job)
        return job

    def require_node(self, offer: Offer) -> None:
        """For requests that wait for their answer: refuse at once where none can come."""
        if not self.scheduler.serving(offer.grid, offer.digest):
            raise NoNode(offer.manifest.id)

    def speed(self, offer: Offer) -> float | None:
        """Units per second of the median node that holds this model; None if there is none."""
        digest, grid = offer.digest, offer.grid
        speeds = sorted(
            node.models[digest].units_per_second
            for node in self.nodes.values()
            if digest in node.models and grid in node.hello.grids and node.state == "ready"
        )
        return speeds[len(speeds) // 2] if speeds else None

    def _admit(self, caller: Caller) -> None:
        limits = self.settings.limits
        if self.draining:
            raise Draining
        if self._jobs_of[caller.owner] >= limits.jobs_per_key:
            raise TooManyJobs(limits.jobs_per_key)
        if len(self.jobs) >= limits.queue_jobs:
            raise QueueFull(len(self.jobs))

    def _enter(self, job: LiveJob) -> None:
        self.jobs[job.id] = job
        self._jobs_of[job.owner] += 1
        metrics.JOBS_SUBMITTED.labels(job.offer.grid).inc()
        self._publish(job)
        offer = job.offer
        event = scheduler.JobSubmitted(job.id, job.owner, offer.grid, offer.digest, job.units)
        self._tell(event)

    async def cancel(self, job_id: str, reason: str) -> bool:
        """Call the job off and give the money back. False if it has its result or its end."""
        job = self.jobs.get(job_id)
        if job is None or job.ending or job.state not in ("queued", "running"):
            return False
        self._tell(scheduler.JobCancelled(job_id, reason))
        await self._finish(job, Outcome("cancelled", error_code="cancelled", error=reason))
        return True

    async def _finish(self, job: LiveJob, outcome: Outcome) -> None:
        """End a job without a result: refund, then tell whoever waits.

        Until the money is back, nobody reads that it has ended.
        """
        job.ending = outcome
        finished_at = time.time()
        refund = Refund(
            job_id=job.id,
            state="cancelled" if outcome.state == "cancelled" else "failed",
            error_code=outcome.error_code,
            error=outcome.error,
            attempts=job.attempts,
            finished_at=finished_at,
        )
        await self._book(self.store.refund, refund, job.id)
        job.state, job.finished_at = outcome.state, finished_at
        if outcome.state == "failed":
            self.figures.failed()
        self._leave(job, outcome)

    async def _refund_orphan(self, stored: NewJob) -> None:
        refund = Refund(
            job_id=stored.id,
            state="failed",
            error_code="model_gone",
            error=f"This grid no longer offers {stored.model}.",
            attempts=0,
            finished_at=time.time(),
        )
        await self._book(self.store.refund, refund, stored.id)

    def _leave(self, job: LiveJob, outcome: Outcome) -> None:
        self.jobs.pop(job.id, None)
        self._jobs_of[job.owner] -= 1
        if not self._jobs_of[job.owner]:
            del self._jobs_of[job.owner]
        metrics.JOBS_ENDED.labels(job.offer.grid, outcome.state).inc()
        metrics.JOB_SECONDS.labels(job.offer.grid).observe(time.time() - job.submitted_at)
        self._publish(job)
        if not job.ended.done():
            job.ended.set_result(outcome)

    # --- nodes ------------------------------------------------------------------------

    def node_joined(self, hello: wire.Hello, wallet: str, worker_key: str, link: Link) -> LiveNode:
        node = LiveNode(self.new_id("node"), wallet, worker_key, hello, link, time.time())
        node.reference = wallet in self.settings.scheduling.reference_wallets
        self.nodes[node.id] = node
        metrics.NODES.labels(hello.backend).inc()
        grids = frozenset(hello.grids)
        self._tell(scheduler.NodeJoined(node.id, wallet, grids, node.reference, hello.device_class))
        log.info("node joined", node=node.id, wallet=wallet, backend=hello.backend)
        return node

    def node_left(self, node: LiveNode, why: str) -> None:
        if self.nodes.pop(node.id, None) is None:
            return
        metrics.NODES.labels(node.hello.backend).dec()
        self._tell(scheduler.NodeLeft(node.id))
        log.info("node left", node=node.id, why=why, jobs_done=node.jobs_done)

    def node_ready(self, node: LiveNode, ready: wire.Ready) -> None:
        offered = {o.digest for grid in node.hello.grids for o in self.offers.of_grid(grid)}
        node.models = {m.digest: m for m in ready.models if m.digest in offered}
        node.state = "ready"
        speeds = {digest: model.units_per_second for digest, model in node.models.items()}
        self._tell(scheduler.NodeReady(node.id, speeds, ready.capacity))
        for refused in ready.refused:
            log.info("node refused a model", node=node.id, model=refused.digest, why=refused.reason)

    def node_paused(self, node: LiveNode) -> None:
        node.state = "paused"
        self._tell(scheduler.NodePaused(node.id))

    def node_draining(self, node: LiveNode) -> None:
        node.state = "draining"
        self._tell(scheduler.NodeDraining(node.id))

    def job_progressed(self, node: LiveNode, message: wire.Progress) -> None:
        lease = self.scheduler.leases.get(message.lease)
        if lease is None or lease.node.id != node.id:
            return
        job = self.jobs.get(lease.job.id)
        if job is None:
            return  # an audit: nobody watches it
        job.progress = Progress(message.done, message.total, message.stage)
        self._publish(job)

    def job_previewed(self, node: LiveNode, chunk: wire.Chunk) -> None:
        """Pass a picture of a running job on, if it is one and not too soon after the last."""
        lease = self.scheduler.leases.get(chunk.lease)
        if lease is None or lease.node.id != node.id:
            return
        job = self.jobs.get(lease.job.id)
        if job is not None and previews.take(job, chunk.data, time.monotonic()):
            self.followers.publish(previews.topic(job.id), lambda: Preview(chunk.data))

    def job_failed(self, node: LiveNode, message: wire.Failed) -> None:
        if not self._holds(node, message.lease, message.job):
            return
        metrics.ATTEMPTS_FAILED.labels(message.code).inc()
        bad_input = message.code == "bad_input"
        reason = f"{message.code}: {message.message}"
        # A paused tab hands its job back with "internal"; its owner did nothing wrong.
        blame = not bad_input and node.state != "paused"
        self._tell(scheduler.AttemptFailed(message.lease, reason, blame, retry=not bad_input))

    def result_returned(self, node: LiveNode, result: wire.Result) -> None:
        """Check a result; book it if it is one, else hold it against the node."""
        if not self._holds(node, result.lease, result.job):
            return
        audit = self.auditing.audits.get(result.job)
        if audit is not None:
            self._spawn(self._judge(audit, node, result))
            return
        job = self.jobs[result.job]
        if result.blob is not None or isinstance(job.offer.connector, HasMedia):
            self._spawn(self._look_through(job, node, result), "booking")
            return
        answer = Answer(result, result.output, output_digest(result.output))
        try:
            self._accept(node, answer, verify.check_answer(job, node, answer))
        except InvalidOutput as error:
            self._refuse(node, result, error)

    async def _look_through(self, job: LiveJob, node: LiveNode, result: wire.Result) -> None:
        """Check what takes its time, in a thread: megabytes, or kilobytes that unfold to them."""
        if result.lease in self._checking:
            return  # said twice: the first one counts
        self._checking.add(result.lease)
        try:
            answer = await self._answer(result)
            dtype = await asyncio.to_thread(verify.check_answer, job, node, answer)
        except (InvalidOutput, BlobDamaged, BlobsUnavailable) as error:
            if self._holds(node, result.lease, result.job):
                self._refuse(node, result, error)
            return
        finally:
            self._checking.discard(result.lease)
        # Meanwhile the lease may have run out.
        if self._holds(node, result.lease, result.job):
            self._accept(node, answer, dtype)

    async def _judge(self, audit: LiveAudit, node: LiveNode, result: wire.Result) -> None:
        """Compare a reference's answer with the node's, in a thread: both may be large."""
        if result.lease in self._checking:
            return
        self._checking.add(result.lease)
        try:
            answer = await self._answer(result)
            await asyncio.to_thread(verify.check_answer, audit, node, answer)
            output = audit.offer.output(answer.output)
            comparison = await asyncio.to_thread(audit.compare, output)
        except (InvalidOutput, BlobDamaged, BlobsUnavailable) as error:
            if self._holds(node, result.lease, result.job):
                self._refuse(node, result, error)
            return
        finally:
            self._checking.discard(result.lease)
        if self._holds(node, result.lease, result.job):
            self._tell(scheduler.ResultAccepted(result.lease))
            self.auditing.compared(audit, node, comparison, time.time())

    def _keep_check(self, check: Check) -> None:
        async def write(check: Check) -> None:
            await self.store.write(stored_checks.add, check)

        self._spawn(self._book(write, check, check.job_id), "booking")

    async def _answer(self, result: wire.Result) -> Answer:
        if result.blob is None:
            return Answer(result, result.output, output_digest(result.output))
        output = await self.uploads.output_of(result.lease, result.blob)
        return Answer(result, output, bytes.fromhex(result.blob.digest))

    def _refuse(self, node: LiveNode, result: wire.Result, error: Exception) -> None:
        """A wrong answer is the node's fault; a store that cannot be read is not."""
        blame = isinstance(error, InvalidOutput)
        metrics.ATTEMPTS_FAILED.labels("invalid_output" if blame else "storage").inc()
        why = getattr(error, "why", str(error))
        log.warning("result refused", node=node.id, job=result.job, why=why)
        node.link.send(wire.Error("invalid_result", str(error)[:500], lease=result.lease))
        reason = f"A node's answer was wrong: {error}" if blame else str(error)
        self._tell(scheduler.AttemptFailed(result.lease, reason, blame))

    def _accept(self, node: LiveNode, answer: Answer, dtype: str) -> None:
        result = answer.result
        job = self.jobs[result.job]
        job.state, job.node = "returned", node
        self.uploads.accepted(result.lease)
        self._tell(scheduler.ResultAccepted(result.lease))
        evidence = None
        if self.settings.scheduling.audit_places:
            evidence = self.auditing.answered(job, node, answer, dtype, time.time())
        self._spawn(self._settle(job, node, answer, dtype, evidence), "booking")

    def _holds(self, node: LiveNode, lease_id: str, job_id: str) -> bool:
        """Whether the node may speak of this lease; late news is normal and only answered."""
        lease = self.scheduler.leases.get(lease_id)
        if lease is not None and lease.node.id == node.id and lease.job.id == job_id:
            return True
        metrics.STALE_RESULTS.inc()
        node.link.send(
            wire.Error("stale_lease", "This job was handed to another node.", lease=lease_id)
        )
        return False

    async def _settle(
        self,
        job: LiveJob,
        node: LiveNode,
        answer: Answer,
        dtype: str,
        evidence: Evidence | None,
    ) -> None:
        """Book the pay and the receipt, then answer."""
        now = job.returned_at = job.finished_at = time.time()
        release_s = job.offer.settings.release_s
        settlement = settlement_of(job, node, answer, dtype, now, evidence)
        await self._book(self.store.settle, settlement, job.id)
        if answer.result.blob is not None:
            self.uploads.booked(answer.result.blob.digest)
        node.jobs_done += 1
        job.state = "done"
        self.figures.done(now, now - job.submitted_at, job.price.pay)
        self._leave(job, Outcome("done", answer.output))
        symbol = self.settings.chain.symbol
        node.link.send(wire.Settled(job.id, job.price.pay, symbol, release_s))

    # --- the shell --------------------------------------------------------------------

    def _tell(self, event: scheduler.Event) -> None:
        before = self.scheduler.next_alarm()
        for instruction in self.scheduler.handle(event, time.monotonic()):
            self._carry_out(instruction)
        if self.scheduler.next_alarm() != before:
            self._alarm.set()

    def _carry_out(self, instruction: scheduler.Instruction) -> None:
        if isinstance(instruction, scheduler.AssignJob):
            self._assign(instruction)
        elif isinstance(instruction, scheduler.CancelLease):
            node = self.nodes.get(instruction.node)
            if node is not None:
                node.link.send(wire.Cancel(instruction.lease, instruction.reason))
        elif instruction.job in self.auditing.audits:
            self.auditing.gave_up(self.auditing.audits[instruction.job], time.time())
        else:
            job = self.jobs[instruction.job]
            outcome = job.ending = Outcome("failed", error_code="failed", error=instruction.reason)
            self._spawn(self._finish(job, outcome), "booking")

    def _assign(self, instruction: scheduler.AssignJob) -> None:
        node = self.nodes[instruction.node]
        audit = self.auditing.audits.get(instruction.job)
        if audit is not None:
            self._send(instruction, audit, show_preview=False)
            return
        job = self.jobs[instruction.job]
        job.state, job.node, job.attempts = "running", node, instruction.attempt
        job.progress = None
        job.assigned_at = time.time()
        self._send(instruction, job, job.show_preview)
        self._publish(job)

    def _send(
        self, instruction: scheduler.AssignJob, work: LiveJob | LiveAudit, show_preview: bool
    ) -> None:
        """To a node an audit looks like any other job."""
        self.nodes[instruction.node].link.send(
            wire.Assign(
                instruction.lease,
                work.id,
                work.offer.grid,
                work.offer.digest,
                work.input_bytes,
                int(instruction.seconds * 1000),
                upload=self.uploads.address(instruction.lease, instruction.seconds),
                show_preview=show_preview,
            )
        )

    async def _book(self, write: Any, command: Any, job_id: str) -> None:
        """Write until it is written: what was computed must not be lost to a full disk."""
        for attempt in range(1_000_000):
            try:
                await write(command)
                return
            except AlreadyFinished:
                log.warning("job had its end already", job=job_id)
                return
            except StoreUnavailable as error:
                wait = BOOKING_RETRY_S[min(attempt, len(BOOKING_RETRY_S) - 1)]
                log.error("cannot book; trying again", job=job_id, why=str(error), wait_s=wait)
                await asyncio.sleep(wait)

    def _publish(self, job: LiveJob) -> None:
        self.bus.publish("jobs", job.row)
        self.followers.publish(job.id, job.row)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str = "") -> None:
        task = asyncio.create_task(work, name=name or None)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)

    def _stored(self, job: LiveJob) -> NewJob:
        return NewJob(
            id=job.id,
            owner=job.owner,
            key_id=job.key_id,
            grid=job.offer.grid,
            model=job.offer.manifest.id,
            digest=job.offer.digest,
            connector=job.offer.manifest.connector,
            token=self.settings.chain.symbol,
            input=job.input_bytes,
            price=job.price.total,
            fee=job.price.fee,
            units=job.units,
            usage=job.usage,
            public=job.public,
            show_preview=job.show_preview,
            submitted_at=job.submitted_at,
        )

    @staticmethod
    def new_id(prefix: str) -> str:
        return new_id(prefix, int(time.time() * 1000), os.urandom(10))

    def live_rows(self) -> Iterable[JobRow]:
        return [job.row() for job in self.jobs.values()]

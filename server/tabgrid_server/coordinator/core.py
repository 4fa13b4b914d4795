"""The one who knows what goes on: takes jobs, hands them out, books results.

Jobs come in here and are called off here; the rooms around it hand them out (``dispatch``),
hear nodes (``nodes``), look through answers (``results``) and end jobs (``booking``). Jobs are
durable before they are acknowledged and booked before they are answered, so this process may
die at any line.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

import msgspec
import structlog

from tabgrid_wire import messages as wire
from tabgrid_wire.ids import new_id

from .. import metrics, scheduler
from ..api.schemas.grid import Minute
from ..blobs import Uploads
from ..errors import Draining, NoNode, NoReference, QueueFull, TooManyJobs, UnknownModel
from ..lasting import kept
from ..settings import Settings
from ..store import Idempotency, NewJob, Store, StoreUnavailable
from ..store import jobs as stored_jobs
from ..store import stats as stored_stats
from .auditing import Auditing
from .booking import Booking
from .dispatch import Dispatch
from .draws import Draws
from .figures import Figures, Sums
from .live import LiveJob, Outcome
from .nodes import NodeEvents
from .offers import Offer, Offers, Priced
from .pricing import Price
from .results import Results
from .state import State

log = structlog.get_logger("tabgrid.coordinator")


class Caller(msgspec.Struct, frozen=True):
    """Who pays: the owner of an API key."""

    owner: str
    key_id: str


class Coordinator:
    """One grid process."""

    def __init__(self, settings: Settings, offers: Offers, store: Store, uploads: Uploads) -> None:
        self.settings = settings
        self.offers = offers
        self.store = store
        self.uploads = uploads
        self.state = state = State(settings, offers, store, uploads)
        self.nodes, self.jobs = state.nodes, state.jobs
        self.bus, self.followers = state.bus, state.followers
        #: Ids of jobs of which the store has not said yet whether it keeps them.
        self._arriving: set[str] = set()
        self.draining = False
        #: Done when whoever still waits for a queued job should be told to come back later.
        self.stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.draws = Draws.of_folder(settings.data)
        self._booking = Booking(state)
        self._dispatch = Dispatch(state, self._booking, self.draws)
        self.scheduler = self._dispatch.scheduler
        self.node_events = NodeEvents(state, self._dispatch)
        self.results = Results(state, self._dispatch, self._booking)
        uploads.holds = self.scheduler.leases.__contains__

    @property
    def figures(self) -> Figures:
        return self.state.figures

    @property
    def auditing(self) -> Auditing:
        return self._dispatch.auditing

    # --- life -------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up again what an earlier process left unfinished, then keep time."""
        self.state.figures = await self._read_figures()
        await self.auditing.recover(time.time())
        for stored in await self.store.read(stored_jobs.unfinished):
            self._recover(stored)
        for name, work in (
            ("scheduler's clock", self._dispatch.keep_time),
            ("trust's clock", self.auditing.keep_time),
            ("loading of checks", self.auditing.checking.keep_loading),
        ):
            self.state.background.spawn(kept(name, work))
        log.info("coordinator started", recovered=len(self.jobs))

    async def _read_figures(self) -> Figures:
        symbol = self.settings.chain.symbol
        totals = await self.store.read(stored_stats.totals)
        hour = await self.store.read(stored_stats.hour_series, time.time())
        paid = totals.paid.get(symbol, 0)
        sums = Sums(done=totals.done, failed=totals.failed, paid=paid)
        return Figures(sums, [Minute(m.at, m.done, m.p50_ms) for m in hour])

    def _recover(self, stored: NewJob) -> None:
        offer = self.offers.at(stored.grid, stored.digest)
        if offer is None:
            self.state.background.spawn(self._booking.refund_orphan(stored))
            return
        self._enter(self._live(stored, offer))

    @staticmethod
    def _live(stored: NewJob, offer: Offer) -> LiveJob:
        return LiveJob(
            id=stored.id,
            owner=stored.owner,
            key_id=stored.key_id,
            offer=offer,
            input=offer.input(stored.input),
            input_bytes=stored.input,
            # That was held then; settings may have changed since.
            price=Price(stored.price, stored.fee),
            units=stored.units,
            usage=stored.usage,
            public=stored.public,
            show_preview=stored.show_preview,
            checked=stored.checked,
            submitted_at=stored.submitted_at,
        )

    async def drain(self) -> None:
        """Take nothing new; give running jobs their time; queued ones are durable."""
        self.draining = True
        seconds = self.settings.server.drain_s
        for node in self.nodes.values():
            self.node_events.drain(node)
            node.link.send(wire.Drain(seconds))
        deadline = time.monotonic() + seconds
        # Once in a life: an event for it would be one more thing to keep right.
        while self.scheduler.leases and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await self.state.background.booked(deadline)
        # Without it the next start takes a little longer.
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(max(0.5, deadline - time.monotonic())):
                await self.auditing.remember(time.time())
        if not self.stopping.done():
            self.stopping.set_result(None)
        log.info("drained", unfinished=len(self.jobs))

    async def stop(self) -> None:
        await self.state.background.stop()

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
        checked: bool = False,
        interactive: bool = False,
        idempotency: Idempotency | None = None,
    ) -> LiveJob:
        """Hold the price, keep the job, queue it. On return it is durable.

        ``checked``: nobody sees the answer before a reference agreed with it. ``interactive``:
        somebody waits for it. ``idempotency``: what its owner calls it. Raises ``Draining``,
        ``QueueFull``, ``TooManyJobs``, ``NoReference``, ``InsufficientFunds``, ``Repeated`` (there
        is a job of this name), ``StoreUnavailable``.
        """
        self._admit(caller)
        if checked and not self.can_check(offer):
            raise NoReference(offer.manifest.id)
        job = LiveJob(
            id=self.new_id("job"),
            owner=caller.owner,
            key_id=caller.key_id,
            offer=offer,
            input=priced.input,
            input_bytes=priced.encoded,
            price=priced.cost(checked),
            units=priced.units,
            usage=priced.usage,
            public=public,
            show_preview=show_preview,
            checked=checked,
            submitted_at=time.time(),
        )
        job.interactive = interactive
        self.state.jobs_of[job.owner] += 1
        self._arriving.add(job.id)
        try:
            await self.store.submit(self._stored(job, idempotency))
        finally:
            self._arriving.discard(job.id)
            self.state.jobs_of[job.owner] -= 1
        self._enter(job)
        return job

    async def again(self, job_id: str) -> LiveJob | None:
        """A job that is asked for again, by its name; None where it has its end, or its model is
        gone.

        A store whose connection was cut in the middle of a commit may have kept it while we
        said that we could not: then nobody works on it before now.
        """
        if job_id in self.jobs or job_id in self._arriving:
            return self.jobs.get(job_id)
        stored = await self.store.read(stored_jobs.unfinished_one, job_id)
        if stored is not None and job_id not in self.jobs:
            self._recover(stored)
        return self.jobs.get(job_id)

    def require_node(self, offer: Offer) -> None:
        """For requests that wait for their answer: refuse at once where none can come."""
        if not self.scheduler.serving(offer.grid, offer.digest):
            raise NoNode(offer.manifest.id)

    @property
    def has_references(self) -> bool:
        rules = self.settings.scheduling
        return bool(rules.audit_places and rules.reference_wallets)

    def can_check(self, offer: Offer) -> bool:
        """Whether a reference is online that could check answers of this model."""
        return self.has_references and any(
            node.reference and offer.digest in node.models and offer.grid in node.hello.grids
            for node in self.nodes.values()
        )

    def speed(self, offer: Offer) -> float | None:
        """Units per second of the median node that is given jobs of this model; None if none is."""
        speeds = self.scheduler.speeds(offer.grid, offer.digest)
        return speeds[len(speeds) // 2] if speeds else None

    def _admit(self, caller: Caller) -> None:
        limits = self.settings.limits
        if self.draining:
            raise Draining
        if self.state.jobs_of[caller.owner] >= limits.jobs_per_key:
            raise TooManyJobs(limits.jobs_per_key)
        if len(self.jobs) >= limits.queue_jobs:
            raise QueueFull(len(self.jobs))

    def _enter(self, job: LiveJob) -> None:
        self.jobs[job.id] = job
        self.state.jobs_of[job.owner] += 1
        metrics.JOBS_SUBMITTED.labels(job.offer.grid).inc()
        self.state.publish(job)
        offer = job.offer
        event = scheduler.JobSubmitted(
            job.id, job.owner, offer.grid, offer.digest, job.units, job.interactive
        )
        self._dispatch.tell(event)

    async def cancel(self, job_id: str, reason: str, *, held: bool = False) -> bool:
        """Call the job off and give the money back. False if it has its result or its end.

        An answer that is being checked is a result: its node has done the work. ``held``: call it
        off all the same, for this process ends and forgets it.
        """
        job = self.jobs.get(job_id)
        if job is None or job.ending:
            return False
        if job.state in ("queued", "running"):
            self._dispatch.tell(scheduler.JobCancelled(job_id, reason))
        elif not (held and self.auditing.holding.call_off(job_id, reason)):
            return False
        await self._booking.finish(job, Outcome("cancelled", error_code="cancelled", error=reason))
        return True

    def is_held(self, job_id: str) -> bool:
        """Whether its answer is there and waits for a reference, which its user asked for."""
        return job_id in self.auditing.holding

    def _stored(self, job: LiveJob, idempotency: Idempotency | None) -> NewJob:
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
            checked=job.checked,
            submitted_at=job.submitted_at,
            idempotency=idempotency,
        )

    @staticmethod
    def new_id(prefix: str) -> str:
        return new_id(prefix, int(time.time() * 1000), os.urandom(10))

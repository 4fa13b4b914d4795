"""The node program: one for a tab and for a process.

    connect → Hello → Welcome → load and test the models → Ready → jobs → … → Bye

It keeps no more state than its owner can see: ``Life`` holds the facts, ``Link`` one
connection, ``Job`` one assignment. A job outlives the connection it came by: its answer
goes out on the next one, as long as its lease may still hold.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from tabgrid_models.connectors import connector as connector_of
from tabgrid_wire import messages as m
from tabgrid_wire.errors import STOP_CODES, ProtocolError

from .answers import Answers
from .backoff import Backoff
from .hosts import ConnectionLost, DeviceLost, Host, ModelStanding, Refusal
from .life import Life
from .link import Link
from .loading import FindConnector
from .runner import Job
from .shelf import Shelf
from .watching import ShownLoading

log = logging.getLogger(__name__)


class Node:
    """One node. ``run`` ends when it is stopped, by its owner or by the grid.

    ``wallet`` is whom its answers are for. Left empty, it is whom the first Welcome names:
    right where only the server knows which wallet the session's cookie is of.
    """

    def __init__(
        self,
        host: Host,
        grids: Sequence[str],
        wallet: str = "",
        *,
        agent: str = "tabgrid",
        capacity: int = 1,
        find: FindConnector = connector_of,
    ) -> None:
        self.life = Life(host.device, wallet)
        #: Set where ``run`` ended because nothing more can be done here, with the reason.
        self.failure = ""
        self._host = host
        self._wallet = wallet
        self._hello = hello(host, tuple(grids), agent)
        self._capacity = capacity
        self._backoff = Backoff()
        self._shelf = Shelf(host, find, ShownLoading(self.life, host, self._report))
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers = Answers()
        self._link: Link | None = None
        self._welcome: m.Welcome | None = None
        #: Models are tested anew: no jobs are taken meanwhile.
        self._testing = False
        self._leaving = False
        self._stopping = False
        self._device_lost: DeviceLost | None = None
        self._retry_after = 0.0
        self._wake = asyncio.Event()

    # --- what its owner asks for ------------------------------------------------------

    async def run(self) -> None:
        """Work until stopped. Raises DeviceLost where only a fresh host can go on."""
        try:
            while not self._stopping:
                self.life.connecting()
                self._report()
                lost = await self._session()
                if lost is not None and lost.code in STOP_CODES:
                    self._give_up(str(lost))
                elif not self._stopping:
                    await self._wait(lost)
        finally:
            await self._end_jobs()
            self.life.stopped(self.failure or "Stopped.")
            self._report()
        if self._device_lost is not None:
            raise self._device_lost

    def pause(self, reason: m.PauseReason) -> None:
        """Take no new jobs; the running one is finished."""
        self.life.pause(reason)
        self._say_presence()
        self._report()

    def resume(self) -> None:
        self.life.resume()
        self._say_presence()
        self._wake.set()
        self._report()

    def test_again(self) -> None:
        """Test what this device holds or could not run, and say what came out."""
        if self._link is None or not self.life.loaded or self._testing or self._stopping:
            return
        self._testing = True
        self._spawn(self._test_again(self._link))

    def stop(self) -> None:
        """Finish what runs, say Bye, end. A second call does not wait for jobs."""
        again, self._stopping = self._stopping, True
        self._wake.set()
        if again:
            for job in self._jobs.values():
                job.stop()
        if self._link is not None:
            if again:
                self._link.leave(m.Bye("stopped"))
            elif self._jobs:
                self._link.say(m.Paused("owner"))
        self._leave_if_done()

    # --- one connection ---------------------------------------------------------------

    async def _session(self) -> ConnectionLost | None:
        """From connect to close: why it was lost, or None where we left."""
        try:
            link = Link(await self._host.connect())
        except ConnectionLost as lost:
            return lost
        if self._stopping:
            await link.close()
            return None
        started = self._host.monotonic()
        self._link, self._leaving = link, False
        end = ConnectionLost("The connection ended.")
        try:
            await self._converse(link)
        except* ConnectionLost as group:
            end = _first(group)
        except* ProtocolError as group:
            end = ConnectionLost(f"The grid broke the protocol: {_first(group).reason}")
        except* DeviceLost as group:
            self._lose_device(_first(group))
        finally:
            self._link = None
            await link.close()
        self._backoff.connected_for(self._host.monotonic() - started)
        return None if link.left else end

    async def _converse(self, link: Link) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(link.write())
            link.say(self._hello)
            async for message in link:
                if isinstance(message, m.Welcome):
                    self._welcomed(message, link)
                    group.create_task(self._prepare(message, link))
                else:
                    self._heard(message, link)

    def _welcomed(self, welcome: m.Welcome, link: Link) -> None:
        self._wallet = self._wallet or welcome.wallet
        if welcome.wallet != self._wallet:
            # It is signed into every answer: a grid cannot change it under a running node.
            self._give_up("The grid takes this session for another wallet's. Sign in again.")
        self._retry_after = 0.0
        self._welcome = welcome
        self.life.welcomed(self._wallet)
        self._report()
        for answer in self._answers.valid(self._host.monotonic()):
            link.say(answer)

    async def _prepare(self, welcome: m.Welcome, link: Link) -> None:
        """Load what is offered, then take jobs."""
        for offered in welcome.models:
            await self._shelf.get(offered.digest)
        names = {offered.digest: offered.model for offered in welcome.models}
        refused = {
            names[d]: Refusal(r.reason, r.code, self._unit(*r.dtypes))
            for d, r in self._shelf.refused.items()
            if d in names
        }
        self.life.models_loaded(refused)
        self._say_presence(ready=True)
        self._report()
        if self._stopping:
            self._leave_if_done()
        elif refused and not self._shelf.loaded:
            reasons = " ".join(f"{name}: {why.reason}" for name, why in refused.items())
            self._give_up(f"This device cannot run any model of the chosen grids. {reasons}")

    async def _test_again(self, link: Link) -> None:
        try:
            link.say(m.Paused("busy"))
            while self._jobs:
                await asyncio.wait([*self._tasks - {asyncio.current_task()}])
            if self._welcome is None or link is not self._link:
                return  # The next connection has its own beginning.
            self.life.testing_again()
            self._report()
            for offered in self._welcome.models:
                await self._shelf.forget(offered.digest)
            await self._prepare(self._welcome, link)
        except ConnectionLost as lost:
            log.warning("Not tested again yet: %s", lost)
            await link.close()
        except DeviceLost as error:
            self._lose_device(error)
        finally:
            self._testing = False

    def _say_presence(self, *, ready: bool = False) -> None:
        """Tell the grid whether we take jobs, once it can know what for."""
        link, paused = self._link, self.life.paused
        if link is None or not self.life.loaded or self._stopping:
            return
        if self._testing and not ready:
            return  # What it can do is known when the test is over.
        if ready or paused is None:
            refused = tuple(self._shelf.refused.values())
            link.say(m.Ready(self._shelf.loaded, refused, self._capacity))
        if paused is not None:
            link.say(m.Paused(paused))

    def _heard(self, message: Any, link: Link) -> None:
        match message:
            case m.Assign():
                self._assigned(message, link)
            case m.Cancel(lease=lease) if lease in self._jobs:
                self._jobs[lease].stop()
            case m.Settled():
                self._settled(message)
            case m.Standing():
                self._stands(message)
            case m.Drain():
                self.life.told("The grid restarts. Reconnecting when the running job is done.")
                self._leaving = True
                self._leave_if_done()
            case m.Error():
                self._told_off(message)
        self._report()

    def _settled(self, message: m.Settled) -> None:
        self._answers.settled(message.job)
        self.life.settled(message.amount)

    def _stands(self, standing: m.Standing) -> None:
        offered = self._welcome.models if self._welcome else ()
        name = next((o.model for o in offered if o.digest == standing.model), standing.model)
        said = ModelStanding(
            state=standing.state,
            reason=standing.reason,
            test=standing.test,
            job=standing.job or "",
            appeal_until=standing.appeal_until or 0,
            unit=self._unit(*(o.dtype for o in self._shelf.loaded if o.digest == standing.model)),
        )
        self.life.stands(name, said)
        if standing.state == "testing":
            self.test_again()

    def _unit(self, *dtypes: str) -> str:
        """What beside wallet and model is tested and trusted: in which precision, on what."""
        return f"{' and '.join(dtypes)} on {self._host.device.device_class}".lstrip()

    def _told_off(self, error: m.Error) -> None:
        if error.lease is None:
            self._retry_after = float(error.retry_after_s or 0)
            self.life.told(error.message or error.code)
        else:
            # Stale or refused: nobody wants that answer, and the owner need not know.
            log.info("Lease %s: %s %s", error.lease, error.code, error.message)
            self._answers.refused(error.lease)

    # --- jobs -------------------------------------------------------------------------

    def _assigned(self, assign: m.Assign, link: Link) -> None:
        job = Job(assign, self._host, self._wallet, self._progress)
        if assign.lease in self._jobs:
            return
        if reason := self._unwilling():
            link.say(job.failed("internal", reason))
            return
        self._jobs[assign.lease] = job
        self.life.job_began(assign.lease, assign.job, hidden=not assign.show_preview)
        self._spawn(self._work(job))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _unwilling(self) -> str:
        """Why an assignment that crossed our last words is handed back at once."""
        if self._stopping:
            return "The node is about to stop."
        if self.life.paused is not None:
            return "The node is paused."
        if self._testing:
            return "The node tests itself."
        if len(self._jobs) >= self._capacity:
            return f"The node already has {len(self._jobs)} jobs."
        return ""

    async def _work(self, job: Job) -> None:
        lease = job.assign.lease
        try:
            with self._shelf.used(job.assign.model):
                answer: Any = await self._run(job)
        except ConnectionLost as error:
            answer = job.failed("model_unavailable", str(error))
        except DeviceLost as error:
            job.device_lost = error
            answer = job.failed("device_lost", str(error))
        except Exception as error:
            # Whatever it was, the job is over: the grid may hand it on, and we may leave.
            log.exception("Job %s failed", job.assign.job)
            answer = job.failed("internal", f"{type(error).__name__}: {error}")
        finally:
            del self._jobs[lease]
        self.life.job_ended(lease, answered=isinstance(answer, m.Result))
        if answer is not None:
            self._answer(answer, job.void_at)
        if job.device_lost is not None:
            self._lose_device(job.device_lost)
        self._leave_if_done()
        self._report()

    async def _run(self, job: Job) -> m.Result | m.Failed | None:
        held = await self._shelf.get(job.assign.model)
        if held is None:
            reason = self._shelf.refused[job.assign.model].reason
            return job.failed("model_unavailable", reason)
        answer = await job.run(held)
        short = isinstance(answer, m.Failed) and answer.code == "out_of_memory"
        # With the other models out of its way it may find what it needs.
        return await job.run(held) if short and await self._shelf.ran_out() else answer

    def _answer(self, answer: m.Result | m.Failed, void_at: float) -> None:
        self._answers.keep(answer, void_at)
        if self._link is not None and self._link.welcomed:
            self._link.say(answer)

    def _progress(self, message: m.Progress | m.Chunk) -> None:
        if isinstance(message, m.Progress):
            self.life.job_moved(message.lease, message.done, message.total, message.stage)
            self._report()
        else:
            self._show(message)
        # A connection that is still at its beginning takes no progress of older leases.
        if self._link is not None and self.life.loaded:
            self._link.say(message)

    def _show(self, chunk: m.Chunk) -> None:
        if job := self._jobs.get(chunk.lease):
            self._host.show(job.assign.job, job.assign.grid, chunk.data)

    # --- ends and waits ---------------------------------------------------------------

    def _leave_if_done(self) -> None:
        if self._link is not None and (self._stopping or self._leaving) and not self._jobs:
            self._leaving = True
            self._link.leave(m.Bye("stopped" if self._stopping else "drained"))

    def _give_up(self, sentence: str) -> None:
        self.failure = self.failure or sentence
        self._stopping = True
        self._wake.set()
        self._leave_if_done()

    def _lose_device(self, error: DeviceLost) -> None:
        self._device_lost = error
        self._give_up(str(error))

    async def _wait(self, lost: ConnectionLost | None) -> None:
        """Before the next connection; ``resume`` and ``stop`` cut it short."""
        random = int.from_bytes(self._host.random(2), "big") / 65536
        seconds = self._backoff.next(random, self._retry_after)
        reason = str(lost) if lost else "The grid restarts."
        self.life.connection_lost(f"{reason} Next try in {max(1, round(seconds))} s.", seconds)
        self._report()
        self._wake.clear()
        await _first_of(self._host.sleep(seconds), self._wake.wait())

    async def _end_jobs(self) -> None:
        """Without a connection nobody can be given an answer."""
        for job in self._jobs.values():
            job.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _report(self) -> None:
        self._host.report(self.life.status)


def hello(host: Host, grids: tuple[str, ...], agent: str) -> m.Hello:
    device = host.device
    return m.Hello(
        agent=agent[:128],
        host=device.host,
        backend=device.backend,
        device=device.name[:128],
        device_class=device.device_class[:128],
        device_id=device.device_id,
        memory_mib=device.memory_mib,
        grids=grids,
    )


def _first(group: BaseExceptionGroup[Any]) -> Any:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Until one is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""The shell around ``trust``: tells the policy what happened and carries out what it says.

What it says of money and standing is kept with the event by the ``journal``; what is to be run
again goes to ``checking``; ``follow`` hears all of it, for whoever must know where a node stands.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from tabgrid_models.connectors.base import Traced
from tabgrid_wire.messages import Blob

from .. import metrics, scheduler, trust
from ..store import Check, StoreUnavailable, WhyGivenUp
from ..store import trust as stored_trust
from ..store.effects import Answered, Found, GaveUp
from ..trust import instructions as do
from ..trust import memory
from ..trust.networks import household
from ..trust.state import WORKING
from . import checking, giving_up, policies, rechecks
from .booking import Booking
from .checking import Checking, Judged, LiveAudit, Wanted
from .draws import Draws
from .holding import Holding
from .journal import Journal
from .live import Answer, LiveJob, LiveNode
from .offers import Offer
from .receipts import Evidence, commit_hash
from .rechecks import claimed_in
from .state import State

log = structlog.get_logger("tabgrid.auditing")

#: Everything that is due within this time is one step: a release a second is soon enough.
TICK_S = 1.0
#: So many events are told again within a second at a start.
REMEMBER = 10_000
Follower = Callable[[list[do.Instruction], float], None]


class Auditing:
    """``tell`` reaches the scheduler; ``idle`` says whether an audit waits there."""

    def __init__(
        self,
        state: State,
        booking: Booking,
        draws: Draws,
        tell: Callable[[scheduler.Event], None],
        idle: Callable[[str], bool],
    ) -> None:
        rules = state.settings.scheduling
        #: Without references nobody can say what is right, and time alone releases pay.
        self.on = bool(rules.audit_places and rules.reference_wallets)
        self.journal = Journal(trust.Trust(policies.of_trust(state.settings.trust)))
        self.checking = Checking(state, tell, idle, self._gave_up, self.wake)
        self.audits = self.checking.audits
        self.holding = Holding(self, state, booking, tell)
        #: Called with what the policy said, after each event.
        self.follow: list[Follower] = []
        self._state = state
        self._booking = booking
        self._draws = draws
        self._alarm = asyncio.Event()
        #: The last event that need not be told again.
        self._remembered = 0

    @property
    def policy(self) -> trust.Trust:
        """Another one after ``recover``."""
        return self.journal.policy

    # --- life -------------------------------------------------------------------------

    async def recover(self, now: float) -> None:
        """Tell the policy again what it was told before, and have what it waits for checked."""
        kept = await self._state.store.read(stored_trust.remembered)
        rules = policies.of_trust(self._state.settings.trust)
        policy = memory.replayed(kept.state, kept.events, rules)
        self.journal = Journal(memory.adopt(policy, rules, now), kept.through)
        await self.remember(now)
        within_s = self._state.settings.trust.check_within_s
        for each in giving_up.resumed(self.policy, within_s, now):
            self.checking.want(each.wanted)
            if each.overdue:
                self._booking.keep_given_up(giving_up.fact_of(each.wanted, "down", now))

    async def remember(self, now: float) -> None:
        """Keep what the policy knows, so that a start need not go through its whole past.

        Raises ``StoreUnavailable``, also while something that it was told is on its way there.
        """
        through, state = self.journal.through, memory.dump(self.policy)
        await self._state.store.write(stored_trust.remember, through, state, now)
        self._remembered = through

    async def keep_time(self) -> None:
        """Tell the policy when its time has come, and give up what waits for too long."""
        while True:
            await asyncio.sleep(TICK_S)
            due = (self.policy.next_alarm(), self.checking.next_alarm())
            at = min((each for each in due if each is not None), default=None)
            self._alarm.clear()
            try:
                wait = None if at is None else max(0.0, at - time.time())
                # Not ``wait_for``: it takes a cancel for a wake-up that came in the same moment.
                async with asyncio.timeout(wait):
                    await self._alarm.wait()
            except TimeoutError:
                self._tick(time.time())
            if self.journal.through - self._remembered > self._enough():
                with suppress(StoreUnavailable):  # then at the next turn
                    await self.remember(time.time())

    def _enough(self) -> int:
        """How many events are worth writing all down that is known."""
        return max(REMEMBER, 2 * len(self.policy.results))

    def _tick(self, now: float) -> None:
        self.checking.tick(now)
        due = self.policy.next_alarm()
        if due is not None and due <= now:
            self.carry_out(self.journal.tell(trust.Ticked(), now), now)
        self.send()

    # --- nodes ------------------------------------------------------------------------

    def offered(self, node: LiveNode, now: float) -> list[do.Instruction]:
        """A node is ready with models whose self-test it has passed. What it is refused for."""
        if not self.on or node.reference:
            return []
        told: list[do.Instruction] = []
        for digest, model in node.models.items():
            unit = trust.UnitKey(node.wallet, digest, model.dtype, node.hello.device_class)
            told += self._offer(trust.UnitOffered(unit, household(node.link.address)), now)
        self.carry_out(told, now)
        self.send()
        return told

    def _offer(self, event: trust.UnitOffered, now: float) -> list[do.Instruction]:
        """What changes nothing is not worth keeping: nodes come and go all day."""
        known = self.policy.units.get(event.unit)
        if known is not None and known.state in WORKING:
            return []
        refusal = self.policy.refusal(event, now)
        if refusal is not None:
            return [do.RefuseUnit(event.unit, refusal)]
        tested = self.journal.tell(event, now)
        # It has passed the self-test, or it would not hold the model.
        return [*tested, *self.journal.tell(trust.GoldensReturned(event.unit, True), now)]

    def standing(self, node: LiveNode, digest: str) -> str | None:
        """Why no answers of this model are taken from the node, or None if they are."""
        model = node.models.get(digest)
        if not self.on or node.reference or model is None:
            return None
        unit = trust.UnitKey(node.wallet, digest, model.dtype, node.hello.device_class)
        known = self.policy.units.get(unit)
        if known is not None and known.state in WORKING:
            return None
        offer = trust.UnitOffered(unit, household(node.link.address))
        return self.policy.refusal(offer, time.time()) or "It was not tested yet."

    # --- answers ----------------------------------------------------------------------

    def answered(
        self, job: LiveJob, node: LiveNode, answer: Answer, dtype: str, now: float
    ) -> Evidence | None:
        """Draw whether this answer is checked; if so, have it checked. None: it is no stranger's.

        Ask ``standing`` first. The journal's next step belongs to this job's settlement.
        """
        if not self.on or node.reference:
            return None  # the operator's own machine is what others are checked against
        told, evidence = self.took(job, node, answer, dtype, now)
        at_hand = None
        if evidence.audited:
            at_hand = self.at_hand(Wanted(job.id, "audit", now), job, node, answer, dtype)
        self.carry_out(told, now, at_hand)
        return evidence

    def took(
        self, job: LiveJob, node: LiveNode, answer: Answer, dtype: str, now: float
    ) -> tuple[list[do.Instruction], Evidence]:
        """Tell the policy of an answer, without doing yet what it says."""
        epoch, secret = self._draws.at(now)
        if epoch > self.policy.epoch:
            self.journal.tell(trust.EpochOpened(epoch, secret), now)
        unit = trust.UnitKey(node.wallet, job.offer.digest, dtype, node.hello.device_class)
        commit = commit_hash(job, node, answer)
        release_s = float(job.offer.settings.release_s)
        told = self.journal.tell(
            trust.ResultReturned(job.id, unit, job.price.pay, commit, release_s, job.checked), now
        )
        taken = told[0]
        assert isinstance(taken, do.TakeResult), taken
        commitment = self._draws.commitment(now).hex()
        return told, Evidence(taken.audited, taken.p, epoch, commitment)

    def at_hand(
        self, wanted: Wanted, job: LiveJob, node: LiveNode, answer: Answer, dtype: str
    ) -> LiveAudit:
        """Of an answer in steps those to run again are drawn, now that it is committed to."""
        claimed = None
        if self._computes_alike(job.offer, dtype):
            _, secret = self._draws.at(wanted.since)
            commit = commit_hash(job, node, answer)
            claimed = claimed_in(
                *(job.offer, job.input, job.input_bytes, answer, secret, commit),
                # Whoever asked for it pays for the work of a whole answer.
                every_step=wanted.purpose == "delivery",
            )
        return checking.of_answer(wanted, job, node, answer, dtype, claimed)

    def _computes_alike(self, offer: Offer, dtype: str) -> bool:
        """Whether a reference that is here computes in this dtype, or none is here yet: steps
        are judged in one dtype only."""
        references = (node for node in self._state.nodes.values() if node.reference)
        here = {n.models[offer.digest].dtype for n in references if offer.digest in n.models}
        return dtype in here or not here

    def compared(
        self, audit: LiveAudit, node: LiveNode, answer: Answer, judged: Judged, now: float
    ) -> None:
        """A reference has answered: keep the verdict, and ask another one if need be."""
        if audit.id not in self.audits:
            return  # given up meanwhile
        self.checking.forget(audit)
        agreed = judged.comparison.agrees
        metrics.AUDITS.labels(audit.purpose, "agreed" if agreed else "differed").inc()
        check = _check(audit, node, judged, now)
        if audit.job in self.holding:
            self.holding.judged(audit, node, answer, check, now)
            return
        if audit.purpose == "appeal":
            self._heard(audit, node, check, now)
            return
        told = self.journal.tell(trust.Checked(audit.job, agreed), now)
        self.journal.also(Found(check))
        blob = None
        refuted = any(isinstance(each, do.StrikeUnit | do.VoidJob) for each in told)
        if refuted and audit.claimed is None:
            blob = self.answered_instead(audit.job, answer, now)
        for each in told:
            if isinstance(each, do.CheckJob) and each.purpose == "second":
                self.checking.again(audit, Wanted(audit.job, "second", now), node, agreed)
        self.carry_out(told, now)
        self.send(blob)

    def answered_instead(self, job: str, answer: Answer, now: float) -> Blob | None:
        """Keep a reference's right answer to a job whose own was wrong; its blob, if it is one."""
        self._state.uploads.accepted(answer.result.lease, answer.result.blob)
        self.journal.also(_answered(job, answer, now))
        return answer.result.blob

    def _heard(self, audit: LiveAudit, node: LiveNode, check: Check, now: float) -> None:
        """One of those that decide an appeal has answered."""
        told = self.journal.tell(trust.AppealHeard(audit.job, check.agreed), now)
        self.journal.also(Found(check))
        found = (*audit.found, check.agreed)
        if len(found) < audit.wanted.references:
            self.checking.again(audit, audit.wanted, node, check.agreed)
        else:
            told += self.journal.tell(trust.AppealJudged(audit.job, sum(found)), now)
        self.carry_out(told, now)
        self.send()

    def failed(self, audit: LiveAudit) -> None:
        """No reference could run it."""
        self.checking.forget(audit)
        self._gave_up(audit.wanted, "failed")

    def _gave_up(self, wanted: Wanted, why: WhyGivenUp) -> None:
        now = time.time()
        metrics.AUDITS.labels(wanted.purpose, "given up").inc()
        if wanted.job in self.holding:
            self._booking.keep_given_up(giving_up.fact_of(wanted, why, now))
            self.holding.gave_up(wanted.job)
            return
        event: trust.Event = trust.CheckAbandoned(wanted.job)
        if wanted.purpose == "appeal":
            event = trust.AppealCutShort(wanted.job, expired=why == "expired")
        told = self.journal.tell(event, now)
        self.journal.also(GaveUp(giving_up.fact_of(wanted, why, now)))
        self.carry_out(told, now)
        self.send()

    # --- what the policy says ----------------------------------------------------------

    def tell(self, event: trust.Event, now: float) -> list[do.Instruction]:
        """For whoever else has news for the policy: an owner who appeals, an operator."""
        told = self.journal.tell(event, now)
        self.carry_out(told, now)
        self.send()
        return told

    def send(self, blob: Blob | None = None) -> None:
        """Have the store keep what was told; ``blob`` is a reference's answer in it."""
        step = self.journal.step()
        if step is not None:
            self._booking.keep_step(step, blob)

    def wake(self) -> None:
        """Something new may be due earlier than what was waited for."""
        self._alarm.set()

    def carry_out(
        self, told: list[do.Instruction], now: float, at_hand: LiveAudit | None = None
    ) -> None:
        """Do what the policy says. ``at_hand``: an answer that it wants checked, if it does."""
        for each in told:
            if isinstance(each, do.CheckJob) and each.purpose != "second":
                known = at_hand if at_hand is not None and at_hand.job == each.job else None
                self.checking.want(Wanted(each.job, each.purpose, now, each.references), known)
            elif isinstance(each, do.StrikeUnit | do.ConvictUnit | do.QuarantineClass):
                name = type(each).__name__
                metrics.TRUST_DECISIONS.labels(name).inc()
                log.warning("the trust policy acts", decision=name, why=each.reason)
        for follow in self.follow:
            follow(told, now)
        self.wake()


def _check(audit: LiveAudit, node: LiveNode, judged: Judged, now: float) -> Check:
    connector, comparison = audit.offer.connector, judged.comparison
    steps = audit.claimed is not None
    version = connector.comparator_version
    if isinstance(connector, Traced) and steps:
        version = connector.recheck_version
    return Check(
        id=audit.id,
        job_id=audit.job,
        purpose=audit.purpose,
        auditor=node.wallet,
        device_class=node.hello.device_class,
        comparator_version=version,
        distance=min(comparison.distance, rechecks.FURTHEST),
        threshold=comparison.threshold,
        agreed=comparison.agrees,
        checked_at=now,
        grid=audit.offer.grid,
        model=audit.offer.manifest.id,
        digest=audit.offer.digest,
        dtype=audit.dtype,
        wallet=audit.wallet,
        node_class=audit.node_class,
        method="steps" if steps else "rerun",
        part=judged.part,
        parts=rechecks.text_of(judged.parts),
    )


def _answered(job: str, answer: Answer, now: float) -> Answered:
    """What a reference says instead; where it was uploaded, only its name."""
    blob = answer.result.blob
    return Answered(
        job_id=job,
        output=answer.output if blob is None else None,
        output_digest=blob.digest if blob else None,
        output_size=blob.size if blob else None,
        at=now,
    )

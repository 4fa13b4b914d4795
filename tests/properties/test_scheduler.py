"""Random lives of a grid: whatever happens in whatever order, the scheduler's books agree."""

from __future__ import annotations

from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from tabgrid_server.scheduler import (
    AssignJob,
    AttemptFailed,
    AuditSubmitted,
    CancelLease,
    FailJob,
    JobCancelled,
    JobSubmitted,
    NodeDraining,
    NodeJoined,
    NodeLeft,
    NodePaused,
    NodeReady,
    Policy,
    ResultAccepted,
    Scheduler,
    Ticked,
    UnitAllowed,
    UnitBarred,
    UnitHeld,
    UnitProven,
)

DIGESTS = ("a" * 64, "b" * 64)
DTYPES = ("q8", "fp16")


class Lives(RuleBasedStateMachine):
    nodes: Bundle[str] = Bundle("nodes")
    jobs: Bundle[str] = Bundle("jobs")

    @initialize(attempts=st.integers(1, 4), strikes=st.integers(1, 3), places=st.integers(0, 2))
    def start(self, attempts: int, strikes: int, places: int) -> None:
        numbers = count()
        policy = Policy(attempts=attempts, strikes=strikes, audit_places=places)
        self.scheduler = Scheduler(policy, lambda: f"lease-{next(numbers)}")
        self.now = 0.0
        self.ids = count()
        self.live: dict[str, str] = {}  # lease -> job, as the nodes believe
        self.open: set[str] = set()  # jobs that we owe an end
        self.barred: set[tuple[str, str]] = set()
        self.held: set[tuple[str, str]] = set()
        self.audited: dict[str, tuple[str, frozenset[str]]] = {}  # audit -> not by these

    def tell(self, event: object) -> None:
        for instruction in self.scheduler.handle(event, self.now):  # type: ignore[arg-type]
            if isinstance(instruction, AssignJob):
                assert instruction.job in self.open
                node = self.scheduler.nodes[instruction.node]
                digest = self.scheduler.jobs[instruction.job].digest
                assert (node.id, digest) not in self.barred, "a barred unit gets a job"
                assert (node.id, digest) not in self.held, "a unit that is held gets a further job"
                self.look_at_auditor(instruction)
                self.live[instruction.lease] = instruction.job
            elif isinstance(instruction, CancelLease):
                del self.live[instruction.lease]
            elif isinstance(instruction, FailJob):
                self.open.remove(instruction.job)

    def look_at_auditor(self, told: AssignJob) -> None:
        if told.job in self.audited:
            wallet, not_on = self.audited[told.job]
            node = self.scheduler.nodes[told.node]
            assert node.reference
            assert node.wallet != wallet, "audits himself"
            assert node.device_class not in not_on
            dtype = self.scheduler.jobs[told.job].dtype
            assert node.dtypes[self.scheduler.jobs[told.job].digest] == dtype or not any(
                other.reference
                and other.state in ("ready", "resting")
                and other.wallet != wallet
                and other.dtypes[digest] == dtype
                for other in self.scheduler.nodes.values()
                for digest in set(other.dtypes) - other.barred - other.held
                if digest == self.scheduler.jobs[told.job].digest
            ), "one that computes in its precision could look at it"

    @rule(
        target=nodes,
        reference=st.booleans(),
        wallet=st.sampled_from(["w1", "w2"]),
        device_class=st.sampled_from(["cpu", "gpu"]),
    )
    def join(self, reference: bool, wallet: str, device_class: str) -> str:
        node = f"node-{next(self.ids)}"
        self.tell(NodeJoined(node, wallet, frozenset({"text"}), reference, device_class))
        return node

    @rule(
        node=nodes,
        digests=st.sets(st.sampled_from(DIGESTS)),
        speed=st.floats(0.1, 1000),
        capacity=st.integers(1, 3),
        barred=st.frozensets(st.sampled_from(DIGESTS)),
        held=st.frozensets(st.sampled_from(DIGESTS)),
        dtype=st.sampled_from(DTYPES),
    )
    def ready(
        self,
        node: str,
        digests: set[str],
        speed: float,
        capacity: int,
        barred: frozenset[str],
        held: frozenset[str],
        dtype: str,
    ) -> None:
        if node in self.scheduler.nodes and self.scheduler.nodes[node].state != "draining":
            for known, now in ((self.barred, barred), (self.held, held)):
                known -= {(node, digest) for digest in DIGESTS}
                known |= {(node, digest) for digest in now}
            speeds = dict.fromkeys(digests, speed)
            proven, dtypes = frozenset(DIGESTS) - barred - held, dict.fromkeys(digests, dtype)
            self.tell(NodeReady(node, speeds, capacity, barred, proven, dtypes, held))

    @rule(node=nodes, digest=st.sampled_from(DIGESTS), to=st.integers(0, 3))
    def judge(self, node: str, digest: str, to: int) -> None:
        if node in self.scheduler.nodes:
            self.barred.discard((node, digest))
            self.held.discard((node, digest))
            if to == 3:
                leases = set(self.scheduler.nodes[node].leases)
                self.held.add((node, digest))
                self.tell(UnitHeld(node, digest))
                assert leases <= set(self.scheduler.nodes[node].leases), "it finishes what it has"
            elif to == 0:
                self.barred.add((node, digest))
                self.tell(UnitBarred(node, digest, "It computes wrong."))
            else:
                self.tell((UnitAllowed, UnitProven)[to - 1](node, digest))

    @rule(node=nodes)
    def pause(self, node: str) -> None:
        if node in self.scheduler.nodes:
            self.tell(NodePaused(node))

    @rule(node=nodes)
    def drain(self, node: str) -> None:
        if node in self.scheduler.nodes:
            self.tell(NodeDraining(node))

    @rule(node=consumes(nodes))
    def leave(self, node: str) -> None:
        if node in self.scheduler.nodes:
            gone = set(self.scheduler.nodes[node].leases)
            self.live = {lease: job for lease, job in self.live.items() if lease not in gone}
            self.tell(NodeLeft(node))

    @rule(
        target=jobs,
        owner=st.sampled_from(["ann", "bob", "eve"]),
        digest=st.sampled_from(DIGESTS),
        units=st.integers(0, 5000),
        copies=st.integers(1, 4),
        waits=st.booleans(),
    )
    def submit(self, owner: str, digest: str, units: int, copies: int, waits: bool) -> object:
        made = [f"job-{next(self.ids)}" for _ in range(copies)]
        for job in made:
            self.open.add(job)
            self.tell(JobSubmitted(job, owner, "text", digest, units, waits))
        return multiple(*made)

    @rule(
        target=jobs,
        wallet=st.sampled_from(["w1", "w2", "w3"]),
        digest=st.sampled_from(DIGESTS),
        not_on=st.frozensets(st.sampled_from(["cpu", "gpu"]), max_size=1),
        copies=st.integers(1, 3),
        dtype=st.sampled_from(DTYPES),
    )
    def audit(
        self, wallet: str, digest: str, not_on: frozenset[str], copies: int, dtype: str
    ) -> object:
        made = [f"audit-{next(self.ids)}" for _ in range(copies)]
        for job in made:
            self.open.add(job)
            self.audited[job] = (wallet, not_on)
            self.tell(AuditSubmitted(job, "text", digest, 10, wallet, not_on, dtype=dtype))
        return multiple(*made)

    @rule(job=consumes(jobs))
    def cancel(self, job: str) -> None:
        self.open.discard(job)
        self.tell(JobCancelled(job, "The user left."))

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        if self.live:
            lease = data.draw(st.sampled_from(sorted(self.live)))
            self.open.remove(self.live.pop(lease))
            self.tell(ResultAccepted(lease))

    @rule(data=st.data(), blame=st.booleans())
    def fail(self, data: st.DataObject, blame: bool) -> None:
        if self.live:
            lease = data.draw(st.sampled_from(sorted(self.live)))
            del self.live[lease]
            self.tell(AttemptFailed(lease, "It broke.", blame))

    @rule(seconds=st.floats(0, 500))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.tell(Ticked())
        alarm = self.scheduler.next_alarm()
        assert alarm is None or alarm > self.now

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        self.scheduler.validate_state()
        assert set(self.scheduler.jobs) == self.open
        assert {lease.id: lease.job.id for lease in self.scheduler.leases.values()} == self.live


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


@given(
    standing=st.lists(st.booleans(), min_size=2, max_size=6),
    waits=st.lists(st.booleans(), min_size=1, max_size=30),
    turn=st.integers(2, 8),
)
@settings(max_examples=60, deadline=None)
def test_nobody_who_may_work_is_left_without_work(
    standing: list[bool], waits: list[bool], turn: int
) -> None:
    """Whatever mix of jobs comes while nodes are free, none waits for ever for its next one."""
    numbers = count()
    scheduler = Scheduler(Policy(newcomers_turn=turn), lambda: f"lease-{next(numbers)}")
    since: dict[str, int] = {}
    for number, proven in enumerate(standing):
        node = f"node-{number}"
        scheduler.handle(NodeJoined(node, node, frozenset({"text"})), 0.0)
        graded = frozenset(DIGESTS[:1]) if proven else frozenset()
        scheduler.handle(NodeReady(node, {DIGESTS[0]: 1.0}, 1, frozenset(), graded), 0.0)
        since[node] = 0
    # Each of the others can be served once by whoever was free for longest, and by turns.
    most = len(since) * (turn + 1)
    for number in range(3 * most):
        interactive = waits[number % len(waits)]
        job = JobSubmitted(f"job-{number}", "ann", "text", DIGESTS[0], 1, interactive)
        (told,) = scheduler.handle(job, 0.0)
        assert isinstance(told, AssignJob)
        since = {node: jobs + 1 for node, jobs in since.items()} | {told.node: 0}
        assert max(since.values()) <= most, since
        scheduler.handle(ResultAccepted(told.lease), 0.0)
        scheduler.validate_state()

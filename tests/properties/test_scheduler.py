"""Random lives of a grid: whatever happens in whatever order, the scheduler's books agree."""

from __future__ import annotations

from itertools import count

from hypothesis import settings
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
)

DIGESTS = ("a" * 64, "b" * 64)


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
        self.audited: dict[str, tuple[str, frozenset[str]]] = {}  # audit -> not by these

    def tell(self, event: object) -> None:
        for instruction in self.scheduler.handle(event, self.now):  # type: ignore[arg-type]
            if isinstance(instruction, AssignJob):
                assert instruction.job in self.open
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
    )
    def ready(self, node: str, digests: set[str], speed: float, capacity: int) -> None:
        if node in self.scheduler.nodes:
            self.tell(NodeReady(node, dict.fromkeys(digests, speed), capacity))

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
    )
    def submit(self, owner: str, digest: str, units: int, copies: int) -> object:
        made = [f"job-{next(self.ids)}" for _ in range(copies)]
        for job in made:
            self.open.add(job)
            self.tell(JobSubmitted(job, owner, "text", digest, units))
        return multiple(*made)

    @rule(
        target=jobs,
        wallet=st.sampled_from(["w1", "w2", "w3"]),
        digest=st.sampled_from(DIGESTS),
        not_on=st.frozensets(st.sampled_from(["cpu", "gpu"]), max_size=1),
        copies=st.integers(1, 3),
    )
    def audit(self, wallet: str, digest: str, not_on: frozenset[str], copies: int) -> object:
        made = [f"audit-{next(self.ids)}" for _ in range(copies)]
        for job in made:
            self.open.add(job)
            self.audited[job] = (wallet, not_on)
            self.tell(AuditSubmitted(job, "text", digest, 10, wallet, not_on))
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

    @rule(data=st.data(), blame=st.booleans(), retry=st.booleans())
    def fail(self, data: st.DataObject, blame: bool, retry: bool) -> None:
        if self.live:
            lease = data.draw(st.sampled_from(sorted(self.live)))
            del self.live[lease]
            self.tell(AttemptFailed(lease, "It broke.", blame, retry))

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

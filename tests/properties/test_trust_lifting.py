"""An appeal that is granted, or that nobody could look at, leaves a wallet where it would be had
that check never been made."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tabgrid_server.trust import (
    AppealCutShort,
    AppealFiled,
    AppealJudged,
    CheckAbandoned,
    Checked,
    Event,
    GoldensReturned,
    Policy,
    ResultReturned,
    Ticked,
    UnitOffered,
    memory,
)
from tabgrid_server.trust import instructions as do
from tabgrid_server.trust.state import WORKING
from tests.support.trusted import Grid, of, unit_of

UNITS = tuple(unit_of("ann", kind) for kind in ("webgpu/apple", "cpu/x86", "wasm/x86"))
#: Every answer is checked as it comes, and nobody is told to do it again.
POLICY = Policy(probation_jobs=10**6, reaudits=0)
admit = st.tuples(st.just("admit"), st.sampled_from(UNITS), st.just(1))
right = st.tuples(st.just("right"), st.sampled_from(UNITS), st.integers(1, 40))
wrong = st.tuples(st.just("wrong"), st.sampled_from(UNITS), st.just(1))
lives = st.lists(st.one_of(admit, right, wrong, wrong), min_size=4, max_size=40)


class Life:
    """What a wallet did, and of that what was taken: the same can be told to another grid."""

    def __init__(self) -> None:
        self.grid = Grid(POLICY)
        self.taken: list[Event] = []
        self.strikes: list[str] = []

    def act(self, does: str, unit: do.UnitKey, times: int) -> None:
        known = self.grid.trust.units.get(unit)
        works = known is not None and known.state in WORKING
        if does == "admit" and not works:
            self.tell(UnitOffered(unit, "home"))
            self.tell(GoldensReturned(unit, True))
        for _ in range(times if works else 0):
            self.answer(unit, does != "wrong")

    def answer(self, unit: do.UnitKey, agreed: bool) -> None:
        job = f"job-{len(self.taken)}"
        self.tell(ResultReturned(job, unit, 1, job.encode()))
        for _ in range(1 if agreed else 2):
            if of(do.StrikeUnit, self.tell(Checked(job, agreed))):
                self.strikes.append(job)

    def tell(self, event: Event) -> list[do.Instruction]:
        if isinstance(event, GoldensReturned) and event.unit not in self.grid.trust.units:
            return []
        out = self.grid.tell(event)
        if not of(do.RefuseUnit, out):
            self.taken.append(event)
        return out

    def without(self, job: str) -> Grid:
        """The same but that nobody could check this answer."""
        grid = Grid(POLICY)
        for event in self.taken:
            if isinstance(event, Checked) and event.job == job:
                event = CheckAbandoned(job)
            grid.tell(event)
        return grid


def standing(grid: Grid) -> dict[do.UnitKey, tuple[str, int]]:
    return {key: (unit.state, unit.evidence) for key, unit in grid.trust.units.items()}


@settings(max_examples=400, deadline=None)
@given(
    did=lives, after=lives, which=st.integers(0, 99), restart=st.booleans(), lapses=st.booleans()
)
def test_an_overturned_strike_leaves_nothing_behind(
    did: list[tuple[str, do.UnitKey, int]],
    after: list[tuple[str, do.UnitKey, int]],
    which: int,
    restart: bool,
    lapses: bool,
) -> None:
    life = Life()
    life.act("admit", UNITS[0], 1)
    for act in did:
        life.act(*act)
    if not life.strikes:
        return
    job = life.strikes[which % len(life.strikes)]
    if restart:
        life.grid.trust = memory.load(memory.dump(life.grid.trust))
    life.grid.tell(AppealFiled(job))
    life.grid.tell(AppealCutShort(job, expired=False) if lapses else AppealJudged(job, 3))
    for act in after:
        life.act(*act)
    assert standing(life.grid) == standing(life.without(job))
    life.grid.tell(Ticked())

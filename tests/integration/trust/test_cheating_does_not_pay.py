"""A third of the nodes cheat, and money moves: what users got, what who was paid, and what is left.

The policy's figures are small, so that a wallet's whole life passes within a minute; the rules
are the grid's own. What is right is decided by this test, which computes every answer itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from solders.keypair import Keypair

from tabgrid_models.connectors.embeddings import EmbeddingsInput
from tests.support.bad_nodes import cheats
from tests.support.bad_nodes.farm import Farm, Member
from tests.support.bad_nodes.grid import GRID_OF, TEXT, Asked, TrustGrid, Users
from tests.support.bad_nodes.workshop import Workshop
from tests.support.books import opened

pytestmark = pytest.mark.timeout(900)

PROBATION = 6
#: The gate of the simulation: 30 % of cheats, whatever they do.
GATE = 0.04
JOBS = 360
AFTERWARDS = 24
HONEST = 9
POLICY = f"""
[trust]
probation_jobs = {PROBATION}
release_jobs = 3
release_idle_s = 600
reaudits = 10
appeal_s = 5
newcomers_per_address = 99
"""
REFUSED = 'tabgrid_attempts_failed_total{code="internal"}'
SENTENCE = "When the rain had fallen upon the roofs of our town for a week, nobody spoke of it."
INPUTS = {TEXT: [EmbeddingsInput((SENTENCE[3 * n : 3 * n + 18],)) for n in range(20)]}
#: Every tenth is dear to compute.
DEAR = range(5, 20, 10)
INPUTS[TEXT][5::10] = [EmbeddingsInput((SENTENCE * 2,)), EmbeddingsInput((SENTENCE, SENTENCE))]


def line_up() -> list[cheats.Cheat]:
    """One that never computes, one that waits until it is trusted, and two who agree."""
    lazy = cheats.Cheat("lazy", cheats.FORGED["embeddings"]["random unit vectors"])
    copies = cheats.FORGED["embeddings"]["copied answer"]
    sleeper = cheats.Cheat("sleeper", copies, after=PROBATION + 2)
    return [lazy, sleeper, *cheats.ring(2)]


def dear(asked: EmbeddingsInput) -> bool:
    return sum(map(len, asked.texts)) > len(SENTENCE)


class Season:
    def __init__(
        self, grid: TrustGrid, jobs: list[Asked], afterwards: list[Asked], members: list[Member]
    ) -> None:
        self.grid = grid
        #: While the cheats were at it, and when all had been found out.
        self.jobs = jobs
        self.afterwards = afterwards
        names = {cheat.name for cheat in line_up()}
        self.cheats = [member for member in members if member.name in names]
        self.honest = [m for m in members if m.cheat is None and "reference" not in m.name]
        (self.refuser,) = (member for member in members if member.name == "refuser")
        (self.renamed,) = (member for member in members if member.name == "renamed")

    @property
    def all_jobs(self) -> list[Asked]:
        return self.jobs + self.afterwards

    def of(self, member: Member) -> list[Asked]:
        return [job for job in self.all_jobs if job.wallet == member.wallet]

    def moved(self, account: str, *kinds: str) -> dict[str, int]:
        """Reference to what transfers of these kinds moved into accounts like this one."""
        marks = ", ".join("?" * len(kinds))
        rows = self.grid.rows(
            "SELECT t.ref, sum(p.amount) FROM postings p JOIN transfers t ON t.id = p.transfer_id"
            f" WHERE p.account LIKE ? AND t.kind IN ({marks}) GROUP BY t.ref",
            account,
            *kinds,
        )
        return dict(rows)

    def balance(self, account: str) -> int:
        found = self.grid.rows("SELECT sum(amount) FROM balances WHERE account LIKE ?", account)
        return int(found[0][0] or 0)

    def pay(self, jobs: list[Asked]) -> int:
        """What these answers earned, when they were taken."""
        settled = self.moved("node:%", "settle")
        return sum(settled[job.id] for job in jobs)


async def play(grid: TrustGrid) -> Season:
    workshop = Workshop(grid.library, grid.folder / "scratch")
    first, second = grid.references
    users = Users(grid, workshop, INPUTS)
    async with Farm(grid.url, workshop, grid.folder / "cache") as farm:
        text = GRID_OF[TEXT]
        farm.add("reference", text, wallet=first)
        farm.add("other reference", text, wallet=second, device_class="cpu:other")
        for number in range(HONEST):
            farm.add(f"honest {number}", text)
        for cheat in line_up():
            farm.add(cheat.name, text, cheat=cheat)
        farm.add("refuser", text, cheat=cheats.refuser(dear))
        await farm.until_ready()
        jobs = await users.ask(TEXT, JOBS) + await until_refused(grid, users)
        await grid.until_checked(jobs)
        # The first cheat comes back with a device of another kind, and meaner than before.
        lazy = next(member for member in farm.members if member.name == line_up()[0].name)
        renamed = farm.add(
            "renamed", text, cheat=lazy.cheat, wallet=lazy.keypair, device_class="cpu:renamed"
        )
        await farm.until(lambda: renamed.tested)
        afterwards = await users.ask(TEXT, AFTERWARDS)
        await grid.until_checked(afterwards)
        season = Season(grid, jobs, afterwards, farm.members)
        await until_over(season)
        return season


async def until_refused(grid: TrustGrid, users: Users) -> list[Asked]:
    """Who gets which job is a matter of turns: what is dear is asked until the refuser had one."""
    jobs: list[Asked] = []
    while not await grid.metric(REFUSED):
        assert len(jobs) < JOBS, "it works, and is never given anything dear"
        jobs += await users.ask(TEXT, len(DEAR), among=DEAR)
    return jobs


async def until_over(season: Season) -> None:
    """The time to appeal has passed, and what can be let go of is."""
    until = time.monotonic() + 120
    while any(season.balance(f"node:{member.wallet}:withheld") for member in season.cheats):
        assert time.monotonic() < until, "something of the cheats' is withheld for ever"
        await asyncio.sleep(0.5)


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Season]:
    references = (Keypair(), Keypair())
    grid = TrustGrid(tmp_path_factory.mktemp("grid"), references, more=POLICY)
    grid.start()
    try:
        yield asyncio.run(play(grid))
    finally:
        grid.stop()


def test_users_got_right_answers_but_for_the_few_that_found_the_cheats_out(season: Season) -> None:
    delivered = [job for job in season.all_jobs if job.delivered]
    assert len(delivered) == len(season.all_jobs) >= JOBS + AFTERWARDS
    wrong = [job for job in delivered if job.wrong]
    assert len(wrong) >= 3 * len(season.cheats), "they did try"
    assert len(wrong) <= GATE * len(delivered), Counter(job.wallet for job in wrong)


def test_every_cheat_is_convicted_and_gets_no_more_jobs(season: Season) -> None:
    barred = {member.wallet for member in season.cheats}
    assert season.renamed.wallet in barred
    states = dict(season.grid.rows("SELECT wallet, state FROM units"))
    assert {wallet: states.get(wallet) for wallet in barred} == dict.fromkeys(barred, "convicted")
    assert [job for job in season.afterwards if job.wallet in barred] == []
    assert [job for job in season.afterwards if job.wrong] == []


def test_no_honest_node_was_struck_and_all_are_trusted(season: Season) -> None:
    struck = {wallet for (wallet,) in season.grid.rows("SELECT wallet FROM strikes")}
    assert struck == {member.wallet for member in season.cheats}
    states = dict(season.grid.rows("SELECT wallet, state FROM units"))
    assert {states[member.wallet] for member in season.honest} <= {"probation", "proven"}
    assert "proven" in {states[member.wallet] for member in season.honest}


def test_whoever_refuses_what_is_dear_holds_nothing_up_and_is_paid_for_the_rest(
    season: Season,
) -> None:
    """It lies in nothing, so it is no cheat: others do what it refuses, and are paid for that."""
    assert asyncio.run(season.grid.metric(REFUSED)) > 0, "it refused something"
    assert all(job.delivered for job in season.all_jobs)
    theirs = season.of(season.refuser)
    assert theirs
    assert [job for job in theirs if job.wrong] == []
    (state,) = season.grid.rows("SELECT state FROM units WHERE wallet = ?", season.refuser.wallet)
    assert state[0] in ("probation", "proven")
    assert season.balance(f"node:{season.refuser.wallet}:%") == season.pay(theirs)


def test_no_wrong_answer_is_paid_and_no_user_pays_for_one(season: Season) -> None:
    """From the postings: what the settlement gave the node is taken back to the last unit."""
    wrong = {job.id for job in season.all_jobs if job.wrong}
    earned, taken = season.moved("node:%", "settle"), season.moved("node:%", "void")
    # A fine may have taken it before the void comes to it.
    from_fines = season.moved("system:fines", "void")
    assert set(taken) | set(from_fines) == wrong
    for job in wrong:
        assert earned[job] + taken.get(job, 0) + from_fines.get(job, 0) == 0, job
    spent = season.moved("user:%", "hold", "settle", "void")
    assert {job: spent[job] for job in wrong} == dict.fromkeys(wrong, 0)
    right = [job.id for job in season.all_jobs if not job.wrong]
    assert all(spent[job] < 0 for job in right), "right answers stay paid for"


def test_what_cheats_can_claim_is_less_than_they_honestly_earned(season: Season) -> None:
    for member in season.cheats:
        honestly = season.pay([job for job in season.of(member) if not job.wrong])
        claimable = season.balance(f"node:{member.wallet}:claimable")
        assert claimable <= honestly, member.name
        assert season.balance(f"node:{member.wallet}:withheld") == 0, member.name
    lost = season.moved("system:forfeits", "forfeit"), season.moved("system:fines", "fine")
    assert any(amount > 0 for moved in lost for amount in moved.values()), "nobody lost a thing"


def test_honest_nodes_have_all_that_they_earned(season: Season) -> None:
    for member in season.honest:
        earned = season.pay(season.of(member))
        assert earned > 0
        assert season.balance(f"node:{member.wallet}:%") == earned


async def test_the_books_agree_to_the_last_unit(season: Season) -> None:
    async with opened(f"sqlite:///{season.grid.folder / 'data' / 'tabgrid.db'}"):
        pass

"""A tab that works beside cheats: it is never taken for one of them, and earns in peace."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import pytest
from playwright.sync_api import expect
from solders.keypair import Keypair

from tabgrid_models.connectors.embeddings import EmbeddingsInput
from tests.support.bad_nodes import cheats
from tests.support.bad_nodes.farm import Farm
from tests.support.bad_nodes.grid import GRID_OF, TEXT, Asked, TrustGrid, Users
from tests.support.bad_nodes.workshop import Workshop
from tests.support.tab import SOME_MONEY, Tab

pytestmark = pytest.mark.timeout(600)

T = TypeVar("T")
INPUTS = {TEXT: [EmbeddingsInput((f"Sentence {n} of eight",)) for n in range(8)]}
#: Three wrong answers convict; the tab must get as many jobs.
TURNS = 3
POLICY = """
[trust]
probation_jobs = 4
release_jobs = 0
release_idle_s = 5
newcomers_per_address = 99
"""


class Beside:
    """A loop in a thread of its own: Playwright has ours."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], within_s: float = 300) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within_s)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def beside() -> Iterator[Beside]:
    made = Beside()
    yield made
    made.stop()


@pytest.fixture
def trust_grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrustGrid]:
    references = (Keypair(), Keypair())
    made = TrustGrid(tmp_path_factory.mktemp("grid"), references, more=POLICY)
    made.start()
    yield made
    made.stop()


def test_a_tab_earns_in_peace_among_cheats(
    trust_grid: TrustGrid, beside: Beside, open_tab: Callable[..., Tab]
) -> None:
    grid, text = trust_grid, GRID_OF[TEXT]
    tab = open_tab(grid.url).visit("wasm")
    wallet = tab.connect()
    tab.find("grid-images").uncheck()
    tab.start(text)

    async def nodes() -> Farm:
        workshop = Workshop(grid.library, grid.folder / "scratch")
        farm = Farm(grid.url, workshop, grid.folder / "cache")
        first, second = grid.references
        farm.add("reference", text, wallet=first)
        farm.add("other reference", text, wallet=second, device_class="cpu:other")
        farm.add("honest", text)
        for name in ("shortened input", "right but for a little"):
            farm.add(name, text, cheat=cheats.Cheat(name, cheats.FORGED["embeddings"][name]))
        await farm.until_ready()
        return farm

    farm = beside.run(nodes())
    try:
        tab.expect_state("ready", "working")
        users = Users(grid, farm.workshop, INPUTS)
        cheating = {member.wallet for member in farm.members if member.cheat is not None}

        def all_had_their_turns(jobs: Sequence[Asked]) -> bool:
            turns = Counter((job.wallet, job.wrong) for job in jobs)
            lied = all(turns[cheat, True] >= TURNS for cheat in cheating)
            return lied and turns[wallet, False] >= TURNS

        jobs = beside.run(users.ask_until(TEXT, all_had_their_turns))
        beside.run(grid.until_checked(jobs))
        tab.expect_money("earned")
    finally:
        beside.run(farm.stop())

    theirs = [job for job in jobs if job.wallet == wallet]
    assert len(theirs) >= TURNS
    assert [job for job in theirs if job.wrong] == []
    found = {job for job, _, agreed, _ in grid.checks() if not agreed}
    assert found == {job.id for job in jobs if job.wrong}
    assert {job.wallet for job in jobs if job.wrong} == cheating
    struck = {by for (by,) in grid.rows("SELECT wallet FROM strikes")}
    assert struck == cheating, "and the tab is none of them"
    expect(tab.find("earned")).to_have_text(SOME_MONEY)

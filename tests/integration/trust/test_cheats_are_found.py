"""Every cheat at an answer, beside honest nodes, over real sockets: who is found, and who not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import httpx
import pytest
from solders.keypair import Keypair

from tabgrid_models.connectors.embeddings import EmbeddingsInput
from tabgrid_models.drawing import TextToImageInput
from tests.support.bad_nodes import cheats
from tests.support.bad_nodes.farm import Farm, Member
from tests.support.bad_nodes.grid import GRID_OF, PICTURES, TEXT, Asked, TrustGrid, Users
from tests.support.bad_nodes.workshop import Workshop

#: Loading twenty nodes and a hundred jobs, on a machine that does other things too.
pytestmark = pytest.mark.timeout(600)

SENTENCE = "The cat sat on a mat and looked at the rain that fell upon the roofs of our town."
INPUTS = {
    TEXT: [EmbeddingsInput((SENTENCE[5 * n : 5 * n + 20 + n],)) for n in range(12)],
    PICTURES: [TextToImageInput(f"a red ball {n}", seed=n) for n in range(12)],
}
ALGORITHM = {TEXT: "embeddings", PICTURES: "text-to-image"}
#: Confirmed wrong answers that convict.
CONVICTS = 3
#: Right answers of each honest node, that must not be found wrong.
HONESTLY = 4


class Season:
    """What was done on one grid, and by whom."""

    def __init__(self, grid: TrustGrid, jobs: list[Asked], members: list[Member]) -> None:
        self.grid = grid
        self.jobs = jobs
        self.cheats = [member for member in members if member.cheat is not None]
        self.honest = {member.wallet for member in members if member.cheat is None}
        verdicts: dict[str, list[bool]] = {}
        for job, _, agreed, _ in grid.checks():
            verdicts.setdefault(job, []).append(bool(agreed))
        #: What references said of each job's answer, as they said it.
        self.verdicts = verdicts

    def of(self, member: Member) -> list[Asked]:
        return [job for job in self.jobs if job.wallet == member.wallet]


def lied_enough(farm: Farm, model: str) -> Callable[[Sequence[Asked]], bool]:
    """Whether each cheat at this model had its turns, and whoever is honest had some."""
    cheats = [m.wallet for m in farm.members if m.cheat is not None and ALGORITHM[model] in m.liars]
    honest = [m.wallet for m in farm.members if m.name.startswith("honest")]

    def enough(jobs: Sequence[Asked]) -> bool:
        turns = Counter((job.wallet, job.wrong) for job in jobs if job.model == model)
        return all(turns[wallet, True] >= CONVICTS for wallet in cheats) and all(
            turns[wallet, False] >= HONESTLY for wallet in honest
        )

    return enough


async def play(grid: TrustGrid) -> Season:
    workshop = Workshop(grid.library, grid.folder / "scratch")
    first, second = grid.references
    users = Users(grid, workshop, INPUTS)
    async with Farm(grid.url, workshop, grid.folder / "cache") as farm:
        farm.add("reference", *GRID_OF.values(), wallet=first)
        farm.add("other reference", *GRID_OF.values(), wallet=second, device_class="cpu:other")
        for number in range(3):
            farm.add(f"honest {number}", *GRID_OF.values())
        await farm.until_ready()
        for model, algorithm in ALGORITHM.items():
            for cheat in cheats.of(algorithm):
                farm.add(f"{cheat.name}, {algorithm}", GRID_OF[model], cheat=cheat)
        for cheat in cheats.ring(2):
            farm.add(cheat.name, GRID_OF[TEXT], cheat=cheat)
        await farm.until_ready()
        await asyncio.gather(
            *(users.ask_until(model, lied_enough(farm, model)) for model in ALGORITHM)
        )
        await grid.until_checked(users.jobs)
        return Season(grid, users.jobs, farm.members)


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Season]:
    # They all come from this machine.
    policy = "[trust]\nnewcomers_per_address = 99"
    grid = TrustGrid(tmp_path_factory.mktemp("grid"), (Keypair(), Keypair()), more=policy)
    grid.start()
    try:
        yield asyncio.run(play(grid))
    finally:
        grid.stop()


def test_each_cheat_lied_and_each_lie_was_found(season: Season) -> None:
    for member in season.cheats:
        lies = [job for job in season.of(member) if job.wrong]
        assert len(lies) >= CONVICTS, member.name
        found = [job for job in lies if not any(season.verdicts[job.id])]
        assert found == lies, f"{member.name} got away with something"


def test_nothing_right_was_found_wrong(season: Season) -> None:
    right = [job for job in season.jobs if job.delivered and not job.wrong]
    assert len(right) >= 2 * HONESTLY * 3
    assert [job for job in right if not all(season.verdicts.get(job.id, [True]))] == []


def test_honest_nodes_gave_only_right_answers(season: Season) -> None:
    theirs = [job for job in season.jobs if job.wallet in season.honest]
    assert theirs
    assert [job for job in theirs if job.wrong] == []


def test_colluders_who_agree_are_found_like_any_other(season: Season) -> None:
    """No vote is taken: references decide, and two of another kind of device where it matters."""
    ring = [member for member in season.cheats if member.cheat and member.cheat.ring]
    lies = [job for member in ring for job in season.of(member) if job.wrong]
    assert len(ring) == 2
    assert len(lies) >= 6
    judged = {job.id: set[str]() for job in lies}
    for job, _, agreed, device_class in season.grid.checks():
        if job in judged:
            assert not agreed
            judged[job].add(device_class)
    assert sum(len(kinds) == 2 for kinds in judged.values()) >= 4


def test_no_lie_is_paid_and_whoever_got_it_has_the_price_back(season: Season) -> None:
    lies = [job for job in season.jobs if job.wrong]
    assert len(lies) >= 3 * len(season.cheats)
    with httpx.Client(base_url=season.grid.url, trust_env=False) as client:
        told = {job.id: client.get(f"/api/jobs/{job.id}").json() for job in lies}
    assert {job["pay_state"] for job in told.values()} == {"void"}
    assert all(job["correction"]["refunded"] == job["price"] > 0 for job in told.values())


def test_the_honest_keep_their_pay(season: Season) -> None:
    with httpx.Client(base_url=season.grid.url, trust_env=False) as client:
        for wallet in season.honest:
            earned = client.get(f"/api/wallets/{wallet}").json()["earned"]
            mine = [job.id for job in season.jobs if job.wallet == wallet]
            prices = [client.get(f"/api/jobs/{job}").json()["price"] for job in mine]
            fee = 0.05  # the operator's, by default
            assert earned == sum(round(price * (1 - fee)) for price in prices)


def test_every_cheat_is_convicted(season: Season) -> None:
    text = "\n".join(
        path.read_text() for path in (season.grid.folder / "programs").glob("coordinator.log")
    )
    assert text.count("decision=ConvictUnit") == len(season.cheats)

"""The shipped model's pictures, checked by a few of their steps: real nodes, honest and not."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from solders.keypair import Keypair

from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageInput
from tabgrid_models.trace import claim
from tabgrid_server.api.schemas.checks import Check
from tabgrid_server.api.schemas.checks import Draws as Published
from tabgrid_server.api.schemas.receipts import Receipt
from tabgrid_server.calibrate.forgeries import FORGERIES, Case
from tabgrid_server.coordinator.draws import FIRST_DAY, Draws
from tabgrid_server.library import CHECKOUT
from tabgrid_server.proofs.audit import steps
from tabgrid_server.trust.draws import draw_steps
from tabgrid_server.trust.policy import DAY
from tests.integration.conftest import EchoGrid
from tests.support import models
from tests.support.bad_nodes.cheats import MODELS, Cheat
from tests.support.bad_nodes.farm import Farm, Member
from tests.support.bad_nodes.workshop import Workshop
from tests.support.scenes import MODEL

pytestmark = pytest.mark.timeout(400)

ASKED = {"prompt": "a red circle above a blue square", "seed": 5, "steps": 6}
STEPS = 6
FORGED = FORGERIES["text-to-image"]


async def _as_it_is(case: Case) -> Any:
    return await case.answer(case.input)


def _made_up(member: Callable[[], Member]) -> Cheat:
    """The right picture, from noise of its own making in between: the root is of that."""

    async def forge(case: Case) -> Any:
        liar = member().liars["text-to-image"]
        first, *between, last = liar.states
        chance = random.Random(3)
        liar.states = (first, *(chance.randbytes(len(each)) for each in between), last)
        # Another PNG of the same pixels would do; this one is the same.
        return case.right

    return Cheat("made-up latents", forge)


class Season:
    """Each node drew the same picture; then references came and checked all of them."""

    def __init__(self, grid: EchoGrid, jobs: dict[str, str]) -> None:
        self.grid = grid
        #: Name of the node to its job.
        self.jobs = jobs
        self.checks: dict[str, list[Any]] = {}
        self.receipts: dict[str, Any] = {}


async def play(grid: EchoGrid, references: tuple[Keypair, Keypair]) -> Season:
    scratch = grid.folder / "scratch"
    workshop = Workshop(CHECKOUT, scratch)
    members: list[Member] = []
    cheats = {
        "honest": None,
        "another model": Cheat("another model", _as_it_is, MODELS["another model"]),
        "lower precision": Cheat("lower precision", _as_it_is, MODELS["lower precision"]),
        "fewer steps": Cheat("fewer steps", FORGED["half of the steps"]),
        "another seed": Cheat("another seed", FORGED["another seed"]),
        "unguided": Cheat("unguided", FORGED["without guidance"]),
        "other pixels": Cheat("other pixels", FORGED["right but for 5 levels"]),
        "made-up latents": _made_up(lambda: members[-1]),
    }
    season = Season(grid, {})
    key = await grid.make_key()
    async with Farm(grid.url, workshop, grid.folder / "cache") as farm, grid.client(key) as client:
        for name, cheat in cheats.items():
            members.append(farm.add(name, "bench", cheat=cheat))
            await farm.until_ready()
            body = {"model": MODEL, "input": ASKED}
            asked = await client.post("/api/jobs", json=body)
            # On a loaded machine a picture takes as long as it takes.
            job = await grid.wait_for(
                f"/api/jobs/{asked.json()['id']}",
                lambda row: row["state"] in ("done", "failed"),
                120,
            )
            assert (job["state"], job["wallet"]) == ("done", members[-1].wallet), job
            season.jobs[name] = job["id"]
            members[-1].node.stop()
            farm.members.clear()
            # Or the next job would be its own too.
            await grid.wait_for("/api/nodes", lambda told: not told["nodes"])
        farm.add("reference", "bench", wallet=references[0])
        farm.add("other", "bench", wallet=references[1], device_class="cpu:other")
        await farm.until_ready()
        for name, id in season.jobs.items():
            count = 1 if name == "honest" else 2
            found = await grid.wait_for(
                f"/api/jobs/{id}/checks", lambda seen, n=count: len(seen["checks"]) >= n, 120
            )
            season.checks[name] = found["checks"]
            season.receipts[name] = (await client.get(f"/api/receipts/{id}")).json()
    return season


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Season]:
    references = (Keypair(), Keypair())
    owned = ", ".join(f'"{each.pubkey()}"' for each in references)
    grid = EchoGrid(
        tmp_path_factory.mktemp("grid"),
        model=MODEL,
        lease_min_s=60,
        scheduling=f"reference_wallets = [{owned}]\n[trust]\nnewcomers_per_address = 99",
    )
    grid.start()
    try:
        yield asyncio.run(play(grid, references))
    finally:
        grid.programs.stop()


def test_an_honest_picture_is_checked_by_a_few_of_its_steps(season: Season) -> None:
    (check,) = season.checks["honest"]
    assert (check["purpose"], check["method"], check["agreed"]) == ("audit", "steps", True)
    assert check["distance"] <= check["threshold"]
    receipt = season.receipts["honest"]
    assert (receipt["v"], receipt["trace_leaves"]) == (4, STEPS + 1)
    assert len(bytes.fromhex(receipt["trace_root"])) == 32


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("another model", "step"),
        ("lower precision", "step"),
        ("fewer steps", "step"),
        ("another seed", "noise"),
        ("unguided", "step"),
        ("other pixels", "picture"),
        ("made-up latents", "step"),
    ],
)
def test_each_cheat_is_found_by_the_part_that_it_made_up(
    season: Season, name: str, part: str
) -> None:
    first, second = season.checks[name][:2]
    assert (first["purpose"], first["method"], first["agreed"]) == ("audit", "steps", False)
    assert first["part"].startswith(part), first
    # Whoever decides looks at the whole picture, on another kind of device.
    assert (second["purpose"], second["method"]) == ("second", "rerun")
    assert second["device_class"] != first["device_class"]
    # The picture with made-up latents is the right one: that costs its node nothing.
    assert second["agreed"] is (name == "made-up latents")


def test_the_steps_are_those_that_anybody_draws_afterwards(season: Season) -> None:
    """A check names them, and they follow from secret and commitment."""
    keeper = Draws.of_folder(Path(season.grid.folder / "data"))
    for name, receipt in season.receipts.items():
        _, secret = keeper.at(receipt["settled_at"])
        drawn = draw_steps(secret, bytes.fromhex(receipt["commit_hash"]), STEPS, 2)
        first, *_ = season.checks[name]
        assert [(part["name"], part["place"]) for part in first["parts"]] == [
            ("noise", None),
            *((f"step {at + 1}", at) for at in drawn),
            ("picture", None),
        ]
        assert first["part"] in {part["name"] for part in first["parts"]}


def test_an_audit_finds_other_steps_than_those_once_the_day_is_over(season: Season) -> None:
    """By what this grid told over its API, and by its secrets as it tells them two days later."""
    told = Draws.of_folder(Path(season.grid.folder / "data")).public(time.time() + 2 * DAY)
    assert told.secret is not None
    public = Published(
        told.anchor.hex(), told.epoch, FIRST_DAY, told.commitment.hex(), told.revealed,
        told.secret.hex(),
    )  # fmt: skip
    receipts = [msgspec.convert(each, Receipt) for each in season.receipts.values()]
    checks = [msgspec.convert(each, Check) for made in season.checks.values() for each in made]
    assert {each.trace_size for each in receipts} == {4_096}
    assert sum(each.method == "steps" for each in checks) == len(receipts)
    assert [*steps.as_drawn(public, receipts, checks), *steps.complete(checks)] == []
    lies = [lie for check in checks for lie in elsewhere(check)]
    assert len(lies) == 2 * len(receipts)
    for lie in lies:
        (found,) = steps.as_drawn(public, receipts, [lie])
        assert found.startswith(f"{lie.job}: stretches ")


def elsewhere(check: Check) -> Iterator[Check]:
    """What a friend of its node would rather have looked at: another step for each drawn one."""
    taken = {part.place for part in check.parts}
    free = next(at for at in range(STEPS) if at not in taken)
    for part in check.parts:
        if part.place is not None:
            moved = (replace(each, place=free) if each is part else each for each in check.parts)
            yield replace(check, parts=tuple(moved))


def test_a_recheck_is_a_fraction_of_the_work() -> None:
    """Two of 25 steps, the prompt and the decoder."""
    input = TextToImageInput("a red circle", steps=25)
    claimed = claim(b"", range(26), [b""] * 26, (3, 20), b"")
    share = TextToImage().recheck_share(input, models.manifest(MODEL), claimed.asked)
    assert share == pytest.approx(4 / 27)

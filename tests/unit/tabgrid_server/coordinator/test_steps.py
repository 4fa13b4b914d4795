"""Which steps of a picture a reference is asked for, and what a picture with a seam comes to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from solders.keypair import Keypair

from tabgrid_models.connectors import text_to_image
from tabgrid_models.connectors.text_to_image import TextToImage, TextToImageInput
from tabgrid_models.trace import Recheck
from tabgrid_server.store import Check
from tabgrid_server.store import checks as stored_checks
from tests.support import models
from tests.support.desk import REFERENCE, Desk, Seat, open_account, open_desk
from tests.support.scenes import MODEL as SCENES

ASKED = {"prompt": "a red circle", "seed": 5, "steps": 4}
DRAWS = TextToImage()


class Drawn(NamedTuple):
    picture: bytes
    states: tuple[bytes, ...]


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Desk]:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    await open_account(url)
    async with open_desk(tmp_path, url, other_kind_s=0, model=SCENES) as desk:
        desk.offer_in("fp16")
        yield desk


async def checks_of(desk: Desk, job: str) -> list[Check]:
    return list(await desk.coordinator.store.read(stored_checks.of_job, job))


async def drawn(studio: Desk, **other: object) -> Drawn:
    # A picture names the manifest that it was drawn by.
    manifest, runtime = studio.offer.manifest, models.runtime(SCENES)
    input = msgspec.convert(ASKED | other, TextToImageInput)
    made, content = await DRAWS.run_traced(input, manifest, runtime, models.Progress())
    return Drawn(msgspec.msgpack.encode(made), DRAWS.split_trace(input, manifest, content))


async def run_again(studio: Desk, reference: Seat) -> None:
    """What the reference was asked for, done as it should be."""
    work = reference.work[0]
    assert work.task == "recheck"
    asked = msgspec.msgpack.decode(work.input, type=Recheck)
    runtime = models.runtime(SCENES)
    found = await DRAWS.recheck(asked, studio.offer.manifest, runtime, models.Progress())
    reference.answer(msgspec.msgpack.encode(found))
    await studio.quiet()


@pytest.mark.parametrize("first", ["volunteer", "reference"])
async def test_steps_are_judged_in_one_precision_only_and_else_the_whole_picture(
    studio: Desk, first: str
) -> None:
    """Whoever was here first."""
    picture, states = await drawn(studio)
    volunteer = studio.node(Keypair())
    if first == "reference":
        reference = studio.node(REFERENCE, dtype="fp16")
    await studio.job(ASKED)
    await studio.until(lambda: volunteer.work)
    job = volunteer.answer(picture, states)
    await studio.quiet()
    if first == "volunteer":
        reference = studio.node(REFERENCE, dtype="fp16")
    await studio.until(lambda: reference.work)
    assert reference.work[0].task == "answer"
    reference.answer(picture)
    await studio.quiet()
    (check,) = await checks_of(studio, job)
    assert (check.method, check.agreed, check.threshold) == ("rerun", True, text_to_image.MIXED)


async def test_steps_that_come_in_another_precision_than_they_were_sent_for_are_not_judged(
    studio: Desk,
) -> None:
    picture, states = await drawn(studio)
    volunteer, reference = studio.node(Keypair()), studio.node(REFERENCE)
    await studio.job(ASKED)
    job = volunteer.answer(picture, states)
    await studio.until(lambda: reference.work)
    assert reference.work[0].task == "recheck"
    studio.ready(reference, dtype="fp16")
    reference.answer(picture)
    await studio.quiet()
    assert await checks_of(studio, job) == []
    assert not studio.auditing.policy.strikes


async def test_before_delivery_every_step_is_run_again(studio: Desk) -> None:
    """Its user pays for the work of a whole answer, and one false step may hide anywhere."""
    picture, states = await drawn(studio)
    older = await drawn(studio, seed=6)
    volunteer, reference = studio.node(Keypair()), studio.node(REFERENCE)
    await studio.job(ASKED, checked=True)
    # From the second step on it is another picture of the same prompt.
    job = volunteer.answer(picture, (*states[:2], *older.states[2:]))
    await studio.until(lambda: reference.work)
    await run_again(studio, reference)
    await studio.until(lambda: reference.work)
    assert reference.work[0].task == "answer", "whoever decides looks at the whole picture"
    reference.answer(picture)
    await studio.quiet()
    checks = await checks_of(studio, job)
    assert [check.agreed for check in checks] == [False, True]
    assert checks[0].part in ("step 2", "picture")

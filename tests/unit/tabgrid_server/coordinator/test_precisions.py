"""A node and a reference may compute in two precisions: honest answers then lie far apart."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from math import hypot
from pathlib import Path

import msgspec
import pytest
from solders.keypair import Keypair

from tabgrid_models.connectors import embeddings
from tabgrid_server.store import Check
from tabgrid_server.store import checks as stored_checks
from tests.support.desk import DIMS, REFERENCE, RIGHT, WRONG, Desk, open_account, open_desk


@pytest.fixture
async def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    await open_account(url)
    return url


@pytest.fixture
async def desk(tmp_path: Path, url: str) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path, url, other_kind_s=0) as desk:
        desk.offer_in("fp32")
        yield desk


def near(share: float) -> bytes:
    """As ``RIGHT``, turned a little."""
    row = [1.0, share, *(0.0 for _ in range(DIMS - 2))]
    length = hypot(*row)
    packed = struct.pack(f"<{DIMS}f", *(each / length for each in row))
    return msgspec.msgpack.encode({"embeddings": packed, "dims": DIMS})


async def checks_of(desk: Desk, job: str) -> list[Check]:
    return list(await desk.coordinator.store.read(stored_checks.of_job, job))


async def test_what_two_precisions_make_of_one_text_is_no_mismatch(desk: Desk) -> None:
    """1 - cosine of 0.08, as weights of 4 bits have it; of one precision 1e-7 is too much."""
    volunteer, reference = desk.node(Keypair()), desk.node(REFERENCE, dtype="fp32")
    await desk.job()
    job = volunteer.answer(near(0.4))
    await desk.until(lambda: reference.work)
    reference.answer(RIGHT)
    await desk.quiet()
    (check,) = await checks_of(desk, job)
    assert 0.05 < check.distance < check.threshold == embeddings.MIXED
    assert not desk.auditing.policy.strikes


async def test_what_answers_another_question_is_found_in_any_precision(desk: Desk) -> None:
    volunteer, reference = desk.node(Keypair()), desk.node(REFERENCE, dtype="fp32")
    await desk.job()
    job = volunteer.answer(WRONG)
    for _ in range(2):
        await desk.until(lambda: reference.work)
        reference.answer(RIGHT)
        await desk.quiet()
    assert list(desk.auditing.policy.strikes) == [job]


async def test_a_wide_threshold_clears_nobody_whom_a_reference_of_his_precision_can_judge(
    desk: Desk,
) -> None:
    """Though the other one is another kind of device, as a second opinion should be."""
    volunteer, reference = desk.node(Keypair()), desk.node(REFERENCE)
    other = desk.node(REFERENCE, "webgpu:lab", dtype="fp32")
    await desk.job()
    job = volunteer.answer(near(0.4))
    for _ in range(2):
        await desk.until(lambda: reference.work)
        assert not other.work
        reference.answer(RIGHT)
        await desk.quiet()
    assert list(desk.auditing.policy.strikes) == [job]

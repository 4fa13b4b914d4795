"""Counts of what was settled, drawn, checked and found: right, each once, and read by an index."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from tabgrid_server.store import Check, Store, tallies
from tabgrid_server.store import checks as stored_checks
from tabgrid_server.store.tallies import DAY, HOUR
from tabgrid_server.verdict import verdict_of
from tests.support.books import add_owner, new_job, opened, settlement
from tests.support.pages import RECEIPT

GRID = "text"
NOON = 20_000 * DAY + DAY // 2
CLASSES = ("webgpu:apple:common-3d", "wasm:x86-64")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    sqlite = f"sqlite:///{tmp_path / 'books.db'}"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    async with opened(url) as store:
        await add_owner(store)
        yield store


def receipt(job: str, **changes: Any) -> bytes:
    made = msgspec.structs.replace(RECEIPT, job=job, v=2, audit_probability=50_000, **changes)
    return msgspec.json.encode(made, order="sorted")


async def settle(store: Store, number: int, at: float, *, drawn: bool, **changes: Any) -> str:
    job = f"job_{number:05d}"
    await store.submit(new_job(job, submitted_at=at - 1))
    told = receipt(job, audited=drawn, settled_at=at, **changes)
    await store.settle(settlement(job, receipt=told, finished_at=at))
    return job


def check(job: str, n: int, *, agreed: bool, purpose: str = "audit", **changes: Any) -> Check:
    made = Check(
        id=f"audit_{job}_{n}", job_id=job, purpose=purpose, auditor="Op", device_class="cpu",
        comparator_version=1, distance=0.1, threshold=0.2, agreed=agreed,
        checked_at=float(NOON + n), grid=GRID, model=RECEIPT.model, digest=RECEIPT.digest,
        dtype=RECEIPT.dtype, wallet="W0", node_class=CLASSES[0],
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


async def fold(store: Store, limit: int = 1_000) -> None:
    """As the coordinator does, until nothing is left."""
    while True:
        before, found = await store.read(tallies.pending, limit)
        if not found:
            return
        assert await store.write(tallies.fold, before, found)


async def test_receipts_are_counted_once_by_class_hour_and_unit(store: Store) -> None:
    chosen = random.Random(3)
    wanted: Counter[tuple[int, str]] = Counter()
    drawn: Counter[str] = Counter()
    for n in range(60):
        at, kind = NOON + chosen.randrange(5 * HOUR), CLASSES[n % 2]
        wanted[at // HOUR * HOUR, kind] += 1
        is_drawn = n % 3 == 0
        drawn[kind] += is_drawn
        await settle(store, n, at, drawn=is_drawn, device_class=kind, wallet=f"W{n % 2}", grid=GRID)
    before, found = await store.read(tallies.pending, 25)
    assert await store.write(tallies.fold, before, found)
    assert not await store.write(tallies.fold, before, found), "a second time changes nothing"
    await fold(store, 7)
    rows, kinds = await store.read(tallies.by_class, GRID, HOUR, 0, 10)
    assert {(row.at, row.device_class): row.jobs for row in rows} == wanted
    assert kinds == 2
    (day,) = await store.read(tallies.series, GRID, DAY, 0)
    assert (day.jobs, day.subject, day.drawn, day.checked) == (60, 60, 20, 0)
    (unit,) = await store.read(tallies.units_of, "W1", 10)
    assert (unit.jobs, unit.drawn, unit.device_class) == (30, drawn[CLASSES[1]], CLASSES[1])
    assert NOON <= unit.first_at < unit.last_at < NOON + 5 * HOUR


async def test_the_operators_own_are_jobs_and_subject_to_no_draw(store: Store) -> None:
    await store.submit(new_job("job_own"))
    own = msgspec.structs.replace(RECEIPT, job="job_own", settled_at=float(NOON), wallet="Op")
    await store.settle(settlement("job_own", receipt=msgspec.json.encode(own)))
    await fold(store)
    (unit,) = await store.read(tallies.units_of, "Op", 10)
    assert (unit.jobs, unit.subject, unit.drawn) == (1, 0, 0)


async def test_a_receipt_that_nobody_can_read_stops_nothing(store: Store) -> None:
    await store.submit(new_job("job_odd"))
    await store.settle(settlement("job_odd", receipt=b"\xff{"))
    await settle(store, 1, NOON, drawn=False, wallet="W0")
    await fold(store)
    (unit,) = await store.read(tallies.units_of, "W0", 10)
    assert unit.jobs == 1


@pytest.mark.parametrize(
    ("found", "right", "wrong", "differed", "ever_wrong"),
    [
        ([("audit", True)], 1, 0, 0, 0),
        ([("audit", False)], 0, 0, 1, 0),
        ([("audit", False), ("second", True)], 1, 0, 1, 0),
        ([("audit", False), ("second", False)], 0, 1, 1, 1),
        ([("rerun", False)], 0, 1, 1, 1),
        (
            [("audit", False), ("second", False), ("appeal", True), ("appeal", False),
             ("appeal", True)],
            1, 0, 1, 1,
        ),
    ],
)  # fmt: skip
async def test_a_check_is_counted_as_what_it_made_of_the_answer(
    store: Store,
    found: list[tuple[str, bool]],
    right: int,
    wrong: int,
    differed: int,
    ever_wrong: int,
) -> None:
    job = await settle(store, 1, NOON, drawn=True, wallet="W0", device_class=CLASSES[0])
    await fold(store)
    for n, (purpose, agreed) in enumerate(found):
        made = check(job, n, agreed=agreed, purpose=purpose)
        for _ in range(2):  # kept again after an answer was lost
            await store.write(stored_checks.add, made)
    (unit,) = await store.read(tallies.units_of, "W0", 10)
    assert (unit.checked, unit.found_right, unit.found_wrong) == (1, right, wrong)
    (hour,) = await store.read(tallies.series, GRID, HOUR, 0)
    assert (hour.checked, hour.differed, hour.wrong) == (1, differed, ever_wrong)


async def test_a_check_of_another_nodes_answer_is_not_held_against_this_one(store: Store) -> None:
    """The job was handed out again; its first answer was another wallet's."""
    job = await settle(store, 1, NOON, drawn=True, wallet="W0", device_class=CLASSES[0])
    await fold(store)
    bad = check(job, 0, agreed=False, wallet="W9")
    await store.write(stored_checks.add, bad)
    await store.write(stored_checks.add, check(job, 1, agreed=True))
    (mine,) = await store.read(tallies.units_of, "W0", 10)
    (other,) = await store.read(tallies.units_of, "W9", 10)
    assert (mine.found_right, mine.found_wrong, mine.checked) == (1, 0, 1)
    assert (other.found_right, other.found_wrong, other.checked, other.jobs) == (0, 0, 1, 0)


async def test_hours_go_and_days_stay(store: Store) -> None:
    await settle(store, 1, NOON, drawn=False)
    await fold(store)
    await store.write(tallies.forget, float(NOON + HOUR))
    grid = RECEIPT.grid
    assert await store.read(tallies.series, grid, HOUR, 0) == []
    assert [day.jobs for day in await store.read(tallies.series, grid, DAY, 0)] == [1]


async def test_all_checks_are_told_by_pages(store: Store) -> None:
    job = await settle(store, 1, NOON, drawn=True)
    made = [check(job, n, agreed=True) for n in range(5)]
    for each in made:
        await store.write(stored_checks.add, each)
    first = await store.read(stored_checks.after, "", 3)
    rest = await store.read(stored_checks.after, first[-1].id, 3)
    assert [*first, *rest] == made


def plan(connection: Connection, query: str, **values: Any) -> str:
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.execute(text(f"{explain} {query}"), values)
    return "\n".join(" ".join(map(str, row)) for row in rows)


async def test_no_page_reads_a_whole_table(store: Store) -> None:
    """With statistics of a table that is worth an index: PostgreSQL would scan a small one."""
    kinds = [f"{kind:064d}" for kind in range(20)]
    rows = [
        (GRID, span, NOON - at * span, kind, "q8", "cpu", "m", 1, 1, 0, 0, 0, 0)
        for span, spans in ((HOUR, 1_000), (DAY, 42))
        for at in range(spans)
        for kind in kinds
    ]
    places = ", ".join(f":{n}" for n in range(13))

    def fill(connection: Connection) -> None:
        insert = text(f"INSERT INTO class_tallies VALUES ({places})")
        connection.execute(insert, [{str(n): v for n, v in enumerate(row)} for row in rows])
        units = [(f"W{n}", "d", "q8", "cpu", "m", 1, 1, 0, 0, 0, 0, 1.0, 1.0) for n in range(5_000)]
        insert = text(f"INSERT INTO unit_tallies VALUES ({places})")
        connection.execute(insert, [{str(n): v for n, v in enumerate(row)} for row in units])
        connection.execute(text("ANALYZE"))

    await store.write(fill)
    window = {"grid": GRID, "span": HOUR, "since": NOON - 20 * HOUR}
    queries: list[tuple[str, dict[str, Any]]] = [
        (tallies._SERIES.text, window),
        (tallies._CLASSES.text, {**window, "limit": 12}),
        (tallies._HOW_MANY.text, window),
        (tallies._UNITS.text, {"wallet": "W7", "limit": 50}),
    ]
    for query, values in queries:
        told = await store.read(plan, query, **values)
        scans = [line for line in told.splitlines() if "SCAN" in line or "Seq Scan" in line]
        assert not [line for line in scans if "tallies" in line], told


class Found(msgspec.Struct, frozen=True):
    purpose: str
    agreed: bool


@given(st.lists(st.builds(Found, st.sampled_from(["audit", "second", "reaudit"]), st.booleans())))
def test_the_last_reference_has_the_last_word(found: list[Found]) -> None:
    verdict = verdict_of(found)
    if not found:
        assert verdict is None
    elif found[-1].agreed:
        assert verdict == "right"
    else:
        assert verdict == ("open" if len(found) == 1 else "wrong")

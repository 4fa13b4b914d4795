"""Blobs and the end of content in the store, on both engines: who needs what, until when."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tabgrid_server.blobs import BlobDamaged, Blobs, Keeper
from tabgrid_server.blobs.folder import Folder
from tabgrid_server.store import Store, jobs, receipts, retention
from tests.support.books import add_owner, new_job, opened, settlement


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))
    async with opened(url) as store:
        await add_owner(store)
        yield store


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "blobs")


def keeper_of(store: Store, blobs: Blobs, orphan_s: int = 0) -> Keeper:
    return Keeper(store, blobs, orphan_s)


async def add(keeper: Keeper, content: bytes, folder: Path) -> str:
    digest = hashlib.sha256(content).hexdigest()
    part = folder / f"{digest}.part"
    part.write_bytes(content)
    await keeper.add(digest, len(content), part)
    return digest


async def done(store: Store, id: str, digest: str | None, at: float = 1_003.0) -> None:
    """A job whose output is a blob, or is kept with it."""
    await store.submit(new_job(id))
    blob = {"output": None, "output_digest": digest, "output_size": 7} if digest else {}
    await store.settle(settlement(id, finished_at=at, **blob))


async def test_an_orphan_goes_and_what_a_job_has_stays(
    store: Store, folder: Folder, tmp_path: Path
) -> None:
    keeper = keeper_of(store, folder)
    kept = await add(keeper, b"a job has this", tmp_path)
    orphan = await add(keeper, b"nobody has this", tmp_path)
    await done(store, "job_1", kept)
    assert await keeper.sweep((), 100) == 2
    assert await keeper.get(kept) == b"a job has this"
    with pytest.raises(BlobDamaged):
        await keeper.get(orphan)
    assert await keeper.sweep((), 100) == 0, "neither is looked at again"


async def test_an_upload_has_its_time_and_a_booking_as_long_as_it_takes(
    store: Store, folder: Folder, tmp_path: Path
) -> None:
    patient = keeper_of(store, folder, orphan_s=100)
    early = await add(patient, b"its result may still come", tmp_path)
    assert await patient.sweep((), 100) == 0
    booking = await add(keeper_of(store, folder), b"the store was away for an hour", tmp_path)
    assert await patient.sweep({booking}, 100) == 1
    assert await patient.get(booking)
    await patient.hasten([early, booking])
    assert await patient.sweep((), 100) == 2
    for digest in (early, booking):
        with pytest.raises(BlobDamaged):
            await patient.get(digest)


async def test_one_blob_of_two_jobs_goes_with_the_last(
    store: Store, folder: Folder, tmp_path: Path
) -> None:
    keeper = keeper_of(store, folder)
    digest = await add(keeper, b"the same prompt and seed", tmp_path)
    await done(store, "job_1", digest, at=1_000.0)
    await done(store, "job_2", digest, at=2_000.0)
    await keeper.sweep((), 100)
    assert await store.write(retention.expire, "text", 0.0, 1_500.0, 10, 3_000.0) == 1
    assert await keeper.sweep((), 100) == 1
    assert await keeper.get(digest) == b"the same prompt and seed"
    assert await store.write(retention.expire, "text", 0.0, 2_500.0, 10, 3_000.0) == 1
    assert await keeper.sweep((), 100) == 1
    with pytest.raises(BlobDamaged):
        await keeper.get(digest)


async def test_a_blob_that_comes_again_while_it_goes_is_there(
    store: Store, folder: Folder, tmp_path: Path
) -> None:
    """An upload and a sweep of the same bytes, started in every order, end with the bytes."""
    swift, patient = keeper_of(store, folder), keeper_of(store, folder, orphan_s=100)
    patient._locks = swift._locks  # one process has one keeper: these two play it at two times
    for turn in range(20):
        digest = await add(swift, b"again and again", tmp_path)
        works = [swift.sweep((), 100), add(patient, b"again and again", tmp_path)]
        await asyncio.gather(*(works if turn % 2 else reversed(works)))
        assert await patient.get(digest) == b"again and again"


async def test_a_store_that_fails_in_the_middle_of_a_sweep_loses_sight_of_nothing(
    store: Store, folder: Folder, tmp_path: Path
) -> None:
    keeper = keeper_of(store, folder)
    digest = await add(keeper, b"goes in two steps", tmp_path)
    await folder.delete(digest)  # killed before the row was deleted
    assert await keeper.sweep((), 100) == 1
    count = "SELECT count(*) FROM blobs"
    assert await store.read(lambda c: c.execute(text(count)).scalar()) == 0


async def test_a_job_that_shows_nothing_is_still_one_after_a_restart(store: Store) -> None:
    await store.submit(new_job("job_1", show_preview=False))
    await store.submit(new_job("job_2"))
    assert [job.show_preview for job in await store.read(jobs.unfinished)] == [False, True]


async def test_content_expires_in_pieces_oldest_first(store: Store) -> None:
    for n in range(5):
        await done(store, f"job_{n}", None, at=1_000.0 + n)
    await store.submit(new_job("job_open"))
    assert await store.write(retention.expire, "text", 0.0, 1_003.5, 3, 9_000.0) == 3
    assert await store.write(retention.expire, "text", 0.0, 1_003.5, 3, 9_000.0) == 1
    assert await store.write(retention.expire, "text", 0.0, 1_003.5, 3, 9_000.0) == 0
    assert await store.write(retention.expire, "other", 0.0, 9_000.0, 3, 9_000.0) == 0
    assert await store.read(retention.newest_expired, "text") == 1_003.0
    assert await store.read(retention.newest_expired, "other") == 0.0
    expired, kept, running = [
        await store.read(jobs.content, id) for id in ("job_0", "job_4", "job_open")
    ]
    assert expired is not None
    assert (expired.input, expired.output) == (b"", None)
    assert kept is not None
    assert (kept.input, kept.output) == (b"\x00input", b"\xffoutput")
    assert running is not None
    assert running.input == b"\x00input"
    row = await store.read(jobs.get, "job_0")
    assert row is not None
    assert (row.state, row.price, row.expired_at) == ("done", 100, 9_000.0)
    assert await store.read(receipts.get, "job_0") is not None

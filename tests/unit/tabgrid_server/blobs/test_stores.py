"""A folder and a bucket on a real S3 server under one set of tests."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tabgrid_server import settings as config
from tabgrid_server.blobs import BlobDamaged, Blobs, BlobsUnavailable, open_blobs
from tabgrid_server.blobs.folder import Folder
from tabgrid_server.blobs.parts import Part, clean
from tabgrid_server.settings import Settings, SettingsError
from tests.support.programs import free_port
from tests.support.s3 import S3

#: More than obstore sends in one piece (5 MiB): the bucket gets it as a multipart upload.
LARGE = 6 * 1024 * 1024


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    settings = config.replace(Settings(), server={"data": str(tmp_path)})
    if request.param == "s3":
        s3: S3 = request.getfixturevalue("s3")
        settings = config.replace(settings, blobs=s3.settings(prefix=tmp_path.name))
    return open_blobs(settings)


@pytest.fixture
def part(tmp_path: Path) -> Callable[[bytes], tuple[str, Path]]:
    """part(content) -> its digest, and a file that holds it."""

    def make(content: bytes) -> tuple[str, Path]:
        path = tmp_path / f"{len(content)}.part"
        path.write_bytes(content)
        return hashlib.sha256(content).hexdigest(), path

    return make


@pytest.mark.parametrize("size", [1, 70_000, LARGE])
async def test_what_is_put_is_there_until_it_is_deleted(
    blobs: Blobs, part: Callable[[bytes], tuple[str, Path]], size: int
) -> None:
    content = os.urandom(size)
    digest, path = part(content)
    await blobs.put(digest, path)
    assert await blobs.get(digest) == content
    await blobs.put(*part(content))  # again: the same name means the same bytes
    assert await blobs.get(digest) == content
    await blobs.delete(digest)
    with pytest.raises(BlobDamaged):
        await blobs.get(digest)
    await blobs.delete(digest)  # a second sweep after a crash


async def test_bytes_that_are_not_what_their_name_says_are_not_given_out(
    blobs: Blobs, part: Callable[[bytes], tuple[str, Path]]
) -> None:
    digest, _ = part(b"what was computed")
    await blobs.put(digest, part(b"what the disk made of it")[1])
    with pytest.raises(BlobDamaged):
        await blobs.get(digest)


async def test_many_at_once_do_not_disturb_each_other(
    blobs: Blobs, part: Callable[[bytes], tuple[str, Path]]
) -> None:
    made = [part(bytes([n]) * (1000 + n)) for n in range(20)]
    await asyncio.gather(*(blobs.put(digest, path) for digest, path in made))
    read = await asyncio.gather(*(blobs.get(digest) for digest, _ in made))
    assert [hashlib.sha256(content).hexdigest() for content in read] == [d for d, _ in made]


async def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("in the way")
    digest = hashlib.sha256(b"x").hexdigest()
    (tmp_path / "part").write_bytes(b"x")
    with pytest.raises(BlobsUnavailable) as refused:
        await Folder(tmp_path / "blobs").put(digest, tmp_path / "part")
    assert str(tmp_path) in refused.value.why
    assert str(tmp_path) not in str(refused.value)


async def test_a_bucket_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    fields = S3(f"http://127.0.0.1:{free_port()}").settings()
    blobs = open_blobs(config.replace(Settings(), blobs=fields))
    with pytest.raises(BlobsUnavailable):
        await blobs.get("0" * 64)


@pytest.mark.parametrize("url", ["ftp://host/folder", "/var/blobs", "s3://"])
def test_an_address_that_leads_nowhere_is_a_mistake_in_the_settings(url: str) -> None:
    with pytest.raises(SettingsError, match=r"blobs\.url"):
        open_blobs(config.replace(Settings(), blobs={"url": url}))


async def test_a_part_is_hashed_on_its_way_and_gone_unless_taken(tmp_path: Path) -> None:
    pieces = [os.urandom(700_000) for _ in range(4)]
    async with Part(tmp_path / "incoming") as part:
        for piece in pieces:
            await part.write(piece)
        assert await part.finish() == hashlib.sha256(b"".join(pieces)).hexdigest()
        assert part.path.read_bytes() == b"".join(pieces)
        assert part.size == 2_800_000
    assert list((tmp_path / "incoming").iterdir()) == []


def open_files() -> int:
    """How many this process has open; 0 where the system does not tell."""
    listing = Path("/proc/self/fd")
    return len(list(listing.iterdir())) if listing.exists() else 0


async def test_a_part_that_is_given_up_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    async def upload() -> None:
        async with Part(tmp_path / "incoming") as part:
            for _ in range(3):
                await part.write(bytes(2_000_000))
            await part.finish()

    before = open_files()
    for moment in range(60):
        work = asyncio.create_task(upload())
        await asyncio.sleep(moment * 0.0005)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    async with asyncio.timeout(20):  # the last end may still be in its thread
        while os.listdir(tmp_path / "incoming") or open_files() > before:
            await asyncio.sleep(0.01)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / "0123.part").write_bytes(b"half")
    (tmp_path / "other").write_bytes(b"not ours to judge")
    clean(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]

"""Large outputs on their way: node, upload, result, picture, and what becomes of the rest."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tabgrid_models import trace as latents
from tabgrid_server.bench.client import RawNode
from tabgrid_wire import messages as wire
from tests.integration.conftest import PATIENCE_S, EchoGrid, assigned
from tests.integration.test_recovery import audit
from tests.support.paper import LARGE, MODEL, SMALL, draw, image_of, make_library
from tests.support.s3 import S3

MakeGrid = Callable[..., EchoGrid]


def body(public: bool = False, size: dict[str, int] = LARGE, **input: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": {"prompt": "a red ball", **size, **input}, "public": public}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Iterator[EchoGrid]:
    """A grid that draws, shared by the tests of this file; each uses its own key and node."""
    grid = EchoGrid(
        tmp_path_factory.mktemp("pictures"),
        model=MODEL,
        library=library,
        scheduling="strikes = 100",
    )
    grid.start()
    yield grid
    grid.programs.stop()


@dataclass
class Answer:
    """What a node has for one assignment, not sent yet."""

    grid: EchoGrid
    node: RawNode
    assign: wire.Assign
    output: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.output).hexdigest()

    def result(self, **changes: Any) -> wire.Result:
        blob = wire.Blob(self.digest, len(self.output))
        made = self.node.result(self.assign, self.output)
        return msgspec.structs.replace(made, **({"output": b"", "blob": blob} | changes))

    async def upload(
        self, content: bytes | AsyncIterator[bytes] | None = None, digest: str = "", **query: Any
    ) -> httpx.Response:
        path = self.assign.upload.replace("{digest}", digest or self.digest)
        async with self.grid.client() as client:
            url = client.base_url.join(path).copy_merge_params(query)
            return await client.put(url, content=self.output if content is None else content)

    async def send(self) -> wire.Settled:
        assert (await self.upload()).status_code == 204
        await self.node.send(self.result())
        settled = await self.node.receive()
        assert isinstance(settled, wire.Settled), settled
        return settled


@asynccontextmanager
async def asked(
    grid: EchoGrid, key: str, **request: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, str, Answer]]:
    """A submitted job, and a node that has it and knows an answer."""
    async with grid.client(key) as client, grid.node() as node:
        submitted = await client.post("/api/jobs", json=body(**request))
        assert submitted.status_code == 202, submitted.text
        job, assign = submitted.json()["id"], await assigned(node)
        assert assign.job == job
        output = draw(Path(grid.library), assign)
        yield client, job, Answer(grid, node, assign, output)
        # What a test leaves undone must not reach another one's node.
        with suppress(httpx.TransportError):
            await client.post(f"/api/jobs/{job}/cancel")


def toml(fields: dict[str, str]) -> str:
    return "\n".join(f'{name} = "{value}"' for name, value in fields.items())


@dataclass
class Place:
    """One pair of engines: where rows and where blobs lie."""

    database: str
    s3: S3 | None
    #: Of the bucket, so that tests do not see each other's blobs.
    prefix: str

    def options(self, **blobs: int) -> dict[str, str]:
        lines = [f"{name} = {value}" for name, value in blobs.items()]
        if self.s3:
            lines.append(toml(self.s3.settings(self.prefix)))
        return {"database": self.database, "blobs": "\n".join(lines)}

    def blobs(self, grid: EchoGrid) -> list[str]:
        """Digests of what is stored."""
        if self.s3:
            keys = [key.split("/") for key in self.s3.names()]
            return [key[-1] for key in keys if key[0] == self.prefix]
        folder = grid.folder / "data" / "blobs"
        return [path.name for path in folder.glob("??/*")]


@pytest.fixture(
    params=[
        "sqlite-folder",
        "sqlite-s3",
        pytest.param("postgresql-folder", marks=pytest.mark.postgres),
        pytest.param("postgresql-s3", marks=pytest.mark.postgres),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    engine, store = request.param.split("-")
    database = request.getfixturevalue("postgres_url") if engine == "postgresql" else ""
    s3 = request.getfixturevalue("s3") if store == "s3" else None
    return Place(database, s3, f"test-{os.urandom(6).hex()}")


async def test_a_large_picture_travels_beside_the_frames(
    make_echo_grid: MakeGrid, library: Path, place: Place
) -> None:
    grid = make_echo_grid(model=MODEL, library=library, **place.options())
    grid.start()
    owner, stranger = await grid.make_key(), await grid.make_key()
    async with asked(grid, owner) as (client, job, answer):
        await answer.send()
        assert place.blobs(grid) == [answer.digest]
        done = (await client.get(f"/api/jobs/{job}")).json()
        assert (done["state"], done["output"]["seed"]) == ("done", 0)
        image = await client.get(f"/api/jobs/{job}/image.png")
        assert image.content == image_of(answer.output)
        receipt = (await client.get(f"/api/receipts/{job}")).json()
        assert receipt["result_hash"] == answer.digest
    for key in ("", stranger):
        async with grid.client(key) as other:
            assert (await other.get(f"/api/jobs/{job}/image.png")).status_code == 404
            seen = (await other.get(f"/api/jobs/{job}")).json()
            assert (seen["output"], seen["image"]) == (None, None)
            # The signed address of the owner's own answer works for whoever it is given to.
            assert (await other.get(done["image"])).content == image.content
    audit(grid)


async def test_a_picture_comes_with_headers_that_keep_it_a_picture(pictures: EchoGrid) -> None:
    async with asked(pictures, await pictures.make_key()) as (client, job, answer):
        await answer.send()
        path = f"/api/jobs/{job}/image.png"
        image = await client.get(path)
        assert image.headers["content-type"] == "image/png"
        assert image.headers["x-content-type-options"] == "nosniff"
        assert image.headers["content-security-policy"].startswith("default-src 'none'")
        assert image.headers["cache-control"].startswith("private")
        assert image.headers["etag"] == f'"{answer.digest}"'
        known = await client.get(path, headers={"If-None-Match": image.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize("size", [LARGE, SMALL], ids=["blob", "inline"])
async def test_a_public_picture_is_anybodys(pictures: EchoGrid, size: dict[str, int]) -> None:
    request = {"public": True, "size": size}
    async with asked(pictures, await pictures.make_key(), **request) as (_, job, answer):
        if size is LARGE:
            await answer.send()
        else:
            await answer.node.send(answer.node.result(answer.assign, answer.output))
            assert isinstance(await answer.node.receive(), wire.Settled)
    async with pictures.client() as anybody:
        seen = (await anybody.get(f"/api/jobs/{job}")).json()
        image = await anybody.get(seen["image"])
        assert image.content == image_of(answer.output)
        assert image.headers["cache-control"].startswith("public")
        etag = {"If-None-Match": image.headers["etag"]}
        assert (await anybody.get(seen["image"], headers=etag)).status_code == 304


async def test_a_signed_address_is_for_one_job_and_ends(
    make_echo_grid: MakeGrid, library: Path
) -> None:
    grid = make_echo_grid(model=MODEL, library=library)
    coordinator = grid.start()
    key = await grid.make_key()
    jobs = []
    for _ in range(2):
        async with asked(grid, key) as (client, job, answer):
            await answer.send()
            jobs.append((await client.get(f"/api/jobs/{job}")).json())
    one, other = (each["image"] for each in jobs)
    async with grid.client() as anybody:
        assert (await anybody.get(one)).status_code == 200
        swapped = other.partition("?")[0] + "?" + one.partition("?")[2]
        later = one.replace("expires=", "expires=9")
        for wrong in (swapped, later, one[:-1] + "g", one.partition("&")[0]):
            assert (await anybody.get(wrong)).status_code in (400, 404), wrong
        assert (await anybody.get(one)).status_code == 200, "it has not ended meanwhile"
    # Those of a grid that gives them a second end soon, and others can be had.
    coordinator.stop()
    grid.blobs = "link_s = 1"
    grid.start()
    async with grid.client(key) as owner, grid.client() as anybody:
        short = (await owner.get(f"/api/jobs/{jobs[0]['id']}")).json()["image"]
        async with asyncio.timeout(PATIENCE_S):
            while (await anybody.get(short)).status_code == 200:
                await asyncio.sleep(0.1)
        assert (await anybody.get(short)).status_code == 404
        assert (await anybody.get(one)).status_code == 200, "the picture is there"


async def chunked(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_an_upload_that_is_not_what_it_says_is_refused_and_can_be_repeated(
    pictures: EchoGrid,
) -> None:
    async with asked(pictures, await pictures.make_key()) as (_, _, answer):
        output = answer.output
        for status, refused in (
            (422, await answer.upload(output[:-1] + b"x")),
            (422, await answer.upload(digest="0" * 64)),
            (404, await answer.upload(digest="..%2F..%2Fetc%2Fpasswd")),
            (404, await answer.upload(digest=answer.digest.upper())),
            (400, await answer.upload(b"x" * wire.INLINE_OUTPUT)),
            (400, await answer.upload(b"")),
            (413, await answer.upload(bytes(wire.MAX_BLOB + 1))),
            (411, await answer.upload(chunked(output))),
            (403, await answer.upload(signature="0" * 64)),
            (403, await answer.upload(expires=2**40)),
            (403, await answer.upload(lease="lease_" + "0" * 26)),
            (400, await answer.upload(expires="soon")),
            (400, await answer.upload(more="1")),
        ):
            assert refused.status_code == status, refused.text
            assert refused.json()["error"]["message"]
        await answer.send()


async def test_a_lease_has_one_output_and_what_lay_before_it(pictures: EchoGrid) -> None:
    key = await pictures.make_key()
    async with asked(pictures, key) as (client, job, answer):
        assert (await answer.upload()).status_code == 204
        assert (await answer.upload()).status_code == 204, "an answer that was lost is repeated"
        states = [os.urandom(4 * 4 * 32 * 32) for _ in range(5)]
        trace = Answer(pictures, answer.node, answer.assign, b"".join(states))
        assert (await trace.upload()).status_code == 204
        other = draw(Path(pictures.library), answer.assign)
        third = await answer.upload(other, hashlib.sha256(other).hexdigest())
        assert third.status_code == 409
        root = latents.root(states)
        signed = answer.node.result(answer.assign, answer.output, root)
        blob = wire.Blob(trace.digest, len(trace.output))
        named = {"signature": signed.signature, "nonce": signed.nonce, "root": root}
        await answer.node.send(answer.result(**named, trace_blob=blob))
        assert isinstance(await answer.node.receive(), wire.Settled)
        assert (await answer.upload()).status_code == 410, "the lease has its answer"
        receipt = (await client.get(f"/api/receipts/{job}")).json()
        assert (receipt["v"], receipt["trace_leaves"]) == (4, 5)
        assert receipt["trace_root"] == root.hex()
        # The answer is kept, what lay before it is not.
        kept = pictures.folder / "data" / "blobs"
        async with asyncio.timeout(PATIENCE_S):
            while list(kept.glob(f"??/{trace.digest}")):
                await asyncio.sleep(0.2)
        assert list(kept.glob(f"??/{answer.digest}"))


async def test_an_answer_that_is_said_again_and_again_is_looked_at_once(
    pictures: EchoGrid,
) -> None:
    async with asked(pictures, await pictures.make_key()) as (client, job, answer):
        assert (await answer.upload()).status_code == 204
        for _ in range(10):
            await answer.node.send(answer.result())
        said = [await answer.node.receive()]
        while not isinstance(said[-1], wire.Settled):
            assert isinstance(said[-1], wire.Error), said[-1]
            assert said[-1].code == "stale_lease"
            said.append(await answer.node.receive())
        assert (await client.get(f"/api/jobs/{job}")).json()["state"] == "done"


async def test_a_job_that_is_over_takes_no_upload(pictures: EchoGrid) -> None:
    async with asked(pictures, await pictures.make_key()) as (client, job, answer):
        await client.post(f"/api/jobs/{job}/cancel")
        assert (await answer.upload()).status_code == 410


async def refused(answer: Answer, result: wire.Result) -> str:
    """How the coordinator puts it."""
    await answer.node.send(result)
    while not isinstance(said := await answer.node.receive(), wire.Error):
        assert isinstance(said, wire.Assign), said  # the same job again
    assert said.code == "invalid_result"
    return str(said.message)


async def test_a_result_names_what_its_own_lease_has_uploaded(pictures: EchoGrid) -> None:
    key = await pictures.make_key()
    async with asked(pictures, key) as (_, _, first):
        assert (await first.upload()).status_code == 204
        async with asked(pictures, key) as (_, _, thief):
            assert thief.assign.job != first.assign.job
            stolen = Answer(pictures, thief.node, thief.assign, first.output)
            assert "not uploaded for this job" in await refused(thief, stolen.result())
    for changes in (
        {"blob": wire.Blob("0" * 64, 70_000)},
        {"output": b"and more"},
        {"signature": bytes(64)},
        {"root": bytes(32)},
        {"trace": bytes(5 * 4 * 4 * 32 * 32)},
        {"trace_blob": wire.Blob("0" * 64, 70_000)},
    ):
        async with asked(pictures, key) as (_, _, answer):
            assert (await answer.upload()).status_code == 204
            assert await refused(answer, answer.result(**changes))
    async with asked(pictures, key) as (_, _, answer):
        assert "not uploaded" in await refused(answer, answer.result())
    async with asked(pictures, key) as (_, _, answer):
        assert (await answer.upload()).status_code == 204
        blob = wire.Blob(answer.digest, len(answer.output) + 1)
        assert "not uploaded" in await refused(answer, answer.result(blob=blob))


async def test_an_uploaded_answer_is_checked_like_any_other(pictures: EchoGrid) -> None:
    async with asked(pictures, await pictures.make_key()) as (_, _, answer):
        wrong = Answer(pictures, answer.node, answer.assign, os.urandom(100_000))
        assert (await wrong.upload()).status_code == 204
        assert "cannot be read" in await refused(wrong, wrong.result())


async def begun(answer: Answer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An upload of which only the beginning comes."""
    path = answer.assign.upload.replace("{digest}", answer.digest)
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(answer.output)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", answer.grid.port)
    writer.write(head.encode() + answer.output[:1000])
    return reader, writer


async def until_incoming(grid: EchoGrid, count: int) -> None:
    """So many uploads are under way."""
    incoming = grid.folder / "data" / "blobs" / "incoming"
    async with asyncio.timeout(PATIENCE_S):
        # The folder is made with the first of them.
        while len(await asyncio.to_thread(list, incoming.glob("*"))) != count:
            await asyncio.sleep(0.02)


async def test_who_leaves_holds_nothing(pictures: EchoGrid) -> None:
    async with asked(pictures, await pictures.make_key()) as (_, _, answer):
        _, first = await begun(answer)
        _, second = await begun(answer)
        await until_incoming(pictures, 2)
        assert (await answer.upload()).status_code == 503, "two at once are what a lease may have"
        first.close()
        second.close()
        await until_incoming(pictures, 0)
        await answer.send()


async def test_who_dawdles_holds_nothing(make_echo_grid: MakeGrid, library: Path) -> None:
    grid = make_echo_grid(model=MODEL, library=library, blobs="upload_s = 1")
    grid.start()
    async with asked(grid, await grid.make_key()) as (_, _, answer):
        reader, writer = await begun(answer)
        assert b"408" in await asyncio.wait_for(reader.readline(), PATIENCE_S)
        writer.close()
        await until_incoming(grid, 0)


#: Both engines and both places once: what is slow here is to wait for the sweep.
BOTH = pytest.mark.parametrize(
    "place",
    ["sqlite-folder", pytest.param("postgresql-s3", marks=pytest.mark.postgres)],
    indirect=True,
)


@BOTH
async def test_killed_between_upload_and_result_no_job_is_lost_and_no_orphan_stays(
    make_echo_grid: MakeGrid, library: Path, place: Place
) -> None:
    grid = make_echo_grid(model=MODEL, library=library, **place.options(orphan_s=2))
    coordinator = grid.start()
    key = await grid.make_key()
    async with asked(grid, key) as (_, job, lost):
        assert (await lost.upload()).status_code == 204
        assert place.blobs(grid) == [lost.digest]
        os.kill(coordinator.pid, signal.SIGKILL)
    coordinator.process.wait()
    grid.start()
    async with grid.client(key) as client, grid.node("another") as node:
        assign = await assigned(node)
        assert assign.job == job
        answer = Answer(grid, node, assign, draw(library, assign))
        assert (await lost.upload()).status_code == 410, "its lease died with the coordinator"
        await answer.send()
        async with asyncio.timeout(PATIENCE_S):
            while await asyncio.to_thread(place.blobs, grid) != [answer.digest]:
                await asyncio.sleep(0.2)
        assert (await client.get(f"/api/jobs/{job}/image.png")).status_code == 200
    audit(grid)


@BOTH
async def test_content_ends_by_the_grids_rule_and_the_books_stay(
    make_echo_grid: MakeGrid, library: Path, place: Place
) -> None:
    grid = make_echo_grid(model=MODEL, library=library, **place.options())
    coordinator = grid.start()
    key = await grid.make_key()
    async with asked(grid, key) as (client, job, answer):
        await answer.send()
        path = f"/api/jobs/{job}"
        done = (await client.get(path)).json()
        assert (await client.get(done["image"])).status_code == 200
    coordinator.stop()
    grid.keep_s = 2
    grid.start()
    async with grid.client(key) as client:
        expired = await grid.wait_for(path, lambda seen: seen["expired_at"] is not None)
        assert expired["expired_at"] - expired["finished_at"] >= 2
        own = (await client.get(path)).json()
        assert (own["state"], own["output"], own["image"]) == ("done", None, None)
        gone = await client.get(done["image"])
        assert (gone.status_code, gone.json()["error"]["code"]) == (410, "expired")
        page = await client.get(f"/explorer/jobs/{job}")
        assert "no longer kept" in page.text
        assert (await client.get(f"/api/receipts/{job}")).json()["result_hash"] == answer.digest
        async with asyncio.timeout(PATIENCE_S):
            while await asyncio.to_thread(place.blobs, grid):
                await asyncio.sleep(0.2)
    audit(grid)


async def test_a_full_disk_refuses_uploads_until_there_is_room(
    make_echo_grid: MakeGrid, library: Path
) -> None:
    """A limit on the size of files is as good as a full disk: writes fail with an error."""
    grid = make_echo_grid(model=MODEL, library=library)
    coordinator = grid.start()
    async with asked(grid, await grid.make_key()) as (client, job, answer):
        resource.prlimit(coordinator.pid, resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))
        full = await answer.upload()
        assert (full.status_code, full.headers["retry-after"]) == (503, "5")
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(coordinator.pid, resource.RLIMIT_FSIZE, unlimited)
        await answer.send()
        assert (await client.get(f"/api/jobs/{job}")).json()["state"] == "done"


def test_a_place_that_cannot_be_is_named_at_the_start(make_echo_grid: MakeGrid) -> None:
    grid = make_echo_grid(blobs='url = "ftp://host/folder"')
    with pytest.raises(AssertionError, match=r"blobs\.url 'ftp://host/folder'"):
        grid.start()


async def test_large_outputs_are_not_in_the_database(pictures: EchoGrid) -> None:
    async with asked(pictures, await pictures.make_key()) as (_, job, answer):
        await answer.send()
    with sqlite3.connect(pictures.folder / "data" / "tabgrid.db") as database:
        query = "SELECT output, output_digest, output_size FROM jobs WHERE id = ?"
        assert database.execute(query, [job]).fetchone() == (
            None, answer.digest, len(answer.output),
        )  # fmt: skip

"""An order that is sent again, because its answer was lost, is one job and paid once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tabgrid_server.ledger import InsufficientFunds
from tabgrid_server.store import Idempotency, Repeated, Store, idempotency, jobs
from tabgrid_server.store import ledger as books
from tests.integration.conftest import EchoGrid, assigned
from tests.support.books import CREDIT, TOKEN, add_owner, new_job, opened

JOB = {"model": "echo", "input": {"text": "hello"}}
NAME = {"Idempotency-Key": "order-1"}


async def spent_or_held(client: httpx.AsyncClient) -> int:
    key = (await client.get("/api/keys/current")).json()
    return int(key["spent"] + key["held"])


async def test_an_order_sent_again_is_the_same_job_and_charged_once(echo_grid: EchoGrid) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client, echo_grid.node() as node:
        first = await client.post("/api/jobs", json=JOB, headers=NAME)
        again = await client.post("/api/jobs", json=JOB, headers=NAME)
        assert (first.status_code, again.status_code) == (202, 202)
        assert again.json()["id"] == first.json()["id"]
        assert again.headers["location"] == first.headers["location"]
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assign = await assigned(node)
        waiting = asyncio.create_task(
            client.post("/api/jobs", json=JOB, headers=NAME | {"Prefer": "wait=20"})
        )
        await node.send(node.result(assign, assign.input))
        ended = await waiting
        later = await client.post("/api/jobs", json=JOB, headers=NAME)
        for answer in (ended, later):
            assert answer.status_code == 200
            assert answer.json()["id"] == first.json()["id"]
            assert answer.json()["output"] == {"text": "hello"}
        assert await spent_or_held(client) == first.json()["price"]


async def test_the_same_request_may_be_written_otherwise(echo_grid: EchoGrid) -> None:
    """In another order, with defaults spelt out, and with the key in the draft's quotes."""
    async with echo_grid.client(await echo_grid.make_key()) as client:
        first = await client.post("/api/jobs", json=JOB, headers=NAME)
        body = json.dumps({"public": False, "input": {"text": "hello"}, "model": "echo"}, indent=2)
        headers = {"Idempotency-Key": '"order-1"', "Content-Type": "application/json"}
        again = await client.post("/api/jobs", content=body, headers=headers)
        assert again.json()["id"] == first.json()["id"]


@pytest.mark.parametrize(
    "other", [{"input": {"text": "other"}}, {"public": True}, {"show_preview": False}]
)
async def test_another_request_of_the_same_name_is_refused(
    echo_grid: EchoGrid, other: dict[str, Any]
) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client:
        first = (await client.post("/api/jobs", json=JOB, headers=NAME)).json()
        refused = await client.post("/api/jobs", json=JOB | other, headers=NAME)
        assert refused.status_code == 422
        error = refused.json()["error"]
        assert (error["code"], error["param"]) == ("idempotency_key_reused", "Idempotency-Key")
        assert first["id"] in error["message"]
        assert await spent_or_held(client) == first["price"]


async def test_a_name_is_its_owners_alone(echo_grid: EchoGrid) -> None:
    made = []
    for _ in range(2):
        async with echo_grid.client(await echo_grid.make_key()) as client:
            made.append((await client.post("/api/jobs", json=JOB, headers=NAME)).json()["id"])
    assert made[0] != made[1]


async def test_many_at_once_are_one_job(echo_grid: EchoGrid) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client:
        answers = await asyncio.gather(
            *(client.post("/api/jobs", json=JOB, headers=NAME) for _ in range(12))
        )
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert await spent_or_held(client) == answers[0].json()["price"]


async def test_what_was_taken_is_found_again_whatever_would_refuse_it_by_now(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid(credit=150)
    grid.start()
    async with grid.client(await grid.make_key()) as client:
        first = await client.post("/api/jobs", json=JOB, headers=NAME)
        assert first.status_code == 202
        other = {"Idempotency-Key": "order-2"}
        for _ in range(2):
            assert (await client.post("/api/jobs", json=JOB, headers=other)).status_code == 402
        again = await client.post("/api/jobs", json=JOB, headers=NAME)
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


async def test_a_job_is_found_again_after_a_restart(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid()
    program = grid.start()
    async with grid.client(await grid.make_key()) as client:
        first = (await client.post("/api/jobs", json=JOB, headers=NAME)).json()
        program.kill()
        grid.start()
        again = (await client.post("/api/jobs", json=JOB, headers=NAME)).json()
        assert again["id"] == first["id"]
        assert await spent_or_held(client) == first["price"]


async def test_a_job_that_was_kept_without_a_word_runs_once_it_is_asked_for_again(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    """As when a connection to the database is cut in the middle of a commit."""
    grid = make_echo_grid()
    grid.start()
    async with grid.client(await grid.make_key()) as client:
        await client.post("/api/jobs", json=JOB, headers=NAME)
        async with _books_of(grid) as store:
            (known,) = await store.read(jobs.unfinished)
            named = await store.read(idempotency.find, known.owner, "order-1")
            assert named is not None
            lost = new_job(
                "job_01JAAAAAAAAAAAAAAAAAAAAAAA", owner=known.owner, key_id=known.key_id,
                grid=known.grid, model=known.model, digest=known.digest, token=known.token,
                connector=known.connector, input=known.input,
                idempotency=Idempotency(key="order-2", request=named.request),
            )  # fmt: skip
            await store.submit(lost)
        headers = {"Idempotency-Key": "order-2"}
        again = await client.post("/api/jobs", json=JOB, headers=headers)
        assert again.json()["id"] == lost.id
        async with grid.node() as node:
            taken = set()
            while lost.id not in taken:
                assign = await assigned(node)
                taken.add(assign.job)
                await node.send(node.result(assign, assign.input))
        done = await grid.wait_for(f"/api/jobs/{lost.id}", lambda job: job["state"] == "done")
        assert done["id"] == lost.id


@asynccontextmanager
async def _books_of(grid: EchoGrid) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite+aiosqlite:///{grid.folder / 'data' / 'tabgrid.db'}")
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize(
    "key", ["", "k" * 256, "two words", "a,b", 'a"b', '"open', "back\\slash", "ümlaut"]
)
async def test_names_that_are_none_are_refused(echo_grid: EchoGrid, key: str) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client:
        headers = [(b"Idempotency-Key", key.encode())]
        answer = await client.post("/api/jobs", json=JOB, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "invalid_idempotency_key"
        assert await spent_or_held(client) == 0


async def test_two_names_for_one_request_are_refused(echo_grid: EchoGrid) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client:
        headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
        assert (await client.post("/api/jobs", json=JOB, headers=headers)).status_code == 400
        longest = {"Idempotency-Key": "k" * 255}
        assert (await client.post("/api/jobs", json=JOB, headers=longest)).status_code == 202


async def test_it_is_described(echo_grid: EchoGrid) -> None:
    async with echo_grid.client() as client:
        described = (await client.get("/openapi.json")).json()
    (header,) = described["paths"]["/api/jobs"]["post"]["parameters"]
    assert (header["name"], header["in"], header["required"]) == (
        "Idempotency-Key",
        "header",
        False,
    )


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'books.db'}"
    else:
        url = str(request.getfixturevalue("postgres_url"))
    async with opened(url) as store:
        await add_owner(store)
        yield store


def named(key: str, request: str = "a") -> Idempotency:
    return Idempotency(key=key, request=request)


async def test_jobs_of_one_name_are_one_on_either_engine(store: Store) -> None:
    """In one commit or in several; what has another name, or none, is another."""
    submitted = [new_job(f"job_{n}", idempotency=named("x")) for n in range(8)]
    others = [new_job("job_y", idempotency=named("y")), new_job("job_z"), new_job("job_zz")]
    outcomes = await asyncio.gather(
        *(store.submit(job) for job in submitted + others), return_exceptions=True
    )
    repeated = [outcome for outcome in outcomes if isinstance(outcome, Repeated)]
    assert len(repeated) == 7
    with pytest.raises(Repeated) as again:
        await store.submit(new_job("job_late", idempotency=named("x", "b")))
    assert {r.named for r in repeated} == {again.value.named}
    kept = {job.id for job in await store.read(jobs.unfinished)}
    assert kept == {again.value.named.job_id, "job_y", "job_z", "job_zz"}
    assert (await store.read(books.credit, "alice", TOKEN)).held == 400


async def test_a_job_that_cannot_be_paid_leaves_its_name_free(store: Store) -> None:
    with pytest.raises(InsufficientFunds):
        await store.submit(new_job(price=CREDIT + 1, idempotency=named("x")))
    await store.submit(new_job("job_2", idempotency=named("x")))
    assert await store.read(jobs.unfinished_one, "job_1") is None


async def test_names_are_let_go_the_oldest_first_and_jobs_stay(store: Store) -> None:
    for n in range(5):
        await store.submit(new_job(f"job_{n}", idempotency=named(f"n{n}"), submitted_at=float(n)))
    assert await store.write(idempotency.forget, 4.0, 3) == 3
    assert await store.write(idempotency.forget, 4.0, 3) == 1
    found = [await store.read(idempotency.find, "alice", f"n{n}") for n in range(5)]
    assert [each is not None for each in found] == [False] * 4 + [True]
    assert len(await store.read(jobs.unfinished)) == 5

"""The grid's own job API, against a real coordinator and a node played by the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from tabgrid_wire import messages as wire
from tests.integration.conftest import PATIENCE_S, EchoGrid, assigned

JOB = {"model": "echo", "input": {"text": "hello"}}


async def test_a_job_is_held_done_and_charged_once(echo_grid: EchoGrid) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client, echo_grid.node() as node:
        submitted = await client.post("/api/jobs", json=JOB)
        assert submitted.status_code == 202
        job = submitted.json()
        held = (await client.get("/api/keys/current")).json()
        assert (held["credit"], held["held"]) == (1_000_000 - job["price"], job["price"])
        assign = await assigned(node)
        await node.send(node.result(assign, assign.input))
        settled = await node.receive()
        assert isinstance(settled, wire.Settled)
        done = (await client.get(submitted.headers["location"])).json()
        assert (done["state"], done["output"]) == ("done", {"text": "hello"})
        assert settled.amount == job["price"] - job["price"] * 500 // 10_000
        key = (await client.get("/api/keys/current")).json()
        assert (key["credit"], key["held"], key["spent"]) == (
            1_000_000 - job["price"], 0, job["price"],
        )  # fmt: skip
        receipt = (await client.get(f"/api/receipts/{job['id']}")).json()
        assert receipt["wallet"] == node.wallet
        assert receipt["pay"] + receipt["fee"] == receipt["price"] == job["price"]


async def test_earnings_are_released_by_the_grids_rule(echo_grid: EchoGrid) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client, echo_grid.node() as node:
        asked = asyncio.create_task(client.post("/api/jobs", json=JOB, headers=wait(60)))
        assign = await assigned(node)
        await node.send(node.result(assign, assign.input))
        assert (await asked).json()["state"] == "done"
        path = f"/api/wallets/{node.wallet}"
        before = (await client.get(path)).json()
        assert before["earned"] == before["withheld"] + before["claimable"] > 0
        after = await echo_grid.wait_for(path, lambda wallet: wallet["claimable"] > 0)
        assert after["claimable"] == after["earned"]
        assert after["withheld"] == 0


async def test_prefer_wait_answers_with_the_output(echo_grid: EchoGrid) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client, echo_grid.node() as node:
        asked = asyncio.create_task(client.post("/api/jobs", json=JOB, headers=wait(60)))
        assign = await assigned(node)
        await node.send(node.result(assign, assign.input))
        answer = await asked
        assert answer.status_code == 200
        assert answer.json()["output"] == {"text": "hello"}


async def test_what_is_in_a_job_is_for_its_owner_only(echo_grid: EchoGrid) -> None:
    owner, stranger = await echo_grid.make_key(), await echo_grid.make_key()
    async with echo_grid.client(owner) as client, echo_grid.node() as node:
        asked = asyncio.create_task(client.post("/api/jobs", json=JOB, headers=wait(60)))
        assign = await assigned(node)
        await node.send(node.result(assign, assign.input))
        path = f"/api/jobs/{(await asked).json()['id']}"
    for key in (stranger, ""):
        async with echo_grid.client(key) as other:
            seen = (await other.get(path)).json()
            assert seen["output"] is None
            assert seen["usage"] == {}
            listed = (await other.get("/api/jobs")).text
            assert "hello" not in listed
    async with echo_grid.client(stranger) as other:
        assert (await other.post(f"{path}/cancel")).status_code == 404


async def test_a_cancelled_job_is_refunded_and_called_off(echo_grid: EchoGrid) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client, echo_grid.node() as node:
        job = (await client.post("/api/jobs", json=JOB)).json()
        assign = await assigned(node)
        cancelled = await client.post(f"/api/jobs/{job['id']}/cancel")
        assert cancelled.json()["state"] == "cancelled"
        assert await node.receive() == wire.Cancel(assign.lease, "Cancelled by its owner.")
        assert (await client.get("/api/keys/current")).json()["credit"] == 1_000_000
        again = await client.post(f"/api/jobs/{job['id']}/cancel")
        assert again.status_code == 409
        # The node's late answer is not booked, and it is told so.
        await node.send(node.result(assign, assign.input))
        answer = await node.receive()
        assert isinstance(answer, wire.Error)
        assert answer.code == "stale_lease"


async def test_a_job_can_be_followed_to_its_end(echo_grid: EchoGrid) -> None:
    states = []
    async with echo_grid.client(await echo_grid.make_key()) as client, echo_grid.node() as node:
        job = (await client.post("/api/jobs", json=JOB)).json()
        assign = await assigned(node)
        async with client.stream("GET", f"/api/jobs/{job['id']}/events") as events:
            async for line in events.aiter_lines():
                if line.startswith("data:"):
                    states.append(json.loads(line[5:])["state"])
                    if states == ["running"]:
                        await node.send(node.result(assign, assign.input))
    assert states[0] == "running"
    assert states[-1] == "done"


async def test_a_key_without_credit_is_told_so(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid(credit=150)
    grid.start()
    async with grid.client(await grid.make_key()) as client:
        assert (await client.post("/api/jobs", json=JOB)).status_code == 202
        refused = await client.post("/api/jobs", json=JOB)
        assert refused.status_code == 402
        assert refused.json()["error"]["code"] == "insufficient_quota"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "nothing", "input": {}}, 404, "model_not_found"),
        ({"model": "echo", "input": {"text": 7}}, 400, "invalid_input"),
        ({"model": "echo", "input": {}}, 400, "invalid_input"),
        ({"model": "echo"}, 400, "invalid_request"),
        ({"model": "echo", "input": {"text": "x"}, "more": 1}, 400, "invalid_request"),
    ],
)
async def test_bad_requests_say_what_is_wrong(
    echo_grid: EchoGrid, body: dict[str, object], status: int, code: str
) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client:
        answer = await client.post("/api/jobs", json=body)
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == code


async def test_bodies_that_are_no_json_or_too_large_are_refused(echo_grid: EchoGrid) -> None:
    json_type = {"Content-Type": "application/json"}
    async with echo_grid.client(await echo_grid.make_key()) as client:
        for content, status in (
            (b'{"model": "\xff\xfe"}', 400),
            (b"[" * 100_000, 400),
            (b"{", 400),
            (b"x" * 10_000_000, 413),
        ):
            answer = await client.post("/api/jobs", content=content, headers=json_type)
            assert answer.status_code == status, content[:20]
            assert answer.json()["error"]["message"]
        form = await client.post("/api/jobs", data={"model": "echo"})
        assert form.status_code == 415


async def test_without_a_key_nothing_is_run(echo_grid: EchoGrid) -> None:
    async with echo_grid.client() as client:
        answer = await client.post("/api/jobs", json=JOB)
        assert answer.status_code == 401
        assert "Bearer" in answer.headers["www-authenticate"]
    async with echo_grid.client("tg_made-up") as client:
        assert (await client.post("/api/jobs", json=JOB)).status_code == 401


def wait(seconds: int) -> dict[str, str]:
    return {"Prefer": f"wait={seconds}"}


async def test_followers_hear_how_far_a_job_is(echo_grid: EchoGrid) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client, echo_grid.node() as node:
        job = (await client.post("/api/jobs", json=JOB)).json()["id"]
        assign = await assigned(node)
        told: list[object] = []
        async with client.stream("GET", f"/api/jobs/{job}/events") as events:
            lines = (line async for line in events.aiter_lines() if line.startswith("data:"))
            told.append(json.loads((await anext(lines))[5:])["progress"])
            await node.send(wire.Progress(assign.lease, 3, 8, "steps"))
            told.append(json.loads((await anext(lines))[5:])["progress"])
            await node.send(node.result(assign, assign.input))
            ended = [json.loads(line[5:]) async for line in lines][-1]
    assert told == [None, {"done": 3, "total": 8, "stage": "steps"}]
    assert (ended["state"], ended["progress"]) == ("done", None)


async def test_the_events_of_the_grid_are_live(echo_grid: EchoGrid) -> None:
    async with (
        echo_grid.client(await echo_grid.make_key()) as client,
        echo_grid.node() as node,
        client.stream("GET", "/api/events") as events,
    ):
        await client.post("/api/jobs", json=JOB)
        assign = await assigned(node)
        await node.send(node.result(assign, assign.input))
        job = assign.job
        async with asyncio.timeout(PATIENCE_S):
            async for line in events.aiter_lines():
                if line.startswith("data:") and job in line and '"done"' in line:
                    return

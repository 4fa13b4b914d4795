"""`tabgrid keys` beside a running server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from click.testing import CliRunner

from tabgrid_server.cli.keys import keys
from tests.integration.conftest import EchoGrid, until_status

JOB = {"model": "echo", "input": {"text": "hello"}}


def run(data: Path, *arguments: str) -> str:
    done = CliRunner().invoke(keys, ["--data", str(data), *arguments])
    assert done.exit_code == 0, done.output
    return str(done.stdout)


async def test_a_key_made_credited_and_revoked_on_the_command_line(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid()
    data = grid.folder / "data"
    data.mkdir()
    secret = run_outside_loop(data, "create", "--label", "mine")
    grid.start()
    async with grid.client(secret) as client:
        assert (await client.post("/api/jobs", json=JOB)).status_code == 402
        key_id = (await client.get("/api/keys/current")).json()["id"]
        run_outside_loop(data, "credit", key_id, "500")
        assert (await client.get("/api/keys/current")).json()["credit"] == 500
        assert (await client.post("/api/jobs", json=JOB)).status_code == 202
        assert key_id in run_outside_loop(data, "list")
        run_outside_loop(data, "revoke", key_id)
        await until_status(client, "/api/keys/current", 401)


def run_outside_loop(data: Path, *arguments: str) -> str:
    """The command starts an event loop of its own, so it needs a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run, data, *arguments).result().strip()

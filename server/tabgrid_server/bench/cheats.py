"""What honest work waits longer for where nodes cheat: two grids in one run, turn by turn."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click
import msgspec
import uvloop
from solders.keypair import Keypair

from .client import Http, job_body, new_key
from .programs import coordinator, program, swarm
from .report import Figure, against, percentile

#: Jobs on one grid before the other has its turn: what else the machine does meets both, and both
#: are as old, for how much is checked goes by what the nodes have answered.
TURN = 200
#: Jobs at a time: enough to see cheats get some, too few to queue.
IN_FLIGHT = 4
WAIT = {"Prefer": "wait=60"}
#: Jobs for each honest node before the measurement: it is proven then, and whoever cheats rests
#: or is shut out. The rest is life with it.
WARM = 60
#: A grid that checks what strangers answer. They all come from this machine.
SETTINGS = """
[scheduling]
reference_wallets = ["{reference}"]
[trust]
newcomers_per_address = 1000
newcomers_per_day = 1000
"""


class Seen(msgspec.Struct):
    """Milliseconds from submit to answer: of jobs that the first node answered, and of all."""

    first: list[float]
    all: list[float]
    failed: int = 0


class _Row(msgspec.Struct):
    state: str
    attempts: int


_decode = msgspec.json.Decoder(_Row).decode


def run(seconds: float, nodes: int, cheats: int) -> list[Figure]:
    operator = Keypair()
    settings = SETTINGS.format(reference=operator.pubkey())
    with ExitStack() as stack:
        calm, _ = stack.enter_context(coordinator(limits=settings))
        rough, _ = stack.enter_context(coordinator(limits=settings))
        for url in (calm, rough):
            stack.enter_context(swarm(url, 1, str(operator)))
            stack.enter_context(swarm(url, nodes))
        stack.enter_context(_cheats(rough, cheats))
        without, among = uvloop.run(_measure((calm, rough), seconds, WARM * nodes))
    return list(_figures(without, among, f"{nodes} nodes and {cheats} cheats"))


def _figures(without: Seen, among: Seen, who: str) -> Iterator[Figure]:
    for name, percent, ours, theirs in (
        ("honest work, p50", 50, among.first, without.first),
        ("honest work, p99", 99, among.first, without.first),
        ("all jobs, p99", 99, among.all, without.all),
    ):
        aim = "≤ 1.1 x" if percent == 50 else ""
        figure = Figure("cheats", f"{who}: {name}", percentile(ours, percent), "ms", aim=aim)
        yield against(figure, "without cheats, ms", percentile(theirs, percent))
    again = 100 * (1 - len(among.first) / len(among.all))
    yield Figure("cheats", f"{who}: jobs that were handed out again", again, "%")
    failed = 100 * among.failed / len(among.all)
    yield Figure("cheats", f"{who}: jobs that found no answer", failed, "%", aim="0")


async def _measure(urls: tuple[str, str], seconds: float, warm: int) -> tuple[Seen, Seen]:
    body = job_body("echo", text="a job that computes nothing")
    users = [(url, await new_key(url)) for url in urls]
    for user in users:
        await _turn(*user, body, warm)
    seen = (Seen([], []), Seen([], []))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for user, into in zip(users, seen, strict=True):
            found = await _turn(*user, body, TURN)
            into.first += found.first
            into.all += found.all
            into.failed += found.failed
    return seen


async def _turn(url: str, key: str, body: bytes, jobs: int) -> Seen:
    """On connections of its own: those that wait for the other grid's turn are closed."""
    headers = {"Authorization": f"Bearer {key}", **WAIT}
    clients = [await Http.open(url, headers) for _ in range(IN_FLIGHT)]
    seen, turns = Seen([], []), iter(range(jobs))

    async def one(client: Http) -> None:
        for _ in turns:
            started = time.perf_counter()
            status, answer = await client.post("/api/jobs", body)
            took = 1000 * (time.perf_counter() - started)
            row = _decode(answer) if status == 200 else None
            if row is None:
                raise click.ClickException(f"A job was answered with {status}: {answer[:300]!r}")
            seen.all.append(took)
            seen.failed += row.state != "done"
            if row.attempts == 1:
                seen.first.append(took)

    await asyncio.gather(*(one(client) for client in clients))
    for client in clients:
        client.close()
    return seen


@contextmanager
def _cheats(url: str, count: int) -> Iterator[None]:
    command = [sys.executable, "-m", "tabgrid_server.bench.cheating", url, "bench", str(count)]
    with program(command) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise click.ClickException("The bench's cheats could not join.")
        yield

"""The coordinator that honest nodes and cheats meet, its users, and what became of each job."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httpx
import msgspec
from solders.keypair import Keypair

from tabgrid_models.connectors import connector as connector_of
from tabgrid_server.library import CHECKOUT
from tests.support import pictures
from tests.support.programs import Program, Programs, free_port

from .workshop import Workshop

TEXT, PICTURES = "all-MiniLM-L6-v2", pictures.ID
GRID_OF = {TEXT: "text", PICTURES: "images"}
#: Users wait as long as a loaded machine needs.
WAIT_S = 60
SETTINGS = """
[server]
drain_s = 3
library = "{library}"
[limits]
public_requests_per_minute = 100000
keys_per_day = 100000
{limits}
[scheduling]
reference_wallets = [{references}]
lease_min_s = 60
{scheduling}
[grids.text]
title = "Text"
description = "Sentences become vectors."
models = ["{text}"]
price_per_unit = 1000
release_s = 1
demo_credit = 1000000000
[grids.images]
title = "Pictures"
description = "Prompts become small pictures."
models = ["{pictures}"]
price_per_unit = 1000
release_s = 1
{more}
"""


@dataclass(frozen=True)
class Asked:
    """One job of a user's, at its end."""

    id: str
    model: str
    state: str
    wallet: str
    #: None where none was delivered.
    distance: float | None
    threshold: float

    @property
    def delivered(self) -> bool:
        return self.distance is not None

    @property
    def wrong(self) -> bool:
        return self.distance is not None and self.distance > self.threshold


@dataclass
class TrustGrid:
    """One coordinator whose operator owns the wallets ``references``."""

    folder: Path
    references: Sequence[Keypair] = ()
    limits: str = ""
    scheduling: str = ""
    #: Further sections of the settings.
    more: str = ""
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.programs = Programs(self.folder / "programs")
        self.library = self.folder / "library"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Program:
        self.library.mkdir(parents=True)
        (self.library / TEXT).symlink_to(CHECKOUT / TEXT)
        # Guided further, it paints some seeds in one colour: blank, and so refused.
        pictures.build(self.library, default_guidance=1.0)
        file = self.folder / "tabgrid.toml"
        owned = ", ".join(f'"{keypair.pubkey()}"' for keypair in self.references)
        file.write_text(
            SETTINGS.format(
                library=self.library, references=owned, limits=self.limits,
                scheduling=self.scheduling, more=self.more, text=TEXT, pictures=PICTURES,
            )
        )  # fmt: skip
        where = ["--settings", str(file), "--port", str(self.port)]
        where += ["--data", str(self.folder / "data")]
        program = self.programs.tabgrid("coordinator", "serve", *where)
        program.ready()
        return program

    def stop(self) -> None:
        self.programs.stop()

    def client(self, key: str = "") -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=WAIT_S + 30, trust_env=False
        )

    async def new_user(self) -> httpx.AsyncClient:
        """A client with a new key."""
        async with self.client() as stranger:
            answer = await stranger.post("/api/keys", json={})
        return self.client(str(answer.raise_for_status().json()["key"]))

    async def until_checked(self, jobs: Iterable[Asked], within_s: float = 300) -> None:
        """Wait until every one that was drawn has its last word, and no reference has work."""
        async with asyncio.timeout(within_s):
            await self.until_references_are_idle()
            while self._undecided(jobs):
                await asyncio.sleep(0.1)
                await self.until_references_are_idle()

    async def until_references_are_idle(self, within_s: float = 300) -> None:
        async with self.client() as client, asyncio.timeout(within_s):
            while (await client.get("/api/grids/text/health")).json()["waiting"]:
                await asyncio.sleep(0.05)

    def checks(self) -> list[tuple[Any, ...]]:
        """(job, purpose, agreed, device class of the reference), as they came."""
        return self.rows(
            "SELECT job_id, purpose, agreed, device_class FROM checks ORDER BY checked_at, id"
        )

    def _undecided(self, jobs: Iterable[Asked]) -> set[str]:
        """Drawn, and neither found right nor taken back."""
        right = {job for job, _, agreed, _ in self.checks() if agreed}
        lost = {job for (job,) in self.rows("SELECT job_id FROM earnings WHERE lost IS NOT NULL")}
        receipts = dict(self.rows("SELECT job_id, body FROM receipts"))
        drawn = {job for job, body in receipts.items() if json.loads(body)["audited"]}
        return {job.id for job in jobs if job.id in drawn} - right - lost

    async def metric(self, name: str) -> float:
        async with self.client() as client:
            lines = (await client.get("/metrics")).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Of the coordinator's own database, as it lies on disk."""
        with closing(sqlite3.connect(self.folder / "data" / "tabgrid.db")) as database:
            return database.execute(query, values).fetchall()


class Users:
    """Ask the same questions again and again, and hold every answer against the truth."""

    def __init__(self, grid: TrustGrid, workshop: Workshop, inputs: dict[str, list[Any]]) -> None:
        self.jobs: list[Asked] = []
        self._grid = grid
        self._workshop = workshop
        self._inputs = inputs
        self._truths: dict[tuple[str, int], Any] = {}

    async def ask(self, model: str, count: int, among: Sequence[int] = ()) -> list[Asked]:
        """``count`` jobs of one user, of these inputs by turns, or of all; what became of them."""
        return await self._ask(model, islice(self._turns(model, among), count))

    async def ask_until(
        self, model: str, enough: Callable[[Sequence[Asked]], bool], most: int = 1_000
    ) -> list[Asked]:
        """Jobs of one user until ``enough`` of those that have ended: who gets which of them
        is nobody's to say."""

        def turns() -> Iterator[int]:
            for number in islice(self._turns(model), most):
                if enough(self.jobs):
                    return
                yield number
            raise AssertionError(f"{most} jobs were not enough")

        return await self._ask(model, turns())

    def _turns(self, model: str, among: Sequence[int] = ()) -> Iterator[int]:
        return cycle(among or range(len(self._inputs[model])))

    async def _ask(self, model: str, turns: Iterator[int], at_a_time: int = 2) -> list[Asked]:
        """No faster than references check: how many lies go out while one of them is looked at
        must not depend on the machine."""
        client = await self._grid.new_user()
        asked: list[Asked] = []

        async def one() -> None:
            for number in turns:
                await self._grid.until_references_are_idle()
                done = await self._asked(client, model, number)
                asked.append(done)
                self.jobs.append(done)

        async with client:
            await asyncio.gather(*(one() for _ in range(at_a_time)))
        return asked

    async def _asked(self, client: httpx.AsyncClient, model: str, number: int) -> Asked:
        input = self._inputs[model][number]
        body = {"model": model, "input": msgspec.to_builtins(input)}
        answer = await client.post("/api/jobs", json=body, headers={"Prefer": f"wait={WAIT_S}"})
        assert answer.status_code == 200, answer.text
        job = answer.json()
        truth = await self._truth(model, number)
        distance, threshold = None, 0.0
        if job["state"] == "done":
            kind = connector_of(self._workshop.manifest(model).connector).Output
            output = msgspec.convert(job["output"], kind)
            distance, threshold = _compared(self._workshop, model, truth, output)
        return Asked(job["id"], model, job["state"], job["wallet"] or "", distance, threshold)

    async def _truth(self, model: str, number: int) -> Any:
        if (model, number) not in self._truths:
            truth = await self._workshop.truth(model, self._inputs[model][number])
            self._truths[model, number] = truth
        return self._truths[model, number]


def _compared(workshop: Workshop, model: str, truth: Any, output: Any) -> tuple[float, float]:
    found = workshop.compare(model, truth, output)
    return found.distance, found.threshold

"""A whole grid for a test: chain, coordinator, and native nodes when asked for."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.programs import Program, Programs, free_port

#: A test that waits asks many times a second, which no limit for strangers allows.
POLLING = "100000"


@dataclass
class Grid:
    """What `tabgrid demo` runs, each program at hand so that a test can stop or kill it.

    `settings` is TOML that is merged over the demo's; `database` a PostgreSQL URL, else SQLite.
    """

    folder: Path
    settings: str = ""
    database: str = ""
    port: int = field(default_factory=free_port)
    chain_port: int = field(default_factory=free_port)
    nodes: list[Program] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.programs = Programs(self.folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def rpc(self) -> str:
        return f"http://127.0.0.1:{self.chain_port}"

    def start(self, nodes: int = 0) -> Grid:
        self.chain = self.start_chain()
        self.chain.ready()
        self.coordinator = self.start_coordinator()
        self.coordinator.ready()
        started = [self.start_node(f"node-{number}") for number in range(nodes)]
        for node in started:
            node.ready()
        return self

    def until_chain_is_open(self) -> None:
        """Pages are served at once; the treasury is opened meanwhile."""
        until = time.monotonic() + 60
        while "claims are open" not in self.coordinator.text():
            assert time.monotonic() < until, self.coordinator.text()
            time.sleep(0.05)

    def start_chain(self) -> Program:
        where = ("--port", str(self.chain_port), "--data", str(self.folder / "chain"))
        return self.programs.tabgrid("localnet", "localnet", *where)

    def start_coordinator(self, **env: str) -> Program:
        """Again after a kill, it goes on with the same data folder and port."""
        where = ["--port", str(self.port), "--data", str(self.folder / "data"), "--rpc", self.rpc]
        if self.settings:
            file = self.folder / "tabgrid.toml"
            file.write_text(self.settings)
            where += ["--settings", str(file)]
        if self.database:
            env = {"TABGRID_SERVER_DATABASE": self.database, **env}
        env = {"TABGRID_LIMITS_PUBLIC_REQUESTS_PER_MINUTE": POLLING, **env}
        return self.programs.tabgrid("coordinator", "serve", *where, "--demo", **env)

    def start_node(self, name: str, *grids: str) -> Program:
        """A native node for these grids; none named: ``text``."""
        chosen = [part for grid in grids or ("text",) for part in ("--grid", grid)]
        wallet = ("--keypair", str(self.folder / f"{name}.keypair.json"), "--create")
        node = self.programs.tabgrid(name, "node", *wallet, "--url", self.url, *chosen)
        self.nodes.append(node)
        return node

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Its first node takes jobs and answers none."""
        node = self.nodes[0]
        node.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            node.signal(signal.SIGCONT)

    def client(self, **options: Any) -> httpx.Client:
        """HTTP to the coordinator; no proxy of the machine stands between."""
        return httpx.Client(base_url=self.url, trust_env=False, timeout=60, **options)

    def make_key(self, label: str = "test") -> str:
        """A new API key with the grid's demo credit."""
        with self.client() as client:
            answer = client.post("/api/keys", json={"label": label})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])

    def stop(self) -> None:
        self.programs.stop()

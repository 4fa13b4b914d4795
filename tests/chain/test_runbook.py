"""Every command of the runbook, in its order, on a local chain that three RPCs stand before."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
from click.testing import CliRunner
from solders.pubkey import Pubkey

from tabgrid_server.chain import transport
from tabgrid_server.chain.rpc import Rpc
from tabgrid_server.cli.main import tabgrid
from tests.support.programs import Programs

RUNBOOK = Path(__file__).resolve().parents[2] / "server/tabgrid_server/docs/runbook.md"
GRID = """
[server]
port = 0
[grids.text]
title = "Text"
description = "For the runbook."
models = ["all-MiniLM-L6-v2"]
price_per_unit = 1000
"""
SETS = re.compile(r"(?:export )?([A-Z]+)=(.*)")


class Shell:
    """As much of one as the runbook uses: variables, what a command prints, programs that run."""

    def __init__(self, folder: Path, rpc: str, programs: Programs) -> None:
        self.folder = folder
        self.values = {"RPC": rpc}
        self.printed: list[tuple[str, str]] = []
        self._programs = programs
        self._serving = 0

    def run(self, line: str) -> None:
        if sets := SETS.fullmatch(line):
            name, value = sets.groups()
            if value.startswith("$("):
                self.values[name] = self._tabgrid(value[2:-1])
            return  # an address of the reader's own: RPC
        self._tabgrid(line)

    def _tabgrid(self, line: str) -> str:
        words = shlex.split(Template(line).substitute(self.values))
        assert words[0] == "tabgrid", line
        if words[1] == "serve":
            return self._serve(words[1:])
        done = CliRunner().invoke(tabgrid, words[1:])
        assert done.exit_code == 0, f"{line}: {done.output}"
        self.printed.append((line, done.output))
        return done.stdout.strip()

    def _serve(self, words: list[str]) -> str:
        self._programs.stop()
        self._serving += 1
        data = ("--data", str(self.folder / "data"))
        server = self._programs.tabgrid(f"serve-{self._serving}", *words, *data)
        server.ready()
        return ""


def blocks(kind: str) -> list[tuple[int, str]]:
    text = RUNBOOK.read_text("utf-8")
    return [(m.start(), m[1]) for m in re.finditer(rf"```{kind}\n(.*?)```", text, re.DOTALL)]


@pytest.fixture
def shell(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    chain = programs.tabgrid("chain", "localnet", "--port", "0", "--slot-ms", "50")
    url = chain.ready()["url"]
    monkeypatch.setattr(transport, "TRY_S", 60.0)  # a busy machine is no failing RPC
    monkeypatch.setattr(transport, "GRACE_S", 5.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TABGRID_SERVER_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    own = Programs(tmp_path)
    yield Shell(tmp_path, f"{url},{url}/?two,{url}/?three", own)
    own.stop()


def test_the_runbook(shell: Shell) -> None:
    steps = sorted([(at, "sh", text) for at, text in blocks("sh")] + [
        (at, "toml", text) for at, text in blocks("toml")
    ])  # fmt: skip
    for _, kind, text in steps:
        if kind == "toml":
            _write_settings(shell, text, "hot.json")
            continue
        for line in text.splitlines():
            shell.run(line)
            _between(shell, line)
    said = [output for line, output in shell.printed if line.endswith("status")]
    assert all("20,000.000000 TGT  (20,000,000,000)" in output for output in said)
    assert "claims       are paid" in said[0]
    assert "paused: the breaker tripped" in said[1]
    assert "claims       are paid" in said[-1]
    assert shell.values["OWNER"] in said[-1]


def _between(shell: Shell, line: str) -> None:
    """What the runbook tells the reader to do by hand."""
    if line.startswith("HOT="):
        asyncio.run(_send_sol(shell.values["RPC"], shell.values["PAYER"], shell.values["HOT"]))
    if "treasury open" in line or " open $MINT" in line:
        told = dict(re.findall(r'^(\w+) = "?([^"\n]+)"?$', shell.printed[-1][1], re.MULTILINE))
        assert told["mint"] == shell.values["MINT"]
        shell.values["TREASURY"] = told["treasury"]
    if line.endswith("hot-2.json"):
        ((_, toml),) = blocks("toml")
        _write_settings(shell, toml, "hot-2.json")


def _write_settings(shell: Shell, toml: str, hot: str) -> None:
    rpcs = ", ".join(f'"{url}"' for url in shell.values["RPC"].split(","))
    text = Template(toml).substitute(shell.values).replace('"hot.json"', f'"{hot}"')
    text = re.sub(r"rpc = \[.*\]", f"rpc = [{rpcs}]", text)
    assert "mainnet" in text
    (shell.folder / "grid.toml").write_text(GRID + text)


async def _send_sol(rpc: str, *addresses: str) -> None:
    async with Rpc(rpc) as chain:
        for address in addresses:
            await chain.airdrop(Pubkey.from_string(address), 20_000_000)

"""`tabgrid localnet` as a program: ready file, clean end, and a chain that lasts."""

from __future__ import annotations

import signal
from pathlib import Path

from solders.keypair import Keypair

from tabgrid_server.chain.rpc import Rpc
from tests.support.programs import Programs

from .conftest import SOL


async def test_what_happened_before_a_kill_is_there_after_it(
    programs: Programs, tmp_path: Path
) -> None:
    keys = [Keypair().pubkey() for _ in range(2)]
    for number, (key, how) in enumerate(zip(keys, (signal.SIGKILL, signal.SIGTERM), strict=True)):
        where = ("--port", "0", "--data", str(tmp_path / "chain"))
        program = programs.tabgrid(f"chain-{number}", "localnet", *where)
        async with Rpc(program.ready()["url"]) as rpc:
            await rpc.airdrop(key, SOL)
            assert [await rpc.balance(each) for each in keys] == [SOL, SOL * number]
        program.signal(how)
        assert program.ended() == (-signal.SIGKILL if how == signal.SIGKILL else 0)


async def test_a_port_that_is_taken_is_said_in_a_sentence(programs: Programs) -> None:
    url = programs.tabgrid("first", "localnet", "--port", "0").ready()["url"]
    second = programs.tabgrid("second", "localnet", "--port", url.rpartition(":")[2])
    assert second.ended() == 1
    assert "Cannot serve on port" in second.text()
    assert "Traceback" not in second.text()

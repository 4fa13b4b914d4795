"""The hot key outside this process: a program that signs, and how it may fail."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest
import uvloop
from msgspec.structs import replace
from solders.keypair import Keypair

from tabgrid_server.chain.keys import KeyFileError, load
from tabgrid_server.chain.localnet.machine import FINALITY
from tabgrid_server.chain.refusals import SignerUnavailable
from tabgrid_server.chain.signers import CommandSigner, KeySigner, open_signer, secret_of
from tabgrid_server.chain.treasury import ensure_local_treasury
from tabgrid_server.settings import Chain, Secret

from .conftest import World

UNIT = 10**6

#: What an operator writes: reads the message, asks whatever keeps the key, prints.
SIGN = """
import json, sys
from solders.keypair import Keypair
key = Keypair.from_bytes(bytes(json.load(open(sys.argv[1]))))
print(key.sign_message(sys.stdin.buffer.read()))
"""


class Program:
    """A signer command whose behaviour a test changes while it is in use."""

    def __init__(self, folder: Path, keypair: Keypair) -> None:
        self.file = folder / "signer.py"
        self.key = folder / "kept by the signer.json"
        self.key.write_text(str(list(bytes(keypair))))
        self.address = keypair.pubkey()
        self.does(SIGN)

    def does(self, text: str) -> None:
        self.file.write_text(text)

    @property
    def line(self) -> str:
        return f"{sys.executable} '{self.file}' '{self.key}'"

    def signer(self, timeout: float = 30) -> CommandSigner:
        command = (sys.executable, str(self.file), str(self.key))
        return CommandSigner(self.address, command, timeout)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path, Keypair())


async def test_a_program_signs_as_the_key_would(program: Program) -> None:
    signer, key = program.signer(), load(program.key)
    assert await signer.sign(b"\x00\xff") == await KeySigner(key).sign(b"\x00\xff")
    assert await secret_of(signer) == await secret_of(KeySigner(key))
    assert "Signer" in repr(signer)


BROKEN = {
    "ended with status 3": "import sys; sys.exit(3)",
    "printed no signature": "print('sorry')",
    "printed more than": "while True: print('x' * 1000)",
    "signed with another key": "from solders.keypair import Keypair; import sys\n"
    "print(Keypair().sign_message(sys.stdin.buffer.read()))",
    "or other bytes": SIGN.replace("read()", "read() + b'.'"),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_whatever_else_it_does_is_one_error(program: Program, what: str) -> None:
    program.does(BROKEN[what])
    with pytest.raises(SignerUnavailable) as failed:
        await program.signer().sign(b"message")
    assert what in failed.value.why
    assert "try again" in str(failed.value), "people are not told more"


def test_one_that_has_ended_before_it_is_asked_is_one_error_too(program: Program) -> None:
    """In the coordinator's own loop, where a pipe whose reader is gone refuses what is written."""
    signer = CommandSigner(program.address, ("true",), 60)

    async def ask() -> list[object]:
        asked = (signer.sign(b"message") for _ in range(50))
        return await asyncio.gather(*asked, return_exceptions=True)

    told = uvloop.run(ask())
    assert [each for each in told if not isinstance(each, SignerUnavailable)] == []


async def test_one_that_hangs_is_ended_with_all_that_it_started(program: Program) -> None:
    note = program.file.with_name("still there")
    program.does(
        "import subprocess, sys, time\n"
        f"subprocess.Popen(['sh', '-c', 'sleep 3; touch \"{note}\"'])\n"
        "time.sleep(60)"
    )
    began = time.monotonic()
    with pytest.raises(SignerUnavailable) as failed:
        await program.signer(timeout=1).sign(b"message")
    assert "did not answer within 1 s" in failed.value.why
    assert time.monotonic() - began < 30
    await asyncio.sleep(4)
    assert not note.exists()


#: It leaves something behind in a session of its own, which holds its output open.
LEAVES_ONE = """
import subprocess
subprocess.Popen(["sleep", "60"], start_new_session=True)
"""


async def test_what_it_leaves_behind_does_not_hold_a_payment_up(program: Program) -> None:
    program.does(LEAVES_ONE)
    async with asyncio.timeout(50):  # until the one left behind ends, if we waited for it
        with pytest.raises(SignerUnavailable) as failed:
            await program.signer(timeout=2).sign(b"message")
    assert "did not answer within 2 s" in failed.value.why


async def test_a_signer_that_is_never_the_same_is_refused(program: Program) -> None:
    class Moody(KeySigner):
        count = 0

        async def sign(self, message: bytes):  # type: ignore[no-untyped-def]
            self.count += 1
            return await super().sign(message + bytes([self.count]))

    with pytest.raises(KeyFileError, match="RFC 8032"):
        await secret_of(Moody(Keypair()))


async def test_our_own_settings_are_not_for_the_program(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABGRID_SERVER_DATABASE", "postgresql://secret@db")
    program.does("import os, sys; sys.exit('TABGRID_SERVER_DATABASE' in os.environ)\n")
    with pytest.raises(SignerUnavailable) as failed:
        await program.signer().sign(b"message")
    assert "printed no signature" in failed.value.why, "it ended with status 0"


@pytest.mark.parametrize("world", ["sqlite"], indirect=True)
async def test_claims_are_paid_by_a_program_and_wait_while_it_fails(
    world: World, program: Program
) -> None:
    world.settings = replace(
        world.settings, hot_signer=program.line, hot_address=str(program.address), hot_signer_s=30
    )
    hot = open_signer(world.settings, world.data)
    folder = world.data / "another grid"
    world.treasury = await ensure_local_treasury(world.rpc, folder, hot=hot)
    world.service = world.new_service()
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    program.does("import sys; sys.exit(1)")
    with pytest.raises(SignerUnavailable):
        await world.signed(claim, wallet)
    assert await world.state(claim) == "reserved"
    program.does(SIGN)
    await world.signed(claim, wallet)
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.tokens(wallet) == 5 * UNIT
    assert not (folder / "keys" / "hot.json").exists(), "this process never had the key"


def test_the_key_may_stand_in_the_environment(tmp_path: Path) -> None:
    key = Keypair()
    for text in (str(key), str(list(bytes(key))), f" {key}\n"):
        signer = open_signer(Chain(hot_secret=Secret(text)), tmp_path)
        assert signer.pubkey() == key.pubkey()
        assert str(key) not in repr((signer, Chain(hot_secret=Secret(text))))
    with pytest.raises(KeyFileError, match="not several"):
        open_signer(Chain(hot_secret=Secret(str(key)), hot_keypair="x"), tmp_path)
    with pytest.raises(KeyFileError, match=r"chain\.hot_address"):
        open_signer(Chain(hot_signer="sign"), tmp_path)
    with pytest.raises(KeyFileError, match="no command"):
        open_signer(Chain(hot_signer="sign '", hot_address=str(key.pubkey())), tmp_path)
    with pytest.raises(KeyFileError, match=r"chain\.hot_secret holds no keypair") as refused:
        open_signer(Chain(hot_secret=Secret(str(key)[:-5])), tmp_path)
    assert str(key)[:20] not in str(refused.value)
    assert refused.value.__cause__ is None

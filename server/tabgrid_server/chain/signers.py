"""Who signs for the hot key: a keypair in this process, or a program that keeps the key.

The program is asked once for each signature: the message's bytes on standard input, the
signature in base58 on standard output. It may stand before a hardware key or a key service;
this process then never sees the key. Nothing that it prints is believed, or logged.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast

import structlog
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from ..settings import Chain
from . import keys
from .keys import KeyFileError
from .markers import DOMAIN, secret_from
from .panics import foreign
from .refusals import SignerUnavailable
from .transactions import AnyMessage

log = structlog.get_logger("tabgrid.signers")

#: A signature has 88 characters at most; a program that says more is not one of these.
ANSWER = 256
#: Programs at a time: each is a process, and a burst of claims must not fork a hundred.
PROGRAMS = 4
#: File descriptors of a process, by their standard numbers.
STDIN, STDOUT = 0, 1


class Signer(Protocol):
    def pubkey(self) -> Pubkey: ...

    async def sign(self, message: bytes) -> Signature:
        """Raises ``SignerUnavailable``."""
        ...


class KeySigner:
    """A keypair in memory."""

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair
        self._address = keypair.pubkey()  # solders computes it anew each time

    def __repr__(self) -> str:
        return f"KeySigner({self.pubkey()})"

    def pubkey(self) -> Pubkey:
        return self._address

    async def sign(self, message: bytes) -> Signature:
        return self._keypair.sign_message(message)


class _Program(asyncio.SubprocessProtocol):
    """What a signer prints, and whether it has ended.

    Not ``asyncio``'s streams: their ``wait`` also waits for the end of what was printed. It comes
    never once a program has printed more than they take at a time, nor while something that the
    program left behind holds its output open; and the payment would wait for ever with it.
    """

    def __init__(self) -> None:
        self.said = bytearray()
        #: It has said all, or too much.
        self.told = asyncio.Event()
        self.exited = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.said += data[: ANSWER + 1 - len(self.said)]
        if len(self.said) > ANSWER:
            self.told.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == STDOUT:
            self.told.set()

    def process_exited(self) -> None:
        self.exited.set()


class CommandSigner:
    """A program that signs for ``address``. ``timeout`` in seconds, for each signature."""

    def __init__(self, address: Pubkey, command: Sequence[str], timeout: float) -> None:
        self._address = address
        self._command = tuple(command)
        self._timeout = timeout
        self._places = asyncio.Semaphore(PROGRAMS)

    def __repr__(self) -> str:
        return f"CommandSigner({self._address})"

    def pubkey(self) -> Pubkey:
        return self._address

    async def sign(self, message: bytes) -> Signature:
        async with self._places:
            said = await self._run(message)
        with foreign(lambda reason: self._unavailable("printed no signature in base58")):
            signature = Signature.from_string(said.decode().strip())
        if not signature.verify(self._address, message):
            raise self._unavailable(f"signed with another key than {self._address}, or other bytes")
        return signature

    async def _run(self, message: bytes) -> bytes:
        transport, program = await self._started()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._ask(transport, program, message)
        except TimeoutError:
            raise self._unavailable(f"did not answer within {self._timeout:g} s") from None
        finally:
            # Whatever it started has gone with it, also when we were the ones who gave up.
            with suppress(ProcessLookupError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            await program.exited.wait()
            transport.close()

    async def _started(self) -> tuple[asyncio.SubprocessTransport, _Program]:
        try:
            return await asyncio.get_running_loop().subprocess_exec(
                _Program,
                *self._command,
                # What it complains of may quote what it keeps: it is not for our logs.
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise self._unavailable(f"cannot be started ({error.strerror})") from error

    async def _ask(
        self, transport: asyncio.SubprocessTransport, program: _Program, message: bytes
    ) -> bytes:
        stdin = cast(asyncio.WriteTransport, transport.get_pipe_transport(STDIN))
        # One that does not read says so by its exit status. Where it has closed the pipe by now,
        # asyncio's loop says nothing, and uvloop that the pipe is closed.
        with suppress(RuntimeError):
            stdin.write(message)
        stdin.close()
        await program.told.wait()
        if len(program.said) > ANSWER:
            raise self._unavailable(f"printed more than {ANSWER} bytes")
        await program.exited.wait()
        if status := transport.get_returncode():
            raise self._unavailable(f"ended with status {status}")
        return bytes(program.said)

    def _unavailable(self, what: str) -> SignerUnavailable:
        why = f"The signer {Path(self._command[0]).name} {what}."
        log.warning("the hot key cannot sign", why=why)
        return SignerUnavailable(why)


def _environment() -> dict[str, str]:
    """Ours without our settings: the database's password is not for another program."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TABGRID_")}


def open_signer(settings: Chain, data: Path) -> Signer:
    """The hot key as ``settings`` have it; DATA/keys/hot.json where they say nothing.

    Raises ``KeyFileError``.
    """
    given = [settings.hot_signer, settings.hot_secret.reveal(), settings.hot_keypair]
    if sum(map(bool, given)) > 1:
        raise KeyFileError(
            "Give one of chain.hot_signer, chain.hot_secret and chain.hot_keypair, not several."
        )
    if settings.hot_signer:
        return _command(settings)
    if settings.hot_secret:
        return KeySigner(keys.parse(settings.hot_secret.reveal(), "chain.hot_secret"))
    file = Path(settings.hot_keypair) if settings.hot_keypair else data / "keys" / "hot.json"
    return KeySigner(keys.load(file))


def _command(settings: Chain) -> CommandSigner:
    try:
        command = shlex.split(settings.hot_signer)
    except ValueError as error:
        raise KeyFileError(f"chain.hot_signer is no command: {error}.") from error
    if not settings.hot_address or not command:
        raise KeyFileError("chain.hot_signer needs chain.hot_address, the address it signs for.")
    with foreign(lambda reason: KeyFileError("chain.hot_address is no address.")):
        address = Pubkey.from_string(settings.hot_address)
    return CommandSigner(address, command, settings.hot_signer_s)


async def signed(message: AnyMessage, signers: Sequence[Signer]) -> VersionedTransaction:
    """``message`` with the signatures of ``signers``, in the order of its accounts.

    Raises ``SignerUnavailable``.
    """
    raw = to_bytes_versioned(message)
    return VersionedTransaction.populate(message, [await each.sign(raw) for each in signers])


async def secret_of(hot: Signer) -> bytes:
    """What the addresses of payments' marks follow from (see ``markers``).

    Raises ``SignerUnavailable``, and ``KeyFileError`` for a signer that would find no mark again.
    """
    first, again = [await hot.sign(DOMAIN) for _ in range(2)]
    if first != again:
        raise KeyFileError(
            f"The signer of {hot.pubkey()} signs the same bytes differently each time. Payments "
            "are marked by what it signs, so it must sign as RFC 8032 says."
        )
    return secret_from(bytes(first))

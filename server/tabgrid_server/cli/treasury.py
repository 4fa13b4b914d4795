"""`tabgrid treasury`: what the grid can pay, and who lets it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from .. import settings as config
from ..chain import approvals
from ..chain.approvals import ApprovalError, Draft
from ..chain.keys import KeyFileError, load
from ..chain.panics import foreign
from ..chain.refusals import SignerUnavailable
from ..chain.report import TreasuryReport, report
from ..chain.rpc import Rpc, RpcError
from ..chain.treasury import Treasury, TreasuryError, approval, find_treasury, landed
from ..store import Store, StoreError, breaker
from . import founding

T = TypeVar("T")


@click.group()
@click.option("--settings", "file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The grid's folder.")
@click.option("--database", help="SQLAlchemy URL.  [default: SQLite in the data folder]")
@click.option("--rpc", multiple=True, help="JSON-RPC of the chain that the treasury is on.")
@click.pass_context
def treasury(
    context: click.Context,
    file: Path | None,
    data: Path | None,
    database: str | None,
    rpc: tuple[str, ...],
) -> None:
    """Show what the grid can pay, approve and revoke it, reset the breaker."""
    flags = {"data": data and str(data), "database": database}
    given = {name: value for name, value in flags.items() if value is not None}
    overrides: dict[str, dict[str, Any]] = {"server": given, "chain": {"rpc": rpc} if rpc else {}}
    try:
        context.obj = config.load(file, os.environ, overrides)
    except config.SettingsError as error:
        raise click.ClickException(str(error)) from error


@treasury.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.pass_obj
def status(settings: config.Settings, as_json: bool) -> None:
    """Show what is left, what is owed, and whether payouts are stopped."""

    async def ask(rpc: Rpc, found: Treasury) -> TreasuryReport:
        return await _with_store(settings, lambda s: report(s, rpc, found, settings.chain))

    told = _run(_with_treasury(settings, ask))
    click.echo(msgspec.json.encode(told) if as_json else told.lines(settings.chain))


@treasury.command()
@click.argument("amount", type=click.IntRange(1))
@click.option("--owner-keypair", type=click.Path(path_type=Path, dir_okay=False), help="Sign and "
              "send now, with the key of the treasury's owner.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file "
              "instead, for `tabgrid treasury sign` on a machine without a network.")  # fmt: skip
@click.option("--signer", "signers", multiple=True, help="Who of a multisig will sign; once each.")
@click.option("--fee-payer", help="Who pays the network.  [default: the owner, or first signer]")
@click.pass_obj
def approve(settings: config.Settings, /, amount: int, **how: Any) -> None:
    """Let the hot key pay AMOUNT base units, in all, from now on.

    What is left of an earlier approval is replaced, not added to: to refill, approve what is
    left and the refill together (see `tabgrid treasury status`).
    """
    shown = f"let the hot key pay {amount:,} base units of {settings.chain.symbol} in all"
    _change(settings, shown, how, lambda t, owner, signers: approval(t, owner, amount, signers))


@treasury.command()
@click.option("--owner-keypair", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--signer", "signers", multiple=True)
@click.option("--fee-payer")
@click.pass_obj
def revoke(settings: config.Settings, /, **how: Any) -> None:
    """Let the hot key pay nothing any more: claims pause at once. Options as for approve."""
    shown = f"let the hot key pay no {settings.chain.symbol} any more"
    _change(settings, shown, how, approvals.forbid)


@treasury.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--keypair", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask.")
def sign(file: Path, keypair: Path, yes: bool) -> None:
    """Add a signature to FILE. Needs no network."""
    try:
        paper = approvals.read(file)
        click.echo(f"This transaction will {paper.does}.", err=True)
        if not yes:
            click.confirm("Sign it?", abort=True, err=True)
        paper = approvals.sign(paper, load(keypair))
        approvals.write(paper, file)
    except (ApprovalError, KeyFileError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(_missing(paper) or f"Everybody has signed: tabgrid treasury send {file}")


@treasury.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def send(settings: config.Settings, file: Path) -> None:
    """Send FILE once all have signed it, and wait until the chain has it."""

    async def work() -> str:
        paper = approvals.read(file)
        if paper.missing:
            raise ApprovalError(_missing(paper))
        async with Rpc(_url(settings)) as rpc:
            if (await rpc.height()).height > paper.last_valid_height:
                raise ApprovalError(f"{file} is too old: a transaction is good for about a minute.")
            return await landed(rpc, await rpc.send(bytes(paper.parsed)))

    click.echo(f"Done, in transaction {_run(work())}.")


@treasury.command()
@click.option("--note", required=True, help="What you found, for whoever looks next.")
@click.pass_obj
def reset(settings: config.Settings, note: str) -> None:
    """Close the breaker: claims go on, and the caps count from now."""
    symbol, now = settings.chain.symbol, time.time()
    done = _run(_with_store(settings, lambda s: s.write(breaker.reset, symbol, note, now)))
    if not done:
        raise click.ClickException("The breaker is not tripped; there is nothing to reset.")
    click.echo("Claims go on.")


@treasury.command()
@click.option("--reason", required=True, help="Why, for whoever looks next.")
@click.pass_obj
def stop(settings: config.Settings, reason: str) -> None:
    """Trip the breaker by hand: no claim is co-signed until `tabgrid treasury reset`."""
    symbol, now = settings.chain.symbol, time.time()
    _run(_with_store(settings, lambda s: s.write(breaker.trip, symbol, reason, now)))
    click.echo("Claims are paused.")


for command in founding.COMMANDS:
    treasury.add_command(command)


def _change(
    settings: config.Settings,
    does: str,
    how: dict[str, Any],
    step: Callable[[Treasury, Pubkey, list[Pubkey]], Instruction],
) -> None:
    if (how["owner_keypair"] is None) == (how["out"] is None):
        raise click.UsageError("Give either --owner-keypair, to sign now, or --out FILE.")

    async def work(rpc: Rpc, found: Treasury) -> str:
        owner = (await found.status(rpc)).owner
        signers = [_address("--signer", each) for each in how["signers"]]
        payer = signers[0] if signers else owner
        if how["fee_payer"]:
            payer = _address("--fee-payer", how["fee_payer"])
        blockhash = await rpc.blockhash()
        last = blockhash.last_valid_height
        paper = approvals.draft(step(found, owner, signers), payer, blockhash.hash, last, does)
        if how["out"] is not None:
            approvals.write(paper, how["out"])
            return f"{_missing(paper)}: tabgrid treasury sign {how['out']} --keypair FILE"
        signed = approvals.sign(paper, load(how["owner_keypair"]))
        if signed.missing:
            raise ApprovalError(f"{_missing(signed)} too; use --out for several signers.")
        return f"Done, in transaction {await landed(rpc, await rpc.send(bytes(signed.parsed)))}."

    click.echo(_run(_with_treasury(settings, work)))


def _missing(paper: Draft) -> str:
    names = " and ".join(str(key) for key in paper.missing)
    return f"To be signed by {names}" if names else ""


def _address(option: str, text: str) -> Pubkey:
    with foreign(lambda reason: click.BadParameter(f"{option}: {text} is no address.")):
        return Pubkey.from_string(text)


def _url(settings: config.Settings) -> str | tuple[str, ...]:
    if not settings.chain.rpc:
        raise ApprovalError("Which chain is the treasury on? Give --rpc URL.")
    return settings.chain.rpc


async def _with_treasury(
    settings: config.Settings, work: Callable[[Rpc, Treasury], Awaitable[T]]
) -> T:
    async with Rpc(_url(settings)) as rpc:
        return await work(rpc, await find_treasury(rpc, settings.chain, settings.data))


async def _with_store(settings: config.Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    store = await Store.open(settings.database)
    try:
        return await work(store)
    finally:
        await store.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except SignerUnavailable as error:
        raise click.ClickException(error.why) from error
    except (ApprovalError, KeyFileError, RpcError, StoreError, TreasuryError) as error:
        raise click.ClickException(str(error)) from error

"""`tabgrid treasury`: what the grid can pay, and who lets it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
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
from ..chain.report import TreasuryReport, report
from ..chain.rpc import Rpc
from ..chain.treasury import Treasury, approval, find_treasury, landed
from ..store import breaker
from . import founding
from .own_chain import with_rpc
from .own_grid import chain_group, open_store, with_store

T = TypeVar("T")


@chain_group
def treasury() -> None:
    """Show what the grid can pay, approve and revoke it, reset the breaker."""


@treasury.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.pass_obj
def status(settings: config.Settings, as_json: bool) -> None:
    """Show what is left, what is owed, and whether payouts are stopped."""

    async def ask(rpc: Rpc, found: Treasury) -> TreasuryReport:
        async with open_store(settings) as store:
            return await report(store, rpc, found, settings.chain)

    told = _with_treasury(settings, ask)
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

    async def work(rpc: Rpc) -> str:
        paper = approvals.read(file)
        if paper.missing:
            raise ApprovalError(_missing(paper))
        if (await rpc.height()).height > paper.last_valid_height:
            raise ApprovalError(f"{file} is too old: a transaction is good for about a minute.")
        return await landed(rpc, await rpc.send(bytes(paper.parsed)))

    click.echo(f"Done, in transaction {with_rpc(settings, work)}.")


@treasury.command()
@click.option("--note", required=True, help="What you found, for whoever looks next.")
@click.pass_obj
def reset(settings: config.Settings, note: str) -> None:
    """Close the breaker: claims go on, and the caps count from now."""
    symbol, now = settings.chain.symbol, time.time()
    done = with_store(settings, lambda s: s.write(breaker.reset, symbol, note, now))
    if not done:
        raise click.ClickException("The breaker is not tripped; there is nothing to reset.")
    click.echo("Claims go on.")


@treasury.command()
@click.option("--reason", required=True, help="Why, for whoever looks next.")
@click.pass_obj
def stop(settings: config.Settings, reason: str) -> None:
    """Trip the breaker by hand: no claim is co-signed until `tabgrid treasury reset`."""
    symbol, now = settings.chain.symbol, time.time()
    with_store(settings, lambda s: s.write(breaker.trip, symbol, reason, now))
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

    click.echo(_with_treasury(settings, work))


def _missing(paper: Draft) -> str:
    names = " and ".join(str(key) for key in paper.missing)
    return f"To be signed by {names}" if names else ""


def _address(option: str, text: str) -> Pubkey:
    with foreign(lambda reason: click.BadParameter(f"{option}: {text} is no address.")):
        return Pubkey.from_string(text)


def _with_treasury(settings: config.Settings, work: Callable[[Rpc, Treasury], Awaitable[T]]) -> T:
    async def found(rpc: Rpc) -> T:
        return await work(rpc, await find_treasury(rpc, settings.chain, settings.data))

    return with_rpc(settings, found)

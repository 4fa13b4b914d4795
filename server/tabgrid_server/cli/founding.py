"""`tabgrid treasury keypair|mint|multisig|open`: what a treasury is made of, once.

Each prints what the next needs and nothing else, so that it can stand in a script.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from spl.token.constants import MINT_LEN, MULTISIG_LEN, TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID
from spl.token.instructions import get_associated_token_address

from .. import settings as config
from ..chain import founding
from ..chain.keys import KeyFileError, load, load_or_create
from ..chain.panics import foreign
from ..chain.rpc import Rpc, RpcUnavailable
from ..chain.treasury import payable_mint, run
from .own_chain import with_rpc

#: A cluster takes about 13 s; a minute is one that has trouble.
_POLL_S, _POLLS = 0.5, 120

_payer = click.option(
    "--payer",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keypair file with SOL for rent and fees; it has no say later.",
)
_newer = click.option("--token-2022", is_flag=True, help="Of the Token-2022 program.")


def address(text: str) -> Pubkey:
    """Of an option or argument."""
    with foreign(lambda reason: click.BadParameter(f"{text} is no address.")):
        return Pubkey.from_string(text)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def keypair(file: Path) -> None:
    """Make a keypair in FILE, if there is none, and print its address. Needs no network."""
    try:
        click.echo(load_or_create(file).pubkey())
    except (KeyFileError, OSError) as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.argument("supply", type=click.IntRange(1, 2**64 - 1))
@click.option("--owner", required=True, type=address, help="Who gets all of it: the owner of "
              "the treasury.")  # fmt: skip
@click.option("--decimals", default=6, show_default=True, type=click.IntRange(0, 9))
@click.option("--authority", type=address, help="Who may make more later.  [default: nobody]")
@_newer
@_payer
@click.pass_obj
def mint(
    settings: config.Settings,
    supply: int,
    owner: Pubkey,
    decimals: int,
    authority: Pubkey | None,
    token_2022: bool,
    payer: Path,
) -> None:
    """Make a token with SUPPLY base units, all in OWNER's account; print the mint's address."""
    made, program = Keypair(), _program(token_2022)

    async def work(rpc: Rpc) -> Pubkey:
        pays, rent = load(payer), await rpc.rent(MINT_LEN)
        steps = founding.mint(
            program, made.pubkey(), pays.pubkey(), owner,
            decimals=decimals, supply=supply, rent=rent, authority=authority,
        )  # fmt: skip
        await _final(rpc, await run(rpc, steps, [pays, made]))
        return made.pubkey()

    click.echo(with_rpc(settings, work))


@click.command()
@click.argument("of", type=click.IntRange(1, founding.MEMBERS))
@click.argument("members", nargs=-1, required=True, type=address)
@_newer
@_payer
@click.pass_obj
def multisig(
    settings: config.Settings, of: int, members: tuple[Pubkey, ...], token_2022: bool, payer: Path
) -> None:
    """Make an owner for which OF of the MEMBERS must sign, and print its address."""
    made, program = Keypair(), _program(token_2022)

    async def work(rpc: Rpc) -> Pubkey:
        pays, rent = load(payer), await rpc.rent(MULTISIG_LEN)
        try:
            steps = founding.multisig(program, made.pubkey(), pays.pubkey(), members, of, rent)
        except ValueError as error:
            raise click.UsageError(f"{error}.") from error
        await _final(rpc, await run(rpc, steps, [pays, made]))
        return made.pubkey()

    click.echo(with_rpc(settings, work))


@click.command("open")
@click.argument("mint", type=address)
@click.option("--owner", required=True, type=address, help="A cold key or a multisig.")
@_payer
@click.pass_obj
def open_account(settings: config.Settings, mint: Pubkey, owner: Pubkey, payer: Path) -> None:
    """Check that a grid can pay in MINT, open OWNER's account for it, and print both for the
    settings' [chain] section."""

    async def work(rpc: Rpc) -> str:
        found, pays = await payable_mint(rpc, mint), load(payer)
        step = founding.token_account(found.program, mint, pays.pubkey(), owner)
        await _final(rpc, await run(rpc, [step], [pays]))
        account = get_associated_token_address(owner, mint, found.program)
        return f'mint = "{mint}"\ntreasury = "{account}"\ndecimals = {found.decimals}'

    click.echo(with_rpc(settings, work))


COMMANDS = (keypair, mint, multisig, open_account)


async def _final(rpc: Rpc, txid: str) -> None:
    """Wait until no fork can undo it, so that the next command finds it."""
    for _ in range(_POLLS):
        (status,) = (await rpc.statuses([txid])).values
        if status is not None and status.commitment == "finalized":
            return
        await asyncio.sleep(_POLL_S)
    raise RpcUnavailable(f"Transaction {txid} is on chain and not final yet. Look again later.")


def _program(token_2022: bool) -> Pubkey:
    return TOKEN_2022_PROGRAM_ID if token_2022 else TOKEN_PROGRAM_ID

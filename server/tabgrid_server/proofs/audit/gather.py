"""Reading everything that an audit needs, in an order that a grid at work cannot upset.

The statement is of one moment of the books, after a slot that it names. What the chain has up
to that slot must be in those books; what those books call paid must be on chain by the time
that the chain is read, which is later. The treasury's balance has a slot of its own, up to
which payments are taken off what is owed.
"""

from __future__ import annotations

from solders.pubkey import Pubkey

from ...chain import memos
from ...chain.memos import Published
from ...chain.panics import foreign
from ...chain.rpc import Rpc, RpcError
from ..statement import NotSigned, Statement, verify
from .evidence import Evidence, Money
from .grid import GridError, GridReader
from .payments import payments


class NotAudited(Exception):
    """Nothing was proved either way; the text says what was missing."""


async def gather(rpc: Rpc, grid: GridReader) -> Evidence:
    """Raises ``NotAudited``."""
    try:
        return await _gather(rpc, grid)
    except RpcError as error:
        raise NotAudited(f"The chain: {error}") from error
    except GridError as error:
        raise NotAudited(f"The grid: {error}") from error
    except NotSigned as error:
        raise NotAudited(f"The grid's statement: {error}") from error


async def _gather(rpc: Rpc, grid: GridReader) -> Evidence:
    attestation = await grid.attestation()
    statement = verify(attestation)
    # At once: a grid keeps the balances of a few statements only.
    balances = await grid.balances(attestation.signature)
    with foreign(lambda reason: NotSigned(f"Its treasury is no address: {reason}.")):
        treasury = Pubkey.from_string(statement.treasury)
    published = await _published(rpc, treasury, statement)
    numbers = sorted({each.memo.epoch for each in published})
    leaves = {number: await grid.leaves(number) for number in numbers}
    # An epoch may be newer than the statement.
    corrected = max((each.head.count for each in leaves.values() if each.head), default=0)
    newest = max((told.seq for each in leaves.values() for told in each.receipts), default=0)
    return Evidence(
        attestation=attestation,
        statement=statement,
        genesis=await rpc.genesis(),
        money=await _money(rpc, treasury),
        published=published,
        leaves=leaves,
        pending=await grid.receipts(newest, statement.seq),
        balances=balances,
        corrections=await grid.corrections(max(corrected, statement.corrections)),
        payments=await payments(rpc, treasury, statement.keys),
        # After the receipts: none of them is then of a day that these do not know.
        draws=await grid.draws(),
        # Before the checks: what is given up first and checked later is then known as checked.
        given_up=await grid.given_up(),
        checks=await grid.checks(),
    )


async def _published(rpc: Rpc, treasury: Pubkey, statement: Statement) -> list[Published]:
    found = [each async for each in memos.published(rpc, treasury, statement.keys)]
    return found[::-1]


async def _money(rpc: Rpc, treasury: Pubkey) -> Money | None:
    account, slot = await rpc.final_token_account(treasury)
    if account is None:
        return None
    delegate = None if account.delegate is None else str(account.delegate)
    return Money(slot, account.amount, str(account.mint), delegate)

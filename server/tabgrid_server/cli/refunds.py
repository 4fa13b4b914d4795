"""`tabgrid deposits refund`: unused credit back to the wallet that paid, by the operator.

A process of its own beside a running grid, or alone: what it sets aside, signs and sends is in
the store first, so whoever dies, the other one brings the refund to its end, and once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import click
import msgspec

from .. import settings as config
from ..chain.claims import Claim
from ..chain.deposits import Share
from ..chain.keys import KeyFileError
from ..chain.refusals import ChainUnavailable, SignerUnavailable
from ..chain.rpc import Rpc, RpcError
from ..chain.service import ClaimService
from ..chain.treasury import TreasuryError, find_treasury
from ..errors import GridError
from ..observe import configure_logs
from ..store import Store, StoreError, StoreUnavailable, keys
from ..store import claims as stored_claims
from ..store import deposits as stored
from ..store import ledger as stored_ledger
from .amounts import money
from .own_grid import open_store, rpc_option

#: Between two looks at a refund that is under way.
POLL_S = 0.5
#: The hot key signs at once where it can; a refund that still waits then needs a person.
SIGNED_WITHIN_S = 30.0
#: The same amount to the same wallet within this may be a command that was given twice.
TWICE_S = 24 * 3_600.0

GIVEN = "was given, not paid in, and cannot be paid out"
NO_PAYER = (
    "came from no wallet that is known (its tokens were newly made), and nobody named one for "
    "refunds"
)


class RefundError(Exception):
    """It cannot be given back, or not so; the text says why."""


class Refunder:
    """``say`` takes a line for the operator; ``shown`` writes an amount."""

    def __init__(
        self,
        store: Store,
        token: str,
        owner: str,
        say: Callable[[str], None],
        shown: Callable[[int], str],
    ) -> None:
        self._store = store
        self._token = token
        self.owner = owner
        self._say = say
        self._shown = shown

    async def plan(self, amount: int | None, wallet: str | None, again: bool) -> list[Share]:
        """What goes back to which wallets. Raises ``RefundError``."""
        shares = await self._store.read(stored.shares, self.owner, self._token)
        shares = tuple(each for each in shares if wallet in (None, each.wallet))
        most = sum(each.amount for each in shares)
        if not most:
            raise RefundError(await self._why_nothing(wallet))
        if amount is not None and amount > most:
            raise RefundError(
                f"Only {self._shown(most)} can go back; {self._shown(amount)} were asked for."
            )
        planned = _spread(shares, amount)
        if amount is not None and not again:
            await self._not_twice(planned)
        return planned

    async def under_way(self) -> list[Claim]:
        """Refunds of the owner that are not over."""
        found = await self._store.read(stored_claims.of_owner, self.owner)
        return [each for each in found if not each.over and each.token == self._token]

    async def _why_nothing(self, wallet: str | None) -> str:
        credit = await self._store.read(stored_ledger.credit, self.owner, self._token)
        came = await self._store.read(stored.of_owner, self.owner, self._token, 1_000)
        nothing = f"There is nothing to give back to {self.owner}"
        if not came:
            return f"{nothing}: nothing was paid in."
        if not credit.available:
            return f"{nothing}: all credit was spent, is held for jobs, or went back."
        unused = self._shown(credit.available)
        payers = {each.refund_to for each in came if each.refund_to}
        if wallet is not None and wallet not in payers:
            return f"{wallet} paid nothing in for {self.owner}, and is not named for refunds."
        return f"{nothing}: their {unused} of credit {GIVEN if payers else NO_PAYER}."

    async def _not_twice(self, planned: Sequence[Share]) -> None:
        since = time.time() - TWICE_S
        for each in await self._store.read(stored_claims.of_owner, self.owner):
            lately = each.state == "finalized" and each.updated_at > since
            if lately and Share(each.wallet, each.amount) in planned:
                raise RefundError(
                    f"{self._shown(each.amount)} went back to {each.wallet} within the last day, "
                    f"in transaction {each.txid}. If as much is to go back once more: --again."
                )

    # --- with the chain --------------------------------------------------------------------

    async def finish(self, service: ClaimService, waiting: Sequence[Claim]) -> bool:
        """Bring refunds that are under way to their end; whether there were any.

        Raises ``RefundError`` for one that waits for its user.
        """
        found = False
        for each in waiting:
            claim = await service.take_up(each)
            if not claim.over and not claim.pushed:
                raise RefundError(_users_own(self._shown(claim.amount), claim))
            if claim.over and not each.pushed:
                continue  # nobody signed it in time: it is credit again
            self._say(f"A refund of {self._shown(claim.amount)} is under way already.")
            await self._follow(service, claim)
            found = True
        return found

    async def pay(self, service: ClaimService, share: Share) -> None:
        """Raises ``RefundError``, ``GridError``."""
        await self._follow(service, await service.refund(share.wallet, self.owner, share.amount))

    async def _follow(self, service: ClaimService, claim: Claim) -> None:
        began, told = time.monotonic(), ""
        while not claim.over:
            if claim.state == "reserved" and time.monotonic() - began > SIGNED_WITHIN_S:
                raise RefundError(_not_signed(service))
            if claim.txid and not told:
                told = claim.txid
                self._say(f"Sent {self._shown(claim.amount)} to {claim.wallet}, in {told}")
            try:
                await service.step()
            except (RpcError, StoreUnavailable, ChainUnavailable) as error:
                self._say(f"It waits: {getattr(error, 'why', error)}")
            claim = await service.get(claim.id) or claim
            if not claim.over:
                await asyncio.sleep(POLL_S)
        if claim.state != "finalized":
            raise RefundError(f"Nothing went back; it is credit again. {claim.error}")
        self._say(f"{self._shown(claim.amount)} went back to {claim.wallet}: {claim.txid} is final")


def _spread(shares: Sequence[Share], amount: int | None) -> list[Share]:
    """``amount`` over the wallets, newest deposits first; None is all of it."""
    left = sum(each.amount for each in shares) if amount is None else amount
    planned = []
    for each in shares:
        part = min(left, each.amount)
        left -= part
        if part:
            planned.append(Share(each.wallet, part))
    return planned


def _users_own(shown: str, claim: Claim) -> str:
    if claim.state == "reserved":
        return (
            f"The user's own refund of {shown} waits for their wallet's signature. If it does not "
            "come, that is credit again within two minutes: ask again then."
        )
    return f"The user's own refund of {shown} is on its way. Ask again once it is final."


def _not_signed(service: ClaimService) -> str:
    why = service.paused or "the hot key does not sign, or has too little SOL for the network"
    return (
        f"The refund is set aside and not signed: {why}. A running grid signs it once it can; "
        "unsigned it is credit again after ten minutes. Give the same command to go on with it."
    )


@click.command()
@click.argument("who", metavar="KEY_OR_OWNER")
@click.option("--amount", type=click.IntRange(1), help="Base units.  [default: all that can go "
              "back]")  # fmt: skip
@click.option("--wallet", help="Only what this one of several wallets paid.")
@rpc_option
@click.option("--again", is_flag=True, help="Pay although as much went back lately.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def refund(
    settings: config.Settings,
    who: str,
    amount: int | None,
    wallet: str | None,
    rpc: tuple[str, ...],
    again: bool,
    yes: bool,
) -> None:
    """Give unused credit back to the wallet that paid it in, and wait until that is final.

    KEY_OR_OWNER is a key's id or its owner's. The grid pays the network, nothing is kept, and
    nobody has to sign. A command that was cut off goes on where it was when it is given again.
    """
    configure_logs("console", "error")  # what happens is said in words
    if rpc:
        settings = config.replace(settings, chain={"rpc": rpc})
    try:
        asyncio.run(_refund(settings, who, amount, wallet, again, yes))
    except SignerUnavailable as error:
        raise click.ClickException(error.why) from error
    except (
        GridError, KeyFileError, RefundError, RpcError, StoreError, TreasuryError,
    ) as error:  # fmt: skip
        raise click.ClickException(str(error)) from error


async def _refund(
    settings: config.Settings,
    who: str,
    amount: int | None,
    wallet: str | None,
    again: bool,
    yes: bool,
) -> None:
    if not settings.chain.rpc:
        raise RefundError("Which chain is the treasury on? Give --rpc URL.")
    async with open_store(settings) as store:
        owner = await owner_of(store, who)
        symbol = settings.chain.symbol
        refunder = Refunder(store, symbol, owner, click.echo, lambda n: money(settings, n))
        async with Rpc(settings.chain.rpc) as chain:
            service = await _service(settings, store, chain)
            if await refunder.finish(service, await refunder.under_way()):
                return
            planned = await refunder.plan(amount, wallet, again)
            for each in planned:
                click.echo(f"{money(settings, each.amount)} goes back to {each.wallet}")
            if not yes:
                click.confirm("Pay it?", abort=True)
            for each in planned:
                await refunder.pay(service, each)


async def _service(settings: config.Settings, store: Store, chain: Rpc) -> ClaimService:
    treasury = await find_treasury(chain, settings.chain, settings.data)
    at_once = msgspec.structs.replace(settings.chain, push_wait_s=0)
    return ClaimService(store, chain, treasury, at_once)


async def owner_of(store: Store, who: str) -> str:
    """The owner who is meant by a key's id or their own. Raises ``RefundError``."""
    listed = await store.read(keys.listing)
    found = next((each.owner for each in listed if who in (each.id, each.owner)), None)
    if found is None:
        raise RefundError(f"{who} is neither a key nor an owner; see `tabgrid keys list`.")
    return found

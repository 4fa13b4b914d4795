"""The account that claims are paid from, and the bounded delegate that pays.

The treasury's token account belongs to a cold key. The hot key, which this process holds, is
only its delegate: it can move at most what was approved. ``ensure_local_treasury`` makes all
of it on a local chain; on a cluster an operator does, and ``open_treasury`` reads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction
from spl.token.constants import MINT_LEN, TOKEN_PROGRAM_ID
from spl.token.instructions import (
    approve_checked,
    create_idempotent_associated_token_account,
    get_associated_token_address,
    initialize_mint2,
    mint_to_checked,
)
from spl.token.models import ApproveCheckedParams, InitializeMint2Params, MintToCheckedParams

from ..settings import Chain
from .keys import load, load_or_create
from .markers import Marker, marker, secret_of
from .panics import foreign
from .rpc import Rpc, RpcUnavailable

#: Whole tokens. Enough to play with for long; the allowance shows that it is bounded.
SUPPLY, ALLOWANCE = 1_000_000, 10_000
#: Lamports for the cold key: rent of two accounts and many fees.
COLD_LAMPORTS = 10 * 10**9
#: Lamports for the hot key: it pays the fees of giving rent back, six marks at a time.
HOT_LAMPORTS = 10**9
#: How often, and for how long, a transaction of ours on the local chain is asked after.
_POLL_S, _POLLS = 0.05, 200


class TreasuryError(Exception):
    """The treasury cannot be used; the text says what is wrong and what helps."""


class TreasuryStatus(msgspec.Struct, frozen=True):
    """``balance`` and ``allowance`` in base units; what can be paid is the smaller."""

    balance: int
    allowance: int
    #: A cold key, or an SPL multisig.
    owner: Pubkey

    @property
    def payable(self) -> int:
        return min(self.balance, self.allowance)


class Treasury(msgspec.Struct, frozen=True):
    """What paying needs to know. ``hot`` is a secret: it never goes into a log."""

    mint: Pubkey
    decimals: int
    token_program: Pubkey
    account: Pubkey
    hot: Keypair

    def __repr__(self) -> str:
        return f"Treasury({self.account}, mint {self.mint}, delegate {self.hot.pubkey()})"

    def marker(self, wallet: Pubkey, seq: int) -> Marker:
        """What payment number ``seq`` to ``wallet`` leaves on chain."""
        return marker(secret_of(self.hot), self.hot.pubkey(), wallet, self.mint, seq)

    async def status(self, rpc: Rpc) -> TreasuryStatus:
        """Raises ``TreasuryError`` if the account is not there, ``RpcError``."""
        account = await rpc.token_account(self.account)
        if account is None or account.mint != self.mint:
            raise TreasuryError(f"{self.account} is no token account of mint {self.mint}.")
        ours = account.delegate == self.hot.pubkey()
        allowance = account.delegated if ours else 0
        return TreasuryStatus(account.amount, allowance, account.owner)


async def open_treasury(rpc: Rpc, settings: Chain, data: Path) -> Treasury:
    """The treasury that ``settings`` name; on a local chain without one, a new one.

    Raises ``TreasuryError``, ``KeyFileError``, ``RpcError``.
    """
    if not settings.mint and settings.cluster == "localnet":
        return await ensure_local_treasury(rpc, data, settings.decimals)
    hot = load(Path(settings.hot_keypair) if settings.hot_keypair else data / "keys" / "hot.json")
    with foreign(lambda reason: TreasuryError(f"chain.mint or chain.treasury: {reason}.")):
        address, account = Pubkey.from_string(settings.mint), Pubkey.from_string(settings.treasury)
    mint = await rpc.mint(address)
    if mint is None:
        raise TreasuryError(f"chain.mint {address} is no token mint on this cluster.")
    if mint.program != TOKEN_PROGRAM_ID:
        raise TreasuryError("Tokens of the Token-2022 program are not supported yet.")
    if mint.decimals != settings.decimals:
        raise TreasuryError(f"chain.decimals must be {mint.decimals} for this mint.")
    treasury = Treasury(address, mint.decimals, mint.program, account, hot)
    await treasury.status(rpc)
    return treasury


async def find_treasury(rpc: Rpc, settings: Chain, data: Path) -> Treasury:
    """The treasury as it is: nothing is made or approved on a local chain either.

    Raises ``TreasuryError``, ``KeyFileError``, ``RpcError``.
    """
    if settings.mint or settings.cluster != "localnet":
        return await open_treasury(rpc, settings, data)
    keys = data / "keys"
    treasury = _local(load(keys / "cold.json"), load(keys / "mint.json"), load(keys / "hot.json"))
    treasury = msgspec.structs.replace(treasury, decimals=settings.decimals)
    await treasury.status(rpc)
    return treasury


async def ensure_local_treasury(rpc: Rpc, data: Path, decimals: int = 6) -> Treasury:
    """Make whatever is missing: keys (in ``data``/keys), mint, account, supply, approval.

    Safe to call at every start, also after a start that was killed halfway. An approval that
    was revoked stays so.
    """
    keys = data / "keys"
    cold, mint = load_or_create(keys / "cold.json"), load_or_create(keys / "mint.json")
    hot = load_or_create(keys / "hot.json")
    treasury = msgspec.structs.replace(_local(cold, mint, hot), decimals=decimals)
    if await rpc.balance(cold.pubkey()) < COLD_LAMPORTS // 10:
        await landed(rpc, await rpc.airdrop(cold.pubkey(), COLD_LAMPORTS))
    if await rpc.balance(hot.pubkey()) < HOT_LAMPORTS // 10:
        await landed(rpc, await rpc.airdrop(hot.pubkey(), HOT_LAMPORTS))
    approve = approval(treasury, cold.pubkey(), ALLOWANCE * 10**decimals)
    if await rpc.mint(mint.pubkey()) is None:
        steps = await _issue(rpc, treasury, cold.pubkey())
        await run(rpc, [*steps, approve], [cold, mint])
    elif 0 < (await treasury.status(rpc)).allowance < ALLOWANCE * 10**decimals // 2:
        await run(rpc, [approve], [cold])
    return treasury


def _local(cold: Keypair, mint: Keypair, hot: Keypair) -> Treasury:
    account = get_associated_token_address(cold.pubkey(), mint.pubkey())
    return Treasury(mint.pubkey(), 6, TOKEN_PROGRAM_ID, account, hot)


def approval(
    treasury: Treasury, owner: Pubkey, amount: int, signers: Sequence[Pubkey] = ()
) -> Instruction:
    """Let the hot key pay ``amount`` base units; what was approved before is replaced.

    ``signers``: of the multisig, where ``owner`` is one.
    """
    return approve_checked(
        ApproveCheckedParams(
            program_id=treasury.token_program,
            source=treasury.account,
            mint=treasury.mint,
            delegate=treasury.hot.pubkey(),
            owner=owner,
            amount=amount,
            decimals=treasury.decimals,
            signers=list(signers),
        )
    )


async def run(rpc: Rpc, steps: Sequence[Instruction], signers: Sequence[Keypair]) -> str:
    """Send a transaction of our own, paid by the first signer, and see it confirmed.

    Raises ``TreasuryError`` if it fails, ``RpcUnavailable`` if it is not seen in time.
    """
    blockhash = Hash.from_string((await rpc.blockhash()).hash)
    message = MessageV0.try_compile(signers[0].pubkey(), list(steps), [], blockhash)
    transaction = VersionedTransaction(message, list(signers))
    return await landed(rpc, await rpc.send(bytes(transaction)))


async def landed(rpc: Rpc, txid: str) -> str:
    """Wait until a transaction of our own is confirmed; its id.

    Raises ``TreasuryError`` if it fails, ``RpcUnavailable`` if it is not seen in time.
    """
    for _ in range(_POLLS):
        (status,) = (await rpc.statuses([txid])).values
        if status is not None and status.commitment != "processed":
            if status.error is not None:
                raise TreasuryError(f"Transaction {txid} failed: {status.error}")
            return txid
        await asyncio.sleep(_POLL_S)
    raise RpcUnavailable(f"Transaction {txid} did not arrive.")


async def _issue(rpc: Rpc, treasury: Treasury, cold: Pubkey) -> list[Instruction]:
    """Mint, account and supply, for one transaction: all of them or none."""
    rent = await rpc.rent(MINT_LEN)
    mint, program, decimals = treasury.mint, treasury.token_program, treasury.decimals
    return [
        create_account(
            CreateAccountParams(
                from_pubkey=cold, to_pubkey=mint, lamports=rent, space=MINT_LEN, owner=program
            )
        ),
        initialize_mint2(
            InitializeMint2Params(
                decimals=decimals, program_id=program, mint=mint, mint_authority=cold
            )
        ),
        create_idempotent_associated_token_account(payer=cold, owner=cold, mint=mint),
        mint_to_checked(
            MintToCheckedParams(
                program_id=program,
                mint=mint,
                dest=treasury.account,
                mint_authority=cold,
                amount=SUPPLY * 10**decimals,
                decimals=decimals,
                signers=[],
            )
        ),
    ]

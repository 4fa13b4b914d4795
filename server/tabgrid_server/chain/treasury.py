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
from .extensions import BORNE_BY_ACCOUNTS, BORNE_BY_MINTS, TransferFee, objections
from .keys import load, load_or_create
from .markers import Marker, marker
from .panics import foreign
from .rpc import Rpc, RpcUnavailable
from .signers import KeySigner, Signer, open_signer, secret_of
from .tokens import Mint

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
    """What paying needs to know."""

    mint: Pubkey
    decimals: int
    token_program: Pubkey
    account: Pubkey
    hot: Signer
    #: What the addresses of payments' marks follow from; secret too.
    secret: bytes
    #: What the token itself keeps of each payment, as it was at the start; None: nothing.
    fee: TransferFee | None = None

    def __repr__(self) -> str:
        return f"Treasury({self.account}, mint {self.mint}, delegate {self.hot.pubkey()})"

    def marker(self, wallet: Pubkey, seq: int) -> Marker:
        """What payment number ``seq`` to ``wallet`` leaves on chain."""
        return marker(self.secret, self.hot.pubkey(), wallet, self.mint, seq)

    async def keeps(self, rpc: Rpc, amount: int) -> int | None:
        """Base units that the token itself keeps of a payment of ``amount`` right now; None
        for a token that keeps nothing. Raises ``RpcError``."""
        if self.fee is None:
            return None
        mint = await rpc.mint(self.mint)
        if mint is None or mint.fee is None:
            raise RpcUnavailable(f"The RPC does not know mint {self.mint} any more.")
        return mint.fee.at(await rpc.epoch()).of(amount)

    async def status(self, rpc: Rpc) -> TreasuryStatus:
        """Raises ``TreasuryError`` if the account is not there, ``RpcError``."""
        account = await rpc.token_account(self.account)
        if account is None or account.mint != self.mint:
            raise TreasuryError(f"{self.account} is no token account of mint {self.mint}.")
        if account.frozen:
            raise TreasuryError(f"The treasury {self.account} is frozen by the token's issuer.")
        _refuse(f"Treasury {self.account}", account.extensions, BORNE_BY_ACCOUNTS)
        ours = account.delegate == self.hot.pubkey()
        allowance = account.delegated if ours else 0
        return TreasuryStatus(account.amount, allowance, account.owner)


async def open_treasury(rpc: Rpc, settings: Chain, data: Path) -> Treasury:
    """The treasury that ``settings`` name; on a local chain without one, a new one.

    Raises ``TreasuryError``, ``KeyFileError``, ``RpcError``.
    """
    if not settings.mint and settings.cluster == "localnet":
        hot = open_signer(settings, data) if settings.hot_given else None
        return await ensure_local_treasury(rpc, data, settings.decimals, hot)
    signer = open_signer(settings, data)
    with foreign(lambda reason: TreasuryError(f"chain.mint or chain.treasury: {reason}.")):
        address, account = Pubkey.from_string(settings.mint), Pubkey.from_string(settings.treasury)
    mint = await payable_mint(rpc, address)
    if mint.decimals != settings.decimals:
        raise TreasuryError(f"chain.decimals must be {mint.decimals} for this mint.")
    treasury = Treasury(
        mint=address,
        decimals=mint.decimals,
        token_program=mint.program,
        account=account,
        hot=signer,
        secret=await secret_of(signer),
        fee=mint.fee,
    )
    await treasury.status(rpc)
    return treasury


async def payable_mint(rpc: Rpc, address: Pubkey) -> Mint:
    """The mint, if a grid can pay in it. Raises ``TreasuryError`` with the reason, ``RpcError``."""
    mint = await rpc.mint(address, final=True)
    if mint is None:
        raise TreasuryError(f"{address} is no token mint on this cluster, as far as is final.")
    _refuse(f"Mint {address}", mint.extensions, BORNE_BY_MINTS)
    return mint


def _refuse(what: str, extensions: frozenset[int], borne: frozenset[int]) -> None:
    if told := objections(extensions, borne):
        raise TreasuryError(f"{what} cannot be used: {' '.join(told)}")


async def find_treasury(rpc: Rpc, settings: Chain, data: Path) -> Treasury:
    """The treasury as it is: nothing is made or approved on a local chain either.

    Raises ``TreasuryError``, ``KeyFileError``, ``RpcError``.
    """
    if settings.mint or settings.cluster != "localnet":
        return await open_treasury(rpc, settings, data)
    keys = data / "keys"
    cold, mint = load(keys / "cold.json"), load(keys / "mint.json")
    treasury = await _local(cold, mint, open_signer(settings, data), settings.decimals)
    await treasury.status(rpc)
    return treasury


async def ensure_local_treasury(
    rpc: Rpc, data: Path, decimals: int = 6, hot: Signer | None = None
) -> Treasury:
    """Make whatever is missing: keys (in ``data``/keys), mint, account, supply, approval.

    Safe to call at every start, also after a start that was killed halfway. An approval that
    was revoked stays so.
    """
    keys = data / "keys"
    cold, mint = load_or_create(keys / "cold.json"), load_or_create(keys / "mint.json")
    hot = hot or KeySigner(load_or_create(keys / "hot.json"))
    treasury = await _local(cold, mint, hot, decimals)
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


async def _local(cold: Keypair, mint: Keypair, hot: Signer, decimals: int) -> Treasury:
    account = get_associated_token_address(cold.pubkey(), mint.pubkey())
    secret = await secret_of(hot)
    return Treasury(mint.pubkey(), decimals, TOKEN_PROGRAM_ID, account, hot, secret)


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

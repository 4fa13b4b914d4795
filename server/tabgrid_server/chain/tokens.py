"""Token accounts and mints, of both token programs; what accounts hold around a transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey
from spl.token.constants import ACCOUNT_LEN, MINT_LEN, TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from . import extensions
from .extensions import TransferFee

TOKEN_PROGRAMS = (TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID)
#: Where an account of Token-2022 says what it is, when it is longer than the plain layout.
_KIND_MINT, _KIND_ACCOUNT = 1, 2


class TokenAccount(msgspec.Struct, frozen=True):
    """The fields of a token account that matter here; amounts in base units."""

    mint: Pubkey
    owner: Pubkey
    amount: int
    delegate: Pubkey | None
    delegated: int
    program: Pubkey
    frozen: bool = False
    #: Kinds of its extensions.
    extensions: frozenset[int] = frozenset()


class Mint(msgspec.Struct, frozen=True):
    """``fee``: what it keeps of each transfer. ``extensions``: their kinds."""

    supply: int
    decimals: int
    program: Pubkey
    extensions: frozenset[int] = frozenset()
    fee: TransferFee | None = None


class TokenBalance(msgspec.Struct, frozen=True):
    index: int
    account: TokenAccount
    decimals: int


class Balances(msgspec.Struct, frozen=True):
    lamports: list[int]
    tokens: list[TokenBalance]


def balances_of(keys: Sequence[Pubkey], account: Callable[[Pubkey], Account | None]) -> Balances:
    """Balances of ``keys``, by their place in the message."""
    lamports, tokens = [], []
    for index, key in enumerate(keys):
        found = account(key)
        lamports.append(found.lamports if found else 0)
        token = token_account(found) if found else None
        if token is not None:
            home = account(token.mint)
            mint = read_mint(home) if home else None
            tokens.append(TokenBalance(index, token, mint.decimals if mint else 0))
    return Balances(lamports, tokens)


def token_account(account: Account) -> TokenAccount | None:
    """The account as a token account; None if it is none, or not initialised."""
    if account.owner not in TOKEN_PROGRAMS:  # before its data is copied: a program's is long
        return None
    data = account.data
    if not _is(data, ACCOUNT_LEN, _KIND_ACCOUNT):
        return None
    more = extensions.read(data)
    if data[108] == 0 or more is None:
        return None
    delegate = Pubkey.from_bytes(data[76:108]) if data[72:76] == b"\x01\0\0\0" else None
    return TokenAccount(
        mint=Pubkey.from_bytes(data[0:32]),
        owner=Pubkey.from_bytes(data[32:64]),
        amount=int.from_bytes(data[64:72], "little"),
        delegate=delegate,
        delegated=int.from_bytes(data[121:129], "little") if delegate else 0,
        program=account.owner,
        frozen=data[108] == 2,
        extensions=frozenset(more),
    )


def read_mint(account: Account) -> Mint | None:
    """The account as a mint; None if it is none, or not initialised."""
    data = account.data
    if account.owner not in TOKEN_PROGRAMS or not _is(data, MINT_LEN, _KIND_MINT):
        return None
    more = extensions.read(data)
    if data[45] == 0 or more is None:
        return None
    kept = more.get(extensions.TRANSFER_FEE)
    fee = None if kept is None else extensions.read_transfer_fee(kept)
    if kept is not None and fee is None:
        return None
    supply = int.from_bytes(data[36:44], "little")
    return Mint(supply, data[44], account.owner, frozenset(more), fee)


def _is(data: bytes, size: int, kind: int) -> bool:
    if len(data) == size:
        return True
    return len(data) > ACCOUNT_LEN and data[ACCOUNT_LEN] == kind

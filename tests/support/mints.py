"""Mints of Token-2022 with each of its extensions, made by the real program's instructions.

The bytes are those of spl-token-2022's own client; a mint made with wrong ones is refused by
the program, so that none of these can be a mint that only looks like one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from spl.token.constants import TOKEN_2022_PROGRAM_ID
from spl.token.instructions import initialize_mint2
from spl.token.models import InitializeMint2Params

#: Where the extensions of a mint begin: after a token account's length and one byte.
BASE = 166
#: A curve point that ElGamal keys may be: the base point of ristretto255.
POINT = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")

Start = Callable[[Pubkey, Pubkey], tuple[int, bytes]]


class Extension(msgspec.Struct, frozen=True):
    """How one is begun, before its mint is. ``sizes``: of the extensions that it needs."""

    name: str
    sizes: tuple[int, ...]
    starts: tuple[Start, ...]
    #: After the mint is initialised: its metadata, its group.
    ends: tuple[Callable[[Pubkey, Pubkey], Instruction], ...] = ()
    #: Bytes that ``ends`` add, for which rent must be there.
    grows: int = 0


def _begin(code: int, *parts: bytes) -> Start:
    return lambda mint, authority: (code, b"".join(parts))


def fee(bps: int, most: int) -> Extension:
    """A transfer fee in hundredths of a percent, of at most ``most`` base units."""

    def start(mint: Pubkey, authority: Pubkey) -> tuple[int, bytes]:
        who = b"\1" + bytes(authority)
        return 26, b"\0" + who + who + struct.pack("<HQ", bps, most)

    return Extension("transfer fee", (108,), (start,))


def _named(code: int, *rest: bytes) -> Start:
    """Begun with the authority's address."""
    return lambda mint, authority: (code, b"\0" + bytes(authority) + b"".join(rest))


def _pointer(code: int) -> Start:
    return lambda mint, authority: (code, b"\0" + bytes(authority) + bytes(mint))


def _interface(name: str) -> bytes:
    return sha256(name.encode()).digest()[:8]


def _metadata(mint: Pubkey, authority: Pubkey) -> Instruction:
    texts = (b"Tabgrid Token", b"TGT", b"https://grid.example/token.json")
    data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    accounts = [
        AccountMeta(mint, False, True),
        AccountMeta(authority, False, False),
        AccountMeta(mint, False, False),
        AccountMeta(authority, True, False),
    ]
    head = _interface("spl_token_metadata_interface:initialize_account")
    return Instruction(TOKEN_2022_PROGRAM_ID, head + data, accounts)


def _group(mint: Pubkey, authority: Pubkey) -> Instruction:
    accounts = [
        AccountMeta(mint, False, True),
        AccountMeta(mint, False, False),
        AccountMeta(authority, True, False),
    ]
    head = _interface("spl_token_group_interface:initialize_token_group")
    data = head + bytes(authority) + struct.pack("<Q", 10)
    return Instruction(TOKEN_2022_PROGRAM_ID, data, accounts)


_CONFIDENTIAL = _named(27, b"\1", POINT)

EXTENSIONS: dict[str, Extension] = {
    each.name: each
    for each in (
        fee(100, 10**12),
        Extension("close authority", (32,), (lambda m, a: (25, b"\1" + bytes(a)),)),
        Extension("confidential transfer", (65,), (_CONFIDENTIAL,)),
        Extension("default frozen", (1,), (_begin(28, b"\0\2"),)),
        Extension("default initialized", (1,), (_begin(28, b"\0\1"),)),
        Extension("non-transferable", (0,), (_begin(32),)),
        Extension("interest", (52,), (_named(33, struct.pack("<h", 500)),)),
        Extension("permanent delegate", (32,), (lambda m, a: (35, bytes(a)),)),
        Extension("transfer hook", (64,), (lambda m, a: (36, b"\0" + bytes(a) + bytes(m)),)),
        Extension(
            "confidential transfer fee",
            (65, 108, 129),
            (_CONFIDENTIAL, *fee(100, 10**12).starts, _named(37, POINT)),
        ),
        Extension("metadata", (64,), (_pointer(39),), (_metadata,), 200),
        Extension("group", (64,), (_pointer(40),), (_group,), 84),
        Extension("group member", (64,), (_pointer(41),)),
        Extension(
            "confidential mint and burn",
            (65, 196),
            (_CONFIDENTIAL, lambda m, a: (42, b"\0" + POINT + bytes(36))),
        ),
        Extension("scaled amounts", (56,), (_named(43, struct.pack("<d", 2.0)),)),
        Extension("pausable", (33,), (_named(44),)),
    )
}


def issue(
    mint: Pubkey,
    authority: Pubkey,
    rent: Callable[[int], int],
    extensions: Sequence[Extension] = (),
    decimals: int = 6,
) -> list[Instruction]:
    """Create ``mint`` with these extensions; ``authority`` pays and may do everything."""
    sizes = [size for each in extensions for size in each.sizes]
    space = BASE + sum(4 + size for size in sizes) if sizes else 82
    lamports = rent(space + sum(each.grows for each in extensions))
    program = TOKEN_2022_PROGRAM_ID
    begun = [start(mint, authority) for each in extensions for start in each.starts]
    return [
        create_account(
            CreateAccountParams(
                from_pubkey=authority, to_pubkey=mint, lamports=lamports, space=space, owner=program
            )
        ),
        *(
            Instruction(program, bytes([code]) + data, [AccountMeta(mint, False, True)])
            for code, data in begun
        ),
        initialize_mint2(
            InitializeMint2Params(
                decimals=decimals,
                program_id=program,
                mint=mint,
                mint_authority=authority,
                freeze_authority=authority,
            )
        ),
        *(end(mint, authority) for each in extensions for end in each.ends),
    ]


def require_memos(account: Pubkey, owner: Keypair, payer: Pubkey) -> list[Instruction]:
    """Make ``account`` take transfers only with a memo before them."""
    system = Pubkey.default()
    grow = [
        AccountMeta(account, False, True),
        AccountMeta(payer, True, True),
        AccountMeta(system, False, False),
        AccountMeta(owner.pubkey(), True, False),
    ]
    enable = [AccountMeta(account, False, True), AccountMeta(owner.pubkey(), True, False)]
    return [
        Instruction(TOKEN_2022_PROGRAM_ID, bytes([29]) + struct.pack("<H", 8), grow),
        Instruction(TOKEN_2022_PROGRAM_ID, bytes([30, 0]), enable),
    ]

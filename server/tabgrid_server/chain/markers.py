"""The mark that a payment leaves on chain, so that it cannot be made again. Pure.

A wallet's payments are numbered: 0, 1, 2 … The transaction that makes payment n also creates
an account at an address that follows from the wallet and n. The chain refuses to create an
account that is there, so the same number is paid once, whatever the books say by then: a
database restored from an old backup, two coordinators that do not know of each other, an RPC
that lied about a transaction's end. No program of our own is needed.

The address follows from a secret too. Whoever could guess it could send a lamport there
first, and the payment would never work.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM
from solders.system_program import (
    CreateAccountWithSeedParams,
    TransferWithSeedParams,
    create_account_with_seed,
    transfer_with_seed,
)

#: Lamports that keep an account without data for ever; they come back.
RENT = 890_880
#: Bytes of a seed that the system program takes at most.
_SEED = 32
#: What the hot key signs to make the secret. As a transaction it would be none.
DOMAIN = b"tabgrid: secret of the claim markers, version 1"


class Marker(msgspec.Struct, frozen=True):
    """``address`` is ``seed`` under the hot key."""

    address: Pubkey
    seed: str


def secret_from(signature: bytes) -> bytes:
    """The secret is the hot key's signature of a fixed text, so whoever has the key needs
    nothing else to find every mark again; Ed25519 signs the same text the same way."""
    return hashlib.sha256(signature).digest()


@lru_cache(4_096)  # asked for several times for each payment
def marker(secret: bytes, hot: Pubkey, wallet: Pubkey, mint: Pubkey, seq: int) -> Marker:
    """Of payment number ``seq`` of ``mint`` to ``wallet``."""
    named = bytes(wallet) + bytes(mint) + seq.to_bytes(8, "little")
    seed = hmac.new(secret, named, hashlib.sha256).hexdigest()[:_SEED]
    return Marker(Pubkey.create_with_seed(hot, seed, SYSTEM), seed)


def leave(mark: Marker, payer: Pubkey, hot: Pubkey) -> Instruction:
    """Create the mark, at ``payer``'s expense; the hot key signs and is only read."""
    return create_account_with_seed(
        CreateAccountWithSeedParams(
            from_pubkey=payer,
            to_pubkey=mark.address,
            base=hot,
            seed=mark.seed,
            lamports=RENT,
            space=0,
            owner=SYSTEM,
        )
    )


def remove(mark: Marker, receiver: Pubkey, hot: Pubkey, lamports: int = RENT) -> Instruction:
    """Give the rent back: an account without lamports is no more."""
    return transfer_with_seed(
        TransferWithSeedParams(
            from_pubkey=mark.address,
            from_base=hot,
            from_seed=mark.seed,
            from_owner=SYSTEM,
            to_pubkey=receiver,
            lamports=lamports,
        )
    )

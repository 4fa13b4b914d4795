"""What the treasury's owner signs: how much the hot key may pay, or nothing any more.

The owner is a cold key or an SPL multisig, and none of their keys need ever be on a machine
with a network. A transaction is written to a file, the file goes from signer to signer, and
whoever has a network sends it. Pure, but for the files.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import msgspec
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.token.instructions import revoke
from spl.token.models import RevokeParams

from .panics import foreign
from .transactions import PACKET, unsigned
from .treasury import Treasury


class ApprovalError(Exception):
    """It cannot be signed or sent; the text says what is wrong and what helps."""


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A transaction on its way from signer to signer, with what it does in words."""

    does: str
    transaction: str
    #: Past this block height it is good for nothing: about a minute after it was made.
    last_valid_height: int

    @property
    def parsed(self) -> VersionedTransaction:
        raw = base64.b64decode(self.transaction)
        with foreign(lambda reason: ApprovalError(f"The file holds no transaction: {reason}.")):
            transaction = VersionedTransaction.from_bytes(raw)
            transaction.sanitize()
        return transaction

    @property
    def missing(self) -> list[Pubkey]:
        """Who has to sign still."""
        transaction = self.parsed
        signed = zip(transaction.message.account_keys, transaction.signatures, strict=False)
        return [key for key, signature in signed if signature == Signature.default()]


def forbid(treasury: Treasury, owner: Pubkey, signers: Sequence[Pubkey] = ()) -> Instruction:
    """Let nobody but the owner pay."""
    return revoke(
        RevokeParams(
            program_id=treasury.token_program,
            account=treasury.account,
            owner=owner,
            signers=list(signers),
        )
    )


def draft(step: Instruction, payer: Pubkey, blockhash: str, last: int, does: str) -> Draft:
    """Unsigned. ``payer`` pays the fee and signs too."""
    message = MessageV0.try_compile(payer, [step], [], Hash.from_string(blockhash))
    return Draft(does, base64.b64encode(unsigned(message)).decode(), last)


def sign(paper: Draft, keypair: Keypair) -> Draft:
    """The same with one signature more. Raises ``ApprovalError`` for who need not sign it."""
    transaction, message = paper.parsed, paper.parsed.message
    places = message.account_keys[: message.header.num_required_signatures]
    if keypair.pubkey() not in places:
        wanted = ", ".join(str(key) for key in places)
        raise ApprovalError(f"{keypair.pubkey()} need not sign this; {wanted} must.")
    signatures = list(transaction.signatures)
    signatures[places.index(keypair.pubkey())] = keypair.sign_message(to_bytes_versioned(message))
    raw = bytes(VersionedTransaction.populate(message, signatures))
    return msgspec.structs.replace(paper, transaction=base64.b64encode(raw).decode())


def write(paper: Draft, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(paper)) + b"\n")


def read(path: Path) -> Draft:
    """Raises ``ApprovalError``."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ApprovalError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        if len(raw) > 10 * PACKET:
            raise ValueError("it is too long")
        paper = msgspec.json.decode(raw, type=Draft)
        _ = paper.parsed
    except (msgspec.MsgspecError, ValueError) as error:
        raise ApprovalError(f"{path} is no file of `tabgrid treasury`: {error}.") from error
    return paper

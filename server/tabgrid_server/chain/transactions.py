"""The claim's transaction: building it, checking what the wallet returns, co-signing. Pure.

The wallet pays the fee and signs first. Wallets may add guard instructions (Lighthouse), so
what comes back can differ from what went out; ``check_signed`` says exactly how far. The hot
key is a read-only signer: whatever else a transaction holds, it cannot take SOL from it, and
tokens leave the treasury only by the one transfer that we wrote.
"""

from __future__ import annotations

import struct

import msgspec
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message, MessageV0, MessageV1, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.token.constants import TOKEN_2022_PROGRAM_ID
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    get_associated_token_address,
    transfer_checked,
)
from spl.token.models import TransferCheckedParams

from .markers import Marker, leave
from .panics import foreign

AnyMessage = Message | MessageV0 | MessageV1

#: A claim was measured at 20,350 units with its memo; wallets' guards need a few thousand
#: each. A wallet adds its own limit where none is set, and then ours would not be equal.
COMPUTE_UNITS = 80_000
#: One packet of the network.
PACKET = 1232
LIGHTHOUSE = Pubkey.from_string("L2TExMFKdjpN9kozasaurPirfHy9P8sbXoAN1qA3S95")
#: Phantom adds one or two guards, Solflare two.
GUARDS = 4


class TransactionRefused(Exception):
    """The wallet's bytes are not the claim that it was asked to sign; the text says why."""


class Terms(msgspec.Struct, frozen=True):
    """Whom to pay how much, and from where. ``amount`` in base units, price in micro-lamports."""

    claim: str
    wallet: Pubkey
    amount: int
    mint: Pubkey
    decimals: int
    token_program: Pubkey
    treasury: Pubkey
    hot: Pubkey
    marker: Marker
    compute_unit_price: int
    #: Base units of ``amount`` that the token itself keeps; None for one that keeps nothing.
    fee: int | None = None


def build(terms: Terms, blockhash: str) -> MessageV0:
    """The claim's message, unsigned; ``blockhash`` in base58."""
    return MessageV0.try_compile(terms.wallet, instructions(terms), [], Hash.from_string(blockhash))


def instructions(terms: Terms) -> list[Instruction]:
    destination = get_associated_token_address(terms.wallet, terms.mint, terms.token_program)
    return [
        set_compute_unit_limit(COMPUTE_UNITS),
        set_compute_unit_price(terms.compute_unit_price),
        leave(terms.marker, terms.wallet, terms.hot),
        create_idempotent_associated_token_account(
            payer=terms.wallet,
            owner=terms.wallet,
            mint=terms.mint,
            token_program_id=terms.token_program,
        ),
        # Right before the transfer: an account may take none without a memo before it.
        memo_of(terms.claim),
        transfer_of(terms, destination),
    ]


_MEMO = "tabgrid:"
#: Of Token-2022: a transfer that fails unless the token's fee is what we say.
_WITH_FEE = b"\x1a\x01"


def transfer_of(terms: Terms, destination: Pubkey) -> Instruction:
    """From the treasury to the wallet's token account, by the hot key as its delegate."""
    if terms.fee is None:
        return transfer_checked(
            TransferCheckedParams(
                program_id=terms.token_program,
                source=terms.treasury,
                mint=terms.mint,
                dest=destination,
                owner=terms.hot,
                amount=terms.amount,
                decimals=terms.decimals,
                signers=[],
            )
        )
    accounts = [
        AccountMeta(terms.treasury, False, True),
        AccountMeta(terms.mint, False, False),
        AccountMeta(destination, False, True),
        AccountMeta(terms.hot, True, False),
    ]
    data = _WITH_FEE + struct.pack("<QBQ", terms.amount, terms.decimals, terms.fee)
    return Instruction(terms.token_program, data, accounts)


def fee_in(message: AnyMessage, claim: str) -> int:
    """Base units that the token itself keeps of what ``message`` pays for ``claim``."""
    named = False
    for each in message.instructions:
        program, data = message.account_keys[each.program_id_index], bytes(each.data)
        if named and program == TOKEN_2022_PROGRAM_ID and data.startswith(_WITH_FEE):
            return int.from_bytes(data[11:19], "little")
        named = program == MEMO_PROGRAM_ID and data == (_MEMO + claim).encode()
    return 0


def memo_of(claim: str) -> Instruction:
    """Names the claim that the transfer right behind it is for."""
    return memo(_MEMO + claim)


def claim_in(memo: bytes) -> str:
    """The claim that a memo of ours names."""
    return memo.decode(errors="replace").removeprefix(_MEMO)


def memo(text: str) -> Instruction:
    """A memo that nobody signs: spl's helper would make its signer writable."""
    return Instruction(MEMO_PROGRAM_ID, text.encode(), [])


def draft(message: MessageV0) -> VersionedTransaction:
    """The transaction with empty places for the signatures."""
    places = [Signature.default()] * message.header.num_required_signatures
    return VersionedTransaction.populate(message, places)


def unsigned(message: MessageV0) -> bytes:
    """The same as wallets take it."""
    return bytes(draft(message))


def check_signed(
    issued: MessageV0, returned: bytes, wallet: Pubkey, hot: Pubkey, treasury: Pubkey
) -> VersionedTransaction:
    """Check what the wallet returned for ``issued``. Raises ``TransactionRefused``.

    What is returned here is safe to co-sign, once.
    """
    # 1. A transaction and nothing else: no trailing bytes, no second way to write it.
    transaction = _read(returned)
    # 2. Of the version that we issued, without look-up tables: all accounts in sight.
    message = transaction.message
    if not isinstance(message, MessageV0):
        raise TransactionRefused("The wallet returned another version of transaction.")
    if message.address_table_lookups:
        raise TransactionRefused("The wallet added an address look-up table.")
    # 3. Signed by the wallet (first, so it pays) and to be signed by the hot key, no one else.
    _check_signers(message, wallet, hot)
    # 4. Valid exactly as long as we think: our blockhash, so no durable nonce either.
    if message.recent_blockhash != issued.recent_blockhash:
        raise TransactionRefused("The wallet changed the blockhash.")
    # 5. Our instructions, in order, byte for byte; besides only guards.
    if bytes(message) != bytes(issued):
        _check_instructions(issued, message, hot, treasury)
    # 6. The wallet's signature holds, and nobody has written in the place of ours.
    _check_signatures(transaction, wallet)
    return transaction


def cosign(transaction: VersionedTransaction, signature: Signature) -> VersionedTransaction:
    """The same transaction with the hot key's ``signature`` in the second place."""
    return VersionedTransaction.populate(
        transaction.message, [transaction.signatures[0], signature]
    )


def read_message(raw: bytes) -> MessageV0:
    """Our own message, as ``bytes(message)`` wrote it."""
    return MessageV0.from_bytes(raw)


class Payment(msgspec.Struct, frozen=True):
    """What a transaction of ours sent: ``amount`` base units, for the claim with this id.

    ``pushed``: the hot key paid for it, and the wallet did not sign.
    """

    claim: str
    amount: int
    pushed: bool = False


def read_payment(message: AnyMessage, mark: Marker, terms_of: Terms) -> Payment | None:
    """The payment that ``message`` makes and marks with ``mark``; None if it is another's.

    Only what the hot key signed can create the mark, so what is found here was signed by
    whoever held that key. Of ``terms_of`` claim, amounts and price are not looked at, but
    whether there is a fee. A transaction may make several payments, each with its mark before
    it, and its memo before its transfer.
    """
    if not isinstance(message, MessageV0) or message.address_table_lookups:
        return None
    found = _spelt_out(message)
    pushed = message.account_keys[0] == terms_of.hot
    payer = terms_of.hot if pushed else terms_of.wallet
    marked, paid = _wanted(leave(mark, payer, terms_of.hot), terms_of, payer)
    if marked not in found:
        return None
    after = found[found.index(marked) :]
    transfers = [
        each
        for each in found
        if each.program == paid.program
        and each.accounts == paid.accounts
        and each.data[:1] == paid.data[:1]
        and len(each.data) == len(paid.data)
    ]
    notes = [each.data for each in after if each.program == MEMO_PROGRAM_ID]
    if len(transfers) != 1 or transfers[0] not in after or not notes:
        return None
    claim = claim_in(notes[0])
    start = 1 if terms_of.fee is None else len(_WITH_FEE)
    amount = int.from_bytes(transfers[0].data[start : start + 8], "little")
    return Payment(claim, amount, pushed)


def _wanted(mark: Instruction, terms: Terms, payer: Pubkey) -> tuple[_Spelt, _Spelt]:
    """The mark and the transfer as they stand in a message that ``payer`` pays for."""
    home = get_associated_token_address(terms.wallet, terms.mint, terms.token_program)
    both = [mark, transfer_of(terms, home)]
    marked, paid = _spelt_out(MessageV0.try_compile(payer, both, [], Hash.default()))
    return marked, paid


def _read(returned: bytes) -> VersionedTransaction:
    if len(returned) > PACKET:
        raise TransactionRefused(f"The transaction is longer than {PACKET} bytes.")
    with foreign(lambda reason: TransactionRefused(f"This is not a transaction: {reason}.")):
        transaction = VersionedTransaction.from_bytes(returned)
        transaction.sanitize()
        again = bytes(transaction)
    if again != returned:
        raise TransactionRefused("The transaction has bytes that do not belong to it.")
    return transaction


def _check_signers(message: MessageV0, wallet: Pubkey, hot: Pubkey) -> None:
    header, keys = message.header, message.account_keys
    if header.num_required_signatures != 2 or header.num_readonly_signed_accounts != 1:
        raise TransactionRefused("The wallet changed who has to sign.")
    if keys[0] != wallet or keys[1] != hot:
        raise TransactionRefused("The wallet changed who has to sign.")
    if len(set(keys)) != len(keys):
        raise TransactionRefused("An account appears twice.")


def _check_instructions(
    issued: MessageV0, message: MessageV0, hot: Pubkey, treasury: Pubkey
) -> None:
    wanted = _spelt_out(issued)
    found = _spelt_out(message)
    ours = [each for each in found if each.program != LIGHTHOUSE]
    guards = [each for each in found if each.program == LIGHTHOUSE]
    if ours != wanted:
        raise TransactionRefused("The wallet changed what the transaction does.")
    if len(guards) > GUARDS:
        raise TransactionRefused(f"The wallet added more than {GUARDS} guards.")
    if any({hot, treasury} & {key for key, _ in guard.accounts} for guard in guards):
        raise TransactionRefused("A guard names an account of the treasury.")


class _Spelt(msgspec.Struct, frozen=True):
    program: Pubkey
    #: Each with whether the message lets it be written.
    accounts: tuple[tuple[Pubkey, bool], ...]
    data: bytes


def _spelt_out(message: MessageV0) -> list[_Spelt]:
    """Instructions with keys in place of indexes: adding accounts moves the indexes."""
    keys = message.account_keys
    written = writable(message)
    spelt = []
    for each in message.instructions:
        places = each.accounts
        if each.program_id_index >= len(keys) or any(place >= len(keys) for place in places):
            raise TransactionRefused("An instruction names an account that is not there.")
        accounts = tuple((keys[place], written[place]) for place in places)
        spelt.append(_Spelt(keys[each.program_id_index], accounts, bytes(each.data)))
    return spelt


def writable(message: AnyMessage) -> list[bool]:
    """Of each account, whether the message lets it be written."""
    header, count = message.header, len(message.account_keys)
    signers = header.num_required_signatures
    signing = signers - header.num_readonly_signed_accounts
    named = count - header.num_readonly_unsigned_accounts
    return [place < signing or signers <= place < named for place in range(count)]


def _check_signatures(transaction: VersionedTransaction, wallet: Pubkey) -> None:
    first, second = transaction.signatures
    if not first.verify(wallet, to_bytes_versioned(transaction.message)):
        raise TransactionRefused("The wallet's signature does not hold.")
    if second != Signature.default():
        raise TransactionRefused("The place of the treasury's signature is not empty.")

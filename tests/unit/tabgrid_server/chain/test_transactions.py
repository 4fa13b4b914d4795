"""The claim's transaction: what a wallet may change of it, and that it may nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageHeader, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_PROGRAM_ID

from tabgrid_server.chain import transactions as tx
from tabgrid_server.chain.markers import marker
from tabgrid_server.chain.transactions import GUARDS, LIGHTHOUSE, TransactionRefused, check_signed

WALLET, HOT, OTHER = (Keypair.from_seed(bytes([n]) * 32) for n in (1, 2, 3))
MINT, TREASURY = (Keypair.from_seed(bytes([n]) * 32).pubkey() for n in (4, 5))
BLOCKHASH = Hash(bytes([9]) * 32)


def terms(**changes: Any) -> tx.Terms:
    fields: dict[str, Any] = {
        "claim": "claim_01",
        "wallet": WALLET.pubkey(),
        "amount": 5_000_000,
        "mint": MINT,
        "decimals": 6,
        "token_program": TOKEN_PROGRAM_ID,
        "treasury": TREASURY,
        "hot": HOT.pubkey(),
        "marker": marker(b"secret", HOT.pubkey(), WALLET.pubkey(), MINT, 0),
        "compute_unit_price": 1_000,
    }
    return tx.Terms(**(fields | changes))


ISSUED = tx.build(terms(), str(BLOCKHASH))


def signed(message: Any, wallet: Keypair = WALLET) -> bytes:
    empty = VersionedTransaction.from_bytes(tx.unsigned(ISSUED)).signatures
    places = [*empty, *empty][: message.header.num_required_signatures]
    first = wallet.sign_message(to_bytes_versioned(message))
    return bytes(VersionedTransaction.populate(message, [first, *places[1:]]))


def check(returned: bytes) -> VersionedTransaction:
    return check_signed(ISSUED, returned, WALLET.pubkey(), HOT.pubkey(), TREASURY)


def cosigned(checked: VersionedTransaction) -> VersionedTransaction:
    return tx.cosign(checked, HOT.sign_message(to_bytes_versioned(checked.message)))


def rebuilt(steps: list[Instruction], **changes: Any) -> MessageV0:
    payer = changes.get("payer", WALLET.pubkey())
    return MessageV0.try_compile(payer, steps, [], changes.get("blockhash", BLOCKHASH))


def guard(*accounts: AccountMeta, data: bytes = b"\x05assert") -> Instruction:
    return Instruction(LIGHTHOUSE, data, list(accounts))


def steps(**changes: Any) -> list[Instruction]:
    return tx.instructions(terms(**changes))


def test_the_honest_way() -> None:
    checked = check(signed(ISSUED))
    whole = cosigned(checked)
    assert all(whole.verify_with_results())
    assert whole.signatures[0] == checked.signatures[0]
    assert len(bytes(whole)) <= tx.PACKET


def test_the_hot_key_is_a_read_only_signer() -> None:
    assert ISSUED.account_keys[:2] == [WALLET.pubkey(), HOT.pubkey()]
    assert tx.writable(ISSUED)[0]
    assert not tx.writable(ISSUED)[1]
    assert ISSUED.header.num_required_signatures == 2


def test_guards_are_borne_anywhere_up_to_four() -> None:
    wallet = AccountMeta(WALLET.pubkey(), True, True)
    account = AccountMeta(Pubkey.new_unique(), False, False)
    for places in ([0], [5], [0, 5], [1, 3], [0, 0, 5, 5]):
        with_guards = steps()
        for place in places:
            with_guards.insert(place, guard(wallet, account))
        assert all(cosigned(check(signed(rebuilt(with_guards)))).verify_with_results())
    too_many = [*steps(), *[guard(account)] * (GUARDS + 1)]
    with pytest.raises(TransactionRefused, match="more than 4"):
        check(signed(rebuilt(too_many)))


@pytest.mark.parametrize("key", [HOT.pubkey(), TREASURY])
def test_guards_may_not_touch_the_treasury(key: Pubkey) -> None:
    touching = guard(AccountMeta(key, False, False))
    with pytest.raises(TransactionRefused, match="treasury"):
        check(signed(rebuilt([*steps(), touching])))


def test_guards_may_not_make_our_accounts_writable() -> None:
    with pytest.raises(TransactionRefused, match="what the transaction does"):
        check(signed(rebuilt([*steps(), guard(AccountMeta(MINT, False, True))])))


SOL_AWAY = transfer(TransferParams(from_pubkey=HOT.pubkey(), to_pubkey=OTHER.pubkey(), lamports=1))
CHANGED: dict[str, list[Instruction]] = {
    "amount": steps(amount=5_000_001),
    "recipient": steps(wallet=OTHER.pubkey()),
    "source": steps(treasury=OTHER.pubkey()),
    "claim": steps(claim="claim_02"),
    "price": steps(compute_unit_price=10**9),
    "decimals": steps(decimals=5),
    "order": [*steps()[:2], *reversed(steps()[2:])],
    "twice": [*steps(), steps()[5]],
    "another mark": steps(marker=marker(b"secret", HOT.pubkey(), WALLET.pubkey(), MINT, 1)),
    "no mark": [*steps()[:2], *steps()[3:]],
    "less": steps()[:-1],
    "no budget": steps()[1:],
    "another program": [*steps(), Instruction(Pubkey.new_unique(), b"", [])],
    "memo": [*steps(), tx.memo("mine")],
    "hot key's SOL": [*steps(), SOL_AWAY],
    "nothing": [],
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_changed_instruction_is_refused(what: str) -> None:
    with pytest.raises(TransactionRefused):
        check(signed(rebuilt(CHANGED[what])))


def test_another_payer_blockhash_version_or_table_is_refused() -> None:
    with pytest.raises(TransactionRefused, match="who has to sign"):
        check(signed(rebuilt(steps(), payer=OTHER.pubkey()), OTHER))
    with pytest.raises(TransactionRefused, match="blockhash"):
        check(signed(rebuilt(steps(), blockhash=Hash(bytes(32)))))
    legacy = Message.new_with_blockhash(steps(), WALLET.pubkey(), BLOCKHASH)
    with pytest.raises(TransactionRefused, match="version"):
        check(signed(legacy))


def test_signatures_must_be_the_wallets_and_only_that() -> None:
    unsigned = tx.unsigned(ISSUED)
    with pytest.raises(TransactionRefused, match="does not hold"):
        check(unsigned)
    with pytest.raises(TransactionRefused, match="does not hold"):
        check(signed(ISSUED, OTHER))
    both = bytes(cosigned(check(signed(ISSUED))))
    with pytest.raises(TransactionRefused, match="not empty"):
        check(both)


def test_more_bytes_than_a_packet_or_than_a_transaction_are_refused() -> None:
    with pytest.raises(TransactionRefused, match="do not belong"):
        check(signed(ISSUED) + b"\0")
    with pytest.raises(TransactionRefused, match="1232"):
        check(signed(ISSUED) + bytes(tx.PACKET))
    with pytest.raises(TransactionRefused):
        check(b"")


def header(**changes: int) -> MessageV0:
    old = ISSUED.header
    fields = {
        "num_required_signatures": old.num_required_signatures,
        "num_readonly_signed_accounts": old.num_readonly_signed_accounts,
        "num_readonly_unsigned_accounts": old.num_readonly_unsigned_accounts,
    }
    return MessageV0(
        MessageHeader(**(fields | changes)),
        ISSUED.account_keys,
        ISSUED.recent_blockhash,
        ISSUED.instructions,
        [],
    )


@pytest.mark.parametrize(
    "change",
    [
        {"num_readonly_signed_accounts": 0},
        {"num_required_signatures": 3},
        {"num_required_signatures": 1, "num_readonly_signed_accounts": 0},
        {"num_readonly_unsigned_accounts": 0},
        {"num_readonly_unsigned_accounts": ISSUED.header.num_readonly_unsigned_accounts - 1},
        {"num_readonly_unsigned_accounts": ISSUED.header.num_readonly_unsigned_accounts + 1},
    ],
)
def test_a_changed_header_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(TransactionRefused):
        check(signed(header(**change)))


def test_an_account_may_not_appear_twice() -> None:
    keys = [*ISSUED.account_keys, HOT.pubkey()]
    message = MessageV0(ISSUED.header, keys, ISSUED.recent_blockhash, ISSUED.instructions, [])
    with pytest.raises(TransactionRefused, match="twice"):
        check(signed(message))


@given(st.data())
def test_no_changed_message_is_accepted_even_signed(data: st.DataObject) -> None:
    """Any change of the message's bytes, signed by the wallet, is refused: never a crash."""
    raw = bytearray(to_bytes_versioned(ISSUED))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.sampled_from(["set", "flip", "cut", "insert"])):
            case "set":
                raw[place] = data.draw(st.integers(0, 255))
            case "flip":
                raw[place] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del raw[place]
            case "insert":
                raw.insert(place, data.draw(st.integers(0, 255)))
    if bytes(raw) == to_bytes_versioned(ISSUED):
        return
    signature = bytes(WALLET.sign_message(bytes(raw)))
    with pytest.raises(TransactionRefused):
        check(b"\x02" + signature + bytes(64) + bytes(raw))


@given(st.binary(max_size=tx.PACKET + 1))
def test_garbage_is_refused_never_a_crash(raw: bytes) -> None:
    with pytest.raises(TransactionRefused):
        check(raw)


@given(st.integers(0, len(signed(ISSUED)) * 8 - 1))
def test_no_bit_of_what_the_wallet_signed_can_be_changed(bit: int) -> None:
    raw = bytearray(signed(ISSUED))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TransactionRefused):
        check(bytes(raw))

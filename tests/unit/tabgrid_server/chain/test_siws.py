"""Signing in: what verifies, and that nothing else does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tabgrid_server.chain import siws
from tabgrid_server.chain.siws import SignInInput, SignInRefused, message_text, parse, verify

NOW = 1_800_000_000.0
LIFETIME = 300.0
WALLET, WORKER, OTHER = (Keypair.from_seed(bytes([n]) * 32) for n in (1, 2, 3))


def issue(**changes: Any) -> SignInInput:
    fields: dict[str, Any] = {
        "domain": "127.0.0.1:8402",
        "uri": "http://127.0.0.1:8402",
        "address": str(WALLET.pubkey()),
        "worker_key": str(WORKER.pubkey()),
        "device": "device-1",
        "chain_id": "localnet",
        "nonce": "a1B2c3D4e5",
        "now": NOW,
        "lifetime": LIFETIME,
    }
    return siws.new_input(**(fields | changes))


def sign(text: str, wallet: Keypair = WALLET) -> tuple[bytes, bytes]:
    return text.encode(), bytes(wallet.sign_message(text.encode()))


def code_of(error: pytest.ExceptionInfo[SignInRefused]) -> str:
    return error.value.code


def test_the_text_is_the_standards() -> None:
    assert message_text(issue()) == (
        "127.0.0.1:8402 wants you to sign in with your Solana account:\n"
        f"{WALLET.pubkey()}\n"
        "\n"
        f"{siws.STATEMENT}\n"
        "\n"
        "URI: http://127.0.0.1:8402\n"
        "Version: 1\n"
        "Chain ID: localnet\n"
        "Nonce: a1B2c3D4e5\n"
        "Issued At: 2027-01-15T08:00:00.000Z\n"
        "Expiration Time: 2027-01-15T08:05:00.000Z\n"
        "Resources:\n"
        f"- urn:tabgrid:worker:{WORKER.pubkey()}\n"
        "- urn:tabgrid:device:device-1"
    )


def test_json_has_the_standards_names() -> None:
    told = msgspec.json.decode(msgspec.json.encode(issue()))
    assert {"chainId", "issuedAt", "expirationTime"} <= told.keys()


def test_what_a_wallet_signed_verifies() -> None:
    issued = issue()
    verify(issued, str(WALLET.pubkey()), *sign(message_text(issued)), NOW + 10)
    assert siws.worker_key(issued) == str(WORKER.pubkey())
    assert siws.device(issued) == "device-1"


def test_a_person_may_choose_another_account_in_the_wallet() -> None:
    issued, chosen = issue(), str(OTHER.pubkey())
    text = message_text(msgspec.structs.replace(issued, address=chosen))
    verify(issued, chosen, *sign(text, OTHER), NOW)


def test_the_signer_is_the_account_that_the_text_names() -> None:
    issued = issue()
    with pytest.raises(SignInRefused) as error:
        verify(issued, str(WALLET.pubkey()), *sign(message_text(issued), OTHER), NOW)
    assert code_of(error) == "forged"
    with pytest.raises(SignInRefused) as error:
        verify(issued, str(OTHER.pubkey()), *sign(message_text(issued), OTHER), NOW)
    assert code_of(error) == "message"


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (NOW - siws.CLOCK_SKEW_S - 1, "too_early"),
        (NOW + LIFETIME, "expired"),
        (NOW + 10 * LIFETIME, "expired"),
    ],
)
def test_only_in_time(at: float, code: str) -> None:
    issued = issue()
    with pytest.raises(SignInRefused) as error:
        verify(issued, str(WALLET.pubkey()), *sign(message_text(issued)), at)
    assert code_of(error) == code


CHANGES = {
    "domain": "evil.example",
    "statement": "Send everything.",
    "uri": "https://evil.example",
    "version": "2",
    "chain_id": "mainnet",
    "nonce": "b1B2c3D4e5",
    "issued_at": siws.timestamp(NOW + 1),
    "expiration_time": siws.timestamp(NOW + 10 * LIFETIME),
    "resources": (siws.WORKER + str(OTHER.pubkey()), siws.DEVICE + "device-1"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_text_with_any_field_changed_is_refused(field: str) -> None:
    issued = issue()
    changed = msgspec.structs.replace(issued, **{field: CHANGES[field]})
    with pytest.raises(SignInRefused) as error:
        verify(issued, str(WALLET.pubkey()), *sign(message_text(changed)), NOW)
    assert code_of(error) == "message"


def test_every_field_is_among_the_changed_ones() -> None:
    assert CHANGES.keys() | {"address"} == set(SignInInput.__struct_fields__)


@given(st.data())
def test_any_other_bytes_are_refused_though_signed(data: st.DataObject) -> None:
    issued = issue()
    text = bytearray(message_text(issued).encode())
    place = data.draw(st.integers(0, len(text) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "insert", "append"])):
        case "flip":
            text[place] ^= data.draw(st.integers(1, 255))
        case "cut":
            del text[place]
        case "insert":
            text.insert(place, data.draw(st.integers(0, 255)))
        case "append":
            text += data.draw(st.binary(min_size=1, max_size=20))
    if bytes(text) == message_text(issued).encode():
        return  # inserting a byte beside its like
    raw = bytes(text)
    signature = bytes(WALLET.sign_message(raw))
    with pytest.raises(SignInRefused):
        verify(issued, str(WALLET.pubkey()), raw, signature, NOW)


@given(st.binary(max_size=80))
def test_no_made_up_signature_verifies(signature: bytes) -> None:
    issued = issue()
    with pytest.raises(SignInRefused) as error:
        verify(issued, str(WALLET.pubkey()), message_text(issued).encode(), signature, NOW)
    assert code_of(error) == "forged"


@given(st.integers(0, 511))
def test_no_bit_of_a_signature_can_be_changed(bit: int) -> None:
    issued = issue()
    message, signature = sign(message_text(issued))
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignInRefused):
        verify(issued, str(WALLET.pubkey()), message, bytes(changed), NOW)


@pytest.mark.parametrize("point", sorted(siws.SMALL_ORDER), ids=bytes.hex)
def test_keys_of_small_order_are_nobodys(point: bytes) -> None:
    address = str(Pubkey.from_bytes(point))
    issued = issue()
    text = message_text(msgspec.structs.replace(issued, address=address))
    # R of small order and S = 0 satisfies the loose equation for many messages.
    for forged in (point + bytes(32), bytes([1]) + bytes(31) + bytes(32)):
        with pytest.raises(SignInRefused) as error:
            verify(issued, address, text.encode(), forged, NOW)
        assert code_of(error) == "address"
    with pytest.raises(SignInRefused) as error:
        issue(worker_key=address)
    assert code_of(error) == "worker_key"


@pytest.mark.parametrize(
    "address", ["", "x", "0" * 44, "1" * 31, str(WALLET.pubkey()) + "1", "ä" * 40, "1" * 5000]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SignInRefused) as error:
        issue(address=address)
    assert code_of(error) == "address"
    with pytest.raises(SignInRefused) as error:
        verify(issue(), address, b"", bytes(64), NOW)
    assert code_of(error) == "address"


def test_a_programs_address_signs_for_nobody() -> None:
    address, _ = Pubkey.find_program_address([b"x"], WALLET.pubkey())
    with pytest.raises(SignInRefused):
        issue(address=str(address))


@pytest.mark.parametrize(
    "wrong",
    [
        {"domain": "a\nb"},
        {"uri": ""},
        {"device": "x\u2028y"},
        {"nonce": "short"},
        {"nonce": "a-b-c-d-e"},
    ],
)
def test_our_own_fields_cannot_break_the_text(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="sign-in"):
        issue(**wrong)


def test_parse_is_the_reverse() -> None:
    assert parse(message_text(issue())) == issue()


@given(st.text(max_size=400) | st.integers(0, 300).map(lambda end: message_text(issue())[:end]))
def test_parse_refuses_what_it_would_not_write(text: str) -> None:
    with pytest.raises(SignInRefused) as error:
        parse(text)
    assert code_of(error) == "malformed"

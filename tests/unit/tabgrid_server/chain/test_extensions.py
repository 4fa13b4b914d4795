"""Bytes of mints and accounts: read as they are, refused where they are none, never a crash."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from solders.account import Account
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from tabgrid_server.chain import extensions
from tabgrid_server.chain.extensions import BORNE_BY_MINTS, Rate, TransferFee, objections
from tabgrid_server.chain.tokens import read_mint, token_account


def account(data: bytes, program: object = TOKEN_2022_PROGRAM_ID) -> Account:
    return Account(lamports=1, data=data, owner=program, executable=False, rent_epoch=0)


def mint(*entries: tuple[int, bytes], tail: bytes = b"") -> bytes:
    plain = bytearray(166)
    plain[44:46], plain[165] = b"\x06\x01", 1
    more = b"".join(
        kind.to_bytes(2, "little") + len(body).to_bytes(2, "little") + body
        for kind, body in entries
    )
    return bytes(plain) + more + tail


def test_a_mint_is_read_with_its_extensions() -> None:
    found = read_mint(account(mint((18, bytes(64)), (25, bytes(56)))))
    assert found is not None
    assert (found.decimals, found.extensions, found.fee) == (6, {18, 25}, None)
    assert "scaled amounts" in objections(found.extensions, BORNE_BY_MINTS)[0]
    assert objections({999}, BORNE_BY_MINTS) == [
        "It has the extension number 999: this version does not know it."
    ]
    room = read_mint(account(mint((18, bytes(64)), tail=bytes(200))))
    assert room is not None
    assert room.extensions == {18}


def test_a_plain_token_account_or_another_program_is_no_mint() -> None:
    assert read_mint(account(bytes(165), TOKEN_PROGRAM_ID)) is None
    assert read_mint(account(mint(), TOKEN_2022_PROGRAM_ID)) is not None
    assert token_account(account(mint())) is None


def test_what_is_cut_off_or_said_twice_is_no_mint() -> None:
    whole = mint((18, bytes(64)))
    for size in (len(whole) - 1, len(whole) - 60):
        assert read_mint(account(whole[:size])) is None
    assert read_mint(account(mint((18, b""), (18, b"")))) is None
    assert read_mint(account(mint((1, bytes(107))))) is None, "a fee of other bytes"


@given(st.binary(max_size=400), st.sampled_from([TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID]))
def test_garbage_never_crashes(data: bytes, program: object) -> None:
    for found in (account(data, program), account(mint(tail=data), program)):
        read_mint(found)
        token_account(found)
    extensions.read(data)


@given(st.integers(1, 2**64 - 1), st.integers(0, 10_000), st.integers(0, 2**64 - 1))
def test_a_fee_is_at_most_the_amount_and_its_cap(amount: int, bps: int, most: int) -> None:
    kept = Rate(0, most, bps).of(amount)
    assert 0 <= kept <= min(amount, most)
    assert (kept == 0) == (bps == 0 or most == 0)


def test_a_new_fee_holds_from_its_epoch_on() -> None:
    fee = TransferFee(Rate(0, 9, 1), Rate(7, 9, 2))
    assert [fee.at(epoch).bps for epoch in (6, 7, 8)] == [1, 2, 2]

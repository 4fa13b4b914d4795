"""A claim as the API shows it."""

from __future__ import annotations

import base64

import msgspec
from solders.transaction import VersionedTransaction

from tabgrid_server.api.schemas.claims import Claim
from tabgrid_server.chain.claims import WalletSigned

from .test_claims import NOW, SIGNED, TXID, claim
from .test_transactions import ISSUED


def test_the_transaction_is_shown_while_it_awaits_the_wallet() -> None:
    one = claim(message=bytes(ISSUED))
    shown = msgspec.convert(one, Claim, from_attributes=True)
    assert shown.transaction is not None
    raw = base64.b64decode(shown.transaction)
    assert VersionedTransaction.from_bytes(raw).message == ISSUED
    assert shown.signature is None
    one.handle(WalletSigned(TXID, SIGNED), NOW)
    shown = msgspec.convert(one, Claim, from_attributes=True)
    assert (shown.transaction, shown.signature) == (None, TXID)

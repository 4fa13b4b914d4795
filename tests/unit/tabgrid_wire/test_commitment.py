from __future__ import annotations

import hashlib

import pytest

from tabgrid_wire.commitment import commit_hash, output_digest, result_message

NONCE = bytes(range(16))
DIGEST = hashlib.sha256(b"output").digest()


def test_the_bytes_are_what_the_contract_says() -> None:
    message = result_message("job_1", "Wallet", NONCE, DIGEST)
    assert message == b"tabgrid/result/v1\0job_1\0Wallet\0" + NONCE + DIGEST
    assert commit_hash("job_1", "Wallet", NONCE, DIGEST) == hashlib.sha256(message).digest()
    assert output_digest(b"output") == DIGEST


def test_a_root_is_signed_in_a_domain_of_its_own() -> None:
    root = hashlib.sha256(b"root").digest()
    message = result_message("job_1", "Wallet", NONCE, DIGEST, root)
    assert message == b"tabgrid/result/v2\0job_1\0Wallet\0" + NONCE + DIGEST + root
    hash = commit_hash("job_1", "Wallet", NONCE, DIGEST, root)
    assert hash == hashlib.sha256(message).digest()
    with pytest.raises(ValueError, match="root has 32"):
        result_message("job_1", "Wallet", NONCE, DIGEST, root[1:])


def test_no_field_can_shift_into_another() -> None:
    with pytest.raises(ValueError, match="zero character"):
        result_message("job\0Wallet", "x", NONCE, DIGEST)
    with pytest.raises(ValueError, match="nonce of 16"):
        result_message("job", "Wallet", NONCE + b"x", DIGEST[1:])

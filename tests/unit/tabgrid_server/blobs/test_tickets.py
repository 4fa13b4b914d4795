"""Signed addresses: good for one thing, for one id, until their time."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tabgrid_server.blobs.tickets import BadTicket, Signer, load_or_create_secret

SIGNER = Signer(bytes(32))
GOOD = SIGNER.sign("upload", "lease_1", 1_000)


def test_what_was_signed_is_good_until_its_time() -> None:
    SIGNER.check("upload", "lease_1", 1_000, GOOD, now=999.5)
    SIGNER.check("upload", "lease_1", 1_000, GOOD, now=1_000.0)
    with pytest.raises(BadTicket):
        SIGNER.check("upload", "lease_1", 1_000, GOOD, now=1_000.5)


@pytest.mark.parametrize(
    ("what", "subject", "expires", "signature"),
    [
        ("image", "lease_1", 1_000, GOOD),
        ("upload", "lease_2", 1_000, GOOD),
        ("upload", "lease_1", 1_001, GOOD),
        ("upload", "lease_1\0", 1_000, GOOD),
        ("upload", "lease_1", 1_000, GOOD[:-1] + ("0" if GOOD[-1] != "0" else "1")),
        ("upload", "lease_1", 1_000, GOOD.upper()),
        ("upload", "lease_1", 1_000, ""),
        ("upload", "lease_1", 1_000, "é" * 64),
    ],
)
def test_anything_else_is_not(what: str, subject: str, expires: int, signature: str) -> None:
    with pytest.raises(BadTicket):
        SIGNER.check(what, subject, expires, signature, now=0.0)  # type: ignore[arg-type]


def test_another_grid_signs_otherwise() -> None:
    with pytest.raises(BadTicket):
        Signer(b"\1" * 32).check("upload", "lease_1", 1_000, GOOD, now=0.0)


def test_the_secret_outlives_a_restart_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "addresses.key"
    secret = load_or_create_secret(path)
    assert len(secret) == 32
    assert load_or_create_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_secret(tmp_path / "other") != secret

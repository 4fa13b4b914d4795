from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from tabgrid_node.keys import KeypairProblem, KeySigner, create_keypair, read_keypair


def test_a_created_file_is_private_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "node.json"
    made = create_keypair(path)
    assert read_keypair(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(json.loads(path.read_text())) == 64


def test_an_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    made = create_keypair(path)
    with pytest.raises(KeypairProblem, match="File exists"):
        create_keypair(path)
    assert read_keypair(path) == made


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeypairProblem, match="--create"):
        read_keypair(tmp_path / "none.json")


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1, 2]", json.dumps([256] * 64), json.dumps([1] * 64), '"text"', "\xff"],
)
def test_what_is_no_keypair_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "node.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(KeypairProblem, match="is not a keypair"):
        read_keypair(path)


async def test_the_signer_signs_with_the_key_that_it_shows() -> None:
    signer = KeySigner()
    signature = Signature.from_bytes(await signer.sign(b"message"))
    assert signature.verify(Pubkey.from_string(signer.public), b"message")
    assert KeySigner(Keypair()).public != signer.public

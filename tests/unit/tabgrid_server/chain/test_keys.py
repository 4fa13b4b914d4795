from __future__ import annotations

import json
from pathlib import Path

import pytest

from tabgrid_server.chain.keys import KeyFileError, load, load_or_create


def test_a_key_is_made_once_for_its_owners_eyes(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "hot.json"
    made = load_or_create(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_or_create(file) == made
    assert load(file) == made
    assert len(json.loads(file.read_text())) == 64, "as solana-keygen writes it"


@pytest.mark.parametrize(
    "content", ["", "secret", "[]", "[1, 2]", "{}", str([1] * 64), str([300] * 64), str(["a"] * 64)]
)
def test_what_is_no_key_is_refused_and_not_quoted(tmp_path: Path, content: str) -> None:
    file = tmp_path / "hot.json"
    file.write_text(content)
    with pytest.raises(KeyFileError) as error:
        load(file)
    assert str(file) in str(error.value)
    assert not content or content not in str(error.value).replace(str(file), "")
    with pytest.raises(KeyFileError, match="no keypair file"):
        load(tmp_path / "missing.json")

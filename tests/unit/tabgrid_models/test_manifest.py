"""A manifest's digest is the model's name: it must not depend on how it was written."""

from __future__ import annotations

import json

import msgspec
import pytest

from tabgrid_models.manifest import MAX_SHARD, File, Manifest
from tests.support.models import manifest


def test_digest_does_not_depend_on_spaces_or_order() -> None:
    model = manifest("all-MiniLM-L6-v2")
    told = json.loads(model.canonical())
    shuffled = json.dumps(dict(reversed(told.items())), indent=3).encode()
    assert msgspec.json.decode(shuffled, type=Manifest).digest() == model.digest()


def test_digest_changes_with_one_byte_of_one_weight() -> None:
    model = manifest("all-MiniLM-L6-v2")
    variant = model.variants[0]
    file = msgspec.structs.replace(variant.files[0], sha256="0" * 64)
    other = msgspec.structs.replace(variant, files=(file,))
    assert msgspec.structs.replace(model, variants=(other,)).digest() != model.digest()


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", ".hidden", "a/../b", "a\\b", "", "a/"])
def test_a_path_cannot_leave_the_folder(path: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"path": path, "size": 1, "sha256": "0" * 64}, File)


def test_a_file_is_a_shard_at_most() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"path": "a", "size": MAX_SHARD + 1, "sha256": "0" * 64}, File)

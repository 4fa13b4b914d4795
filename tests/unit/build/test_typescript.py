"""What the generated TypeScript says about the Python structs."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Literal

import msgspec
import pytest
from typescript import Encoding, module_text


class Inner(msgspec.Struct):
    at: float


class Outer(msgspec.Struct, tag="outer", tag_field="type", omit_defaults=True):
    """Said once."""

    state: Literal["a", "b"]
    raw: bytes
    inner: Inner
    names: dict[str, int]
    maybe: tuple[str, ...] | None = None


def module_of(*structs: type) -> ModuleType:
    module = ModuleType("made_up")
    for struct in structs:
        setattr(module, struct.__name__, struct)
    module.__name__ = Outer.__module__
    return module


def test_each_kind_of_field_has_its_type() -> None:
    text = module_text(module_of(Outer, Inner), Encoding.JSON)
    assert (
        """
/** Said once. */
export interface Outer {
  readonly type: "outer";
  readonly state: "a" | "b";
  readonly raw: string;
  readonly inner: Inner;
  readonly names: Readonly<Record<string, number>>;
  readonly maybe?: ReadonlyArray<string> | null;
}
"""
        in text
    )


def test_bytes_are_bytes_where_the_encoding_has_them() -> None:
    assert "readonly raw: Uint8Array;" in module_text(module_of(Outer), Encoding.MSGPACK)


def test_a_struct_of_another_module_comes_along_once() -> None:
    assert module_text(module_of(Outer), Encoding.JSON).count("export interface Inner {") == 1


def test_of_a_package_each_room_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = tmp_path / "rooms_of_a_test"
    rooms.mkdir()
    (rooms / "__init__.py").write_text("")
    (rooms / "kitchen.py").write_text("import msgspec\nclass Pot(msgspec.Struct):\n    lid: bool\n")
    (rooms / "cellar.py").write_text(
        "import msgspec\nfrom .kitchen import Pot\nclass Shelf(msgspec.Struct):\n    pot: Pot\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = module_text(importlib.import_module("rooms_of_a_test"), Encoding.JSON)
    assert re.findall(r"export interface (\w+)", text) == ["Shelf", "Pot"]


def test_a_type_that_nobody_taught_it_is_refused() -> None:
    class Odd(msgspec.Struct):
        numbers: set[int]

    with pytest.raises(TypeError, match=r"teach it there"):
        module_text(module_of(Odd), Encoding.JSON)

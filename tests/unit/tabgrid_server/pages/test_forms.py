"""Forms from structs: every connector's, and each kind of field."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from tabgrid_models.connectors import CONNECTORS
from tabgrid_models.connectors.base import AnyConnector
from tabgrid_server.pages.forms import Field, fields


class Inner(msgspec.Struct):
    x: int


class Everything(msgspec.Struct):
    line: Annotated[str, Meta(max_length=80)]
    text: Annotated[str, Meta(min_length=1, max_length=5000, description="Say it.")]
    lines: Annotated[tuple[str, ...], Meta(min_length=1, max_length=3)]
    count: Annotated[int, Meta(ge=1, le=9)] = 4
    share: Annotated[float, Meta(ge=0)] | None = None
    loud: bool = True
    inner: Inner | None = None
    odd: int | str = 0


FOUND = {field.name: field for field in fields(Everything)}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("line", {"kind": "line", "required": True, "most": 80}),
        ("text", {"kind": "text", "least": 1, "most": 5000, "hint": "Say it."}),
        ("lines", {"kind": "lines", "least": 1, "most": 3, "hint": "One per line, 1 to 3."}),
        ("count", {"kind": "integer", "required": False, "value": "4", "least": 1, "most": 9}),
        ("share", {"kind": "number", "value": "", "least": 0}),
        ("loud", {"kind": "check", "value": "true"}),
        ("inner", {"kind": "json", "hint": "As JSON."}),
        ("odd", {"kind": "json", "value": "0"}),
    ],
)
def test_a_field_says_what_fits(name: str, wanted: dict[str, Any]) -> None:
    found = msgspec.structs.asdict(FOUND[name])
    assert found | wanted == found


@pytest.mark.parametrize("made", CONNECTORS.values(), ids=CONNECTORS)
def test_every_connector_has_a_form(made: AnyConnector) -> None:
    found = fields(made.Input)
    assert [field.name for field in found] == [f.name for f in msgspec.structs.fields(made.Input)]
    assert all(isinstance(field, Field) and field.label for field in found)

"""Every connector keeps the contract that the rest of the grid relies on."""

from __future__ import annotations

import msgspec
import pytest

from tabgrid_models.connectors import CONNECTORS, connector
from tabgrid_models.connectors.base import AnyConnector


@pytest.mark.parametrize("made", CONNECTORS.values(), ids=CONNECTORS)
def test_connector_can_be_described_and_sent(made: AnyConnector) -> None:
    assert made.comparator_version >= 1
    assert made.unit.replace(" ", "").isalpha()
    for struct in (made.Input, made.Output, made.Config):
        assert msgspec.json.schema(struct)
    assert made.Input.__struct_config__.frozen
    assert made.Input.__struct_config__.forbid_unknown_fields


def test_an_unknown_connector_names_those_that_there_are() -> None:
    with pytest.raises(LookupError, match="classify, echo, embeddings"):
        connector("alchemy")

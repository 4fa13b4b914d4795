"""Every connector takes the threshold that its model was calibrated to."""

from __future__ import annotations

import pytest

from tabgrid_models import catalogue
from tabgrid_models.connectors import CONNECTORS
from tabgrid_server.library import CHECKOUT, open_library
from tests.support.models import library

DTYPES = ("fp32", "q8", "q4", "fp16")


@pytest.mark.parametrize("manifest", list(library().catalogue), ids=lambda manifest: manifest.id)
def test_a_calibrated_threshold_takes_the_place_of_the_built_in(
    manifest: catalogue.Manifest,
) -> None:
    connector = catalogue.connector_of(manifest)
    right = catalogue.golden(manifest)[0][1]
    built_in = connector.compare(right, right, "q8")
    given = connector.compare(right, right, "q8", 0.125)
    assert (given.distance, given.threshold) == (built_in.distance, 0.125)
    assert connector.compare(right, right, "q8", None) == built_in


@pytest.mark.parametrize("made", CONNECTORS.values(), ids=CONNECTORS)
def test_half_precision_has_the_wider_floor(made: catalogue.AnyConnector) -> None:
    floors = [made.floor(dtype) for dtype in DTYPES]
    assert min(floors) >= 0
    assert floors[-1] == max(floors)
    assert made.distance


def test_the_checkouts_calibrations_are_of_its_models() -> None:
    """A model that was exported again has to be calibrated again."""
    opened = open_library(CHECKOUT)
    written = {path.parent.name for path in CHECKOUT.glob("*/calibration.json")}
    assert set(opened.calibrations) == written
    for id, found in opened.calibrations.items():
        manifest = opened.catalogue.by_id(id)
        assert manifest is not None
        assert [opened.threshold(manifest, variant) for variant in manifest.variants] == [
            one.threshold for one in found.variants
        ]

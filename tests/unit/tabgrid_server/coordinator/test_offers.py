"""What an offer knows of its model."""

from __future__ import annotations

import pytest

from tabgrid_models import catalogue
from tabgrid_models.connectors.embeddings import THRESHOLDS
from tabgrid_server.coordinator import offers
from tabgrid_server.settings import GridSettings
from tests.support.models import library


@pytest.mark.parametrize(("dtype", "wanted"), [("q8", 0.25), ("fp32", THRESHOLDS["fp32"])])
def test_answers_are_judged_by_the_threshold_that_was_measured(dtype: str, wanted: float) -> None:
    """And by the built-in one where none was."""
    models = library()
    grid = GridSettings(
        title="t", description="d", models=("all-MiniLM-L6-v2",), price_per_unit=100
    )
    built = offers.build(
        {"text": grid},
        models.catalogue.by_id,
        catalogue.connector_of,
        models.tokenizer,
        lambda manifest: {"q8": 0.25},
    )
    (offer,) = built.all
    right = catalogue.golden(offer.manifest)[0][1]
    found = offer.compare(right, right, dtype, dtype)
    assert (found.distance, found.threshold) == (0, wanted)
    found = offer.compare(right, right, dtype, "q4")
    assert (found.distance, found.threshold) == (0, offer.connector.mixed), "two precisions"


def test_the_library_says_which_thresholds_were_measured() -> None:
    models = library()
    for manifest in models.catalogue:
        found = models.thresholds(manifest)
        calibrated = models.calibrations.get(manifest.id)
        wanted = {one.dtype for one in calibrated.variants} if calibrated else set()
        assert set(found) == wanted

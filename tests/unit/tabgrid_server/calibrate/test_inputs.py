"""Honest inputs: allowed, varied, and the same every time."""

from __future__ import annotations

import pytest

from tabgrid_models import catalogue
from tabgrid_models.manifest import Manifest
from tabgrid_server.calibrate import inputs
from tests.support.models import library


@pytest.mark.parametrize("manifest", list(library().catalogue), ids=lambda manifest: manifest.id)
def test_every_honest_input_is_one_that_a_user_may_send(manifest: Manifest) -> None:
    connector = catalogue.connector_of(manifest)
    made = inputs.honest(manifest, 300)
    assert len(made) == 300
    for input in made:
        connector.validate(input, manifest)
    assert inputs.honest(manifest, 300) == made
    assert inputs.honest(manifest, 10) == made[:10], "more inputs only add to fewer"
    if manifest.id != "echo":
        assert len(set(made)) > 250, "a few short texts come twice"

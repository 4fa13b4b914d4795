"""Variants and wrong models on a native node, against a real grid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tabgrid_models import calibration
from tabgrid_models.manifest import Manifest
from tabgrid_node.choosing import Choice
from tabgrid_server.library import open_library
from tests.integration.test_native_node import Owner, eventually, statuses
from tests.support.grid import Grid
from tests.support.models import link_library
from tests.support.variants import WRONG, build

SETTINGS = """
[server]
library = "{library}"
[limits]
public_requests_per_minute = 100000
[grids.right]
title = "Right"
description = "A model in three variants, of which two are right."
models = ["three"]
price_per_unit = 1000
[grids.wrong]
title = "Wrong"
description = "A model whose weights were altered."
models = ["altered"]
price_per_unit = 1000
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = link_library(tmp_path_factory.mktemp("models") / "library")
    build(folder, {"wrong": WRONG, "slow": 60, "quick": 0}, id="three")
    build(folder, {"altered": WRONG}, id="altered")
    return folder


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Iterator[Grid]:
    running = Grid(tmp_path_factory.mktemp("grid"), SETTINGS.format(library=library))
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def owner(grid: Grid, tmp_path: Path) -> Iterator[Owner]:
    made = Owner(grid, tmp_path)
    yield made
    made.programs.stop()


def model(library: Path, id: str) -> Manifest:
    found = open_library(library).catalogue.by_id(id)
    assert found is not None
    return found


def last(node: Any) -> dict[str, Any]:
    told = statuses(node)
    return told[-1] if told else {}


def test_the_fastest_right_variant_is_remembered_beside_the_weights(
    grid: Grid, owner: Owner, library: Path
) -> None:
    node = owner.start("first", "--grid", "right", "--grid", "wrong", cache="shared")
    eventually(lambda: last(node).get("state") == "ready")
    refused = last(node)["refused"]
    assert {id: why["code"] for id, why in refused.items()} == {"altered": "wrong_numbers"}
    manifest = model(library, "three")
    note = owner.folder / "shared.cache" / "notes" / f"{manifest.digest()}.json"
    choice = msgspec.json.decode(note.read_bytes(), type=Choice)
    assert choice.variant == "quick"
    assert set(choice.speeds) == {"slow", "quick"}
    assert "onnxruntime" in choice.device

    with grid.client() as client:
        [kind] = client.get("/api/unsupported").json()["unsupported"]
        assert (kind["model"], kind["code"], kind["dtypes"]) == ("altered", "wrong_numbers", ["q4"])
        assert (kind["device_class"].split(":")[0], kind["devices"]) == ("cpu", 1)
        assert 'data-testid="unsupported-row"' in client.get("/explorer").text
    node.stop()

    weights = owner.folder / "shared.cache" / "weights"
    [slow] = [f for v in manifest.variants if v.id == "slow" for f in v.files if "slow" in f.path]
    (weights / slow.sha256).unlink()
    again = owner.start("again", "--grid", "right", wallet="first", cache="shared")
    eventually(lambda: last(again).get("state") == "ready")
    assert not (weights / slow.sha256).exists(), "the slow one was not tried again"
    assert msgspec.json.decode(note.read_bytes(), type=Choice).variant == "quick"


def test_what_was_measured_of_a_model_is_there_for_its_nodes(grid: Grid, library: Path) -> None:
    measured, other = model(library, "all-MiniLM-L6-v2"), model(library, "three")
    with grid.client() as client:
        answer = client.get(f"/api/models/{measured.digest()}/calibration")
        assert answer.status_code == 200
        found = calibration.parse(answer.content)
        assert found == open_library(library).calibrations[measured.id]
        for digest in (other.digest(), "0" * 64):
            assert client.get(f"/api/models/{digest}/calibration").status_code == 404

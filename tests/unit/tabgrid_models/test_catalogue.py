"""What a catalogue refuses, finds, and chooses for a device."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tabgrid_models import catalogue
from tabgrid_models.catalogue import Catalogue, InvalidManifest
from tabgrid_models.manifest import File, Golden, Manifest, Variant
from tests.support.models import library, manifest

MINILM = manifest("all-MiniLM-L6-v2")


def changed(**fields: Any) -> Manifest:
    return msgspec.structs.replace(MINILM, **fields)


def variant(**fields: Any) -> Variant:
    return msgspec.structs.replace(MINILM.variants[0], **fields)


def test_every_model_of_the_checkout_is_found_by_id_and_digest() -> None:
    models = library().catalogue
    assert len(models) == len(list(library().folder.glob("*/manifest.json")))
    for model in models:
        assert models.by_id(model.id) is model
        assert models.by_digest(model.digest()) is model
        assert catalogue.parse(model.canonical()) == model
    assert models.by_id("other") is None
    assert models.by_digest("0" * 64) is None


def test_two_models_cannot_share_a_name() -> None:
    with pytest.raises(InvalidManifest, match="Two models"):
        Catalogue([MINILM, MINILM])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (changed(connector="alchemy"), "No connector 'alchemy'"),
        (changed(config={}), "dimensions"),
        (changed(config={**MINILM.config, "max_tokens": 0}), "max_tokens"),
        (changed(config={**MINILM.config, "tokenizer": "other.json"}), "tokenizer"),
        (changed(variants=(variant(graphs={"model": "other.onnx"}),)), "graph"),
        (changed(variants=(variant(files=MINILM.shared),)), "twice"),
        (changed(golden=(Golden({"texts": []}, {}),)), "texts"),
        (changed(golden=(Golden({"texts": ["a", "b"]}, MINILM.golden[0].output),)), "bytes"),
    ],
)
def test_parts_that_do_not_fit_are_refused(model: Manifest, words: str) -> None:
    with pytest.raises(InvalidManifest, match=words):
        catalogue.validate(model)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"id": 7}'])
def test_what_is_not_a_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidManifest):
        catalogue.parse(data)


def test_golden_comes_as_the_connectors_structs() -> None:
    connector = catalogue.connector_of(MINILM)
    pairs = catalogue.golden(MINILM)
    assert len(pairs) == 5
    for input, output in pairs:
        assert isinstance(input, connector.Input)
        assert isinstance(output, connector.Output)


def test_a_device_gets_the_best_variant_that_it_can_hold() -> None:
    best = variant(id="fp16", needs=("shader-f16",), memory_mib=100)
    big = variant(id="fp32", memory_mib=500)
    small = variant(id="q8", memory_mib=200)
    model = changed(variants=(best, big, small))
    assert catalogue.choose_variant(model, ("shader-f16", "subgroups"), 100) is best
    assert catalogue.choose_variant(model, (), 500) is big
    assert catalogue.choose_variant(model, (), 499) is small
    assert catalogue.choose_variant(model, (), 199) is None
    assert catalogue.choose_variant(model, (), 0) is big


def test_a_download_is_the_variant_and_what_is_shared() -> None:
    first = MINILM.variants[0]
    assert catalogue.download_bytes(MINILM, first) == first.files[0].size + MINILM.shared[0].size
    assert all(isinstance(file, File) for file in catalogue.files(MINILM, first))

"""Golden answers of a variant's own: only where the manifest's are another one's."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tabgrid_models.connectors import connector
from tabgrid_node.native_runtime import NativeRuntime
from tabgrid_server.calibrate.golden import own_golden
from tests.support.variants import WRONG, build

THRESHOLD = 1.0  # levels


async def test_a_variant_brings_its_own_answers_where_it_is_far_from_the_manifests(
    tmp_path: Path,
) -> None:
    manifest = build(tmp_path, {"exact": 0, "other": WRONG})
    algorithm = connector(manifest.connector)
    found = {}
    for variant in manifest.variants:
        runtime = NativeRuntime(manifest, variant, tmp_path / manifest.id)
        found[variant.id] = await own_golden(manifest, variant, algorithm, runtime, THRESHOLD)
    assert found["exact"] == ()
    [own] = found["other"]
    answer = msgspec.convert(own, algorithm.Output)
    right = msgspec.convert(manifest.golden[0].output, algorithm.Output)
    assert algorithm.compare(right, answer, "q4").distance > THRESHOLD
    algorithm.check(msgspec.convert(manifest.golden[0].input, algorithm.Input), answer, manifest)

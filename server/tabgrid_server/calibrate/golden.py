"""The golden answers of a variant itself, where the manifest's are another one's."""

from __future__ import annotations

from typing import Any

import msgspec

from tabgrid_models.calibration import MARGIN
from tabgrid_models.connectors.base import AnyConnector
from tabgrid_models.manifest import Manifest, Variant
from tabgrid_models.runtime import Runtime, quiet


async def own_golden(
    manifest: Manifest,
    variant: Variant,
    connector: AnyConnector,
    runtime: Runtime,
    threshold: float,
) -> tuple[dict[str, Any], ...]:
    """As the connector's JSON; empty where the manifest's are as near as honest devices are."""
    own, apart = [], []
    for pair in manifest.golden:
        input = msgspec.convert(pair.input, connector.Input)
        right = msgspec.convert(pair.output, connector.Output)
        answer = await connector.run(input, manifest, runtime, quiet)
        own.append(msgspec.to_builtins(answer))
        apart.append(connector.compare(right, answer, variant.dtype).distance)
    return tuple(own) if max(apart, default=0.0) > threshold / MARGIN else ()

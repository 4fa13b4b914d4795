"""The algorithms that the grid knows. Adding one: a file here, and a line in ``_ALL``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .base import AnyConnector
from .echo import Echo
from .embeddings import Embeddings
from .text_to_image import TextToImage

_ALL: tuple[AnyConnector, ...] = (Embeddings(), Echo(), TextToImage())

CONNECTORS: Mapping[str, AnyConnector] = MappingProxyType(
    {connector.algorithm: connector for connector in _ALL}
)


def connector(algorithm: str) -> AnyConnector:
    """The connector of that name. Raises ``LookupError`` for one this version lacks."""
    try:
        return CONNECTORS[algorithm]
    except KeyError:
        known = ", ".join(sorted(CONNECTORS))
        raise LookupError(f"No connector {algorithm!r} here; there are: {known}.") from None

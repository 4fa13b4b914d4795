"""The models that somebody has: manifests read, proved consistent, and looked up.

No files are touched here. Who has bytes calls ``parse``; who has manifests makes a
``Catalogue``; who has a device asks ``choose_variant``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from .connectors import connector
from .connectors.base import AnyConnector, InvalidInput, InvalidOutput
from .manifest import File, Golden, Manifest, Variant


class InvalidManifest(ValueError):
    """A manifest that no node should see; the text says which model and what is wrong."""


class Catalogue:
    """Manifests by id and by digest."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self._by_id: dict[str, Manifest] = {}
        for manifest in manifests:
            if manifest.id in self._by_id:
                raise InvalidManifest(f"Two models are called {manifest.id!r}.")
            self._by_id[manifest.id] = manifest
        self._by_digest = {manifest.digest(): manifest for manifest in self}

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def by_id(self, id: str) -> Manifest | None:
        return self._by_id.get(id)

    def by_digest(self, digest: str) -> Manifest | None:
        return self._by_digest.get(digest)


def parse(data: bytes) -> Manifest:
    """A manifest from its JSON. Raises ``InvalidManifest``."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise InvalidManifest(f"Not a manifest: {error}.") from error
    validate(manifest)
    return manifest


def validate(manifest: Manifest) -> None:
    """Raise ``InvalidManifest`` unless all parts of the manifest fit each other."""
    try:
        algorithm = connector_of(manifest)
        msgspec.convert(manifest.config, algorithm.Config)
        for variant in manifest.variants:
            _check_files(manifest, variant)
        for golden in manifest.golden:
            _check_golden(manifest, algorithm, golden)
    except (LookupError, ValueError) as error:
        raise InvalidManifest(f"Model {manifest.id!r}: {error}") from error


def connector_of(manifest: Manifest) -> AnyConnector:
    """Raises ``LookupError`` for an algorithm that this version does not have."""
    return connector(manifest.connector)


def golden(manifest: Manifest) -> list[tuple[msgspec.Struct, msgspec.Struct]]:
    """Golden inputs and outputs as the connector's own structs."""
    algorithm = connector_of(manifest)
    return [
        (
            msgspec.convert(pair.input, algorithm.Input),
            msgspec.convert(pair.output, algorithm.Output),
        )
        for pair in manifest.golden
    ]


def files(manifest: Manifest, variant: Variant) -> tuple[File, ...]:
    """Everything a device downloads to run this variant."""
    return (*manifest.shared, *variant.files)


def download_bytes(manifest: Manifest, variant: Variant) -> int:
    return sum(file.size for file in files(manifest, variant))


def choose_variant(
    manifest: Manifest, features: Collection[str], memory_mib: int
) -> Variant | None:
    """The best variant that such a device can hold; manifests name the best first.

    A device that cannot say how much memory it has (``memory_mib`` 0) is given the
    benefit of the doubt: its self-test decides.
    """
    for variant in manifest.variants:
        fits = memory_mib == 0 or variant.memory_mib <= memory_mib
        if fits and set(variant.needs) <= set(features):
            return variant
    return None


def _check_files(manifest: Manifest, variant: Variant) -> None:
    paths = [file.path for file in files(manifest, variant)]
    if len(set(paths)) < len(paths):
        raise ValueError(f"variant {variant.id!r} names a file twice.")
    missing = [path for path in variant.graphs.values() if path not in paths]
    if missing:
        raise ValueError(f"variant {variant.id!r} lacks the file of its graph {missing[0]!r}.")
    tokenizer = manifest.config.get("tokenizer")
    if tokenizer is not None and tokenizer not in paths:
        raise ValueError(f"its tokenizer {tokenizer!r} is not among the files.")


def _check_golden(manifest: Manifest, algorithm: AnyConnector, golden: Golden) -> None:
    asked = msgspec.convert(golden.input, algorithm.Input)
    answer = msgspec.convert(golden.output, algorithm.Output)
    try:
        algorithm.validate(asked, manifest)
        algorithm.check(asked, answer, manifest)
    except (InvalidInput, InvalidOutput) as error:
        raise ValueError(f"a golden answer is wrong: {error}") from error

"""Print how many MiB a variant needs: run in a process of its own, since peaks do not fall.

Usage: python -m tabgrid_server.export.memory MANIFEST FOLDER
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from tabgrid_models import catalogue
from tabgrid_models.connectors.embeddings import MAX_PADDED_TOKENS, Embeddings, EmbeddingsInput

from .native import NativeRuntime


def peak_mib() -> float:
    """Largest resident size so far.

    Linux: VmHWM, since a child's ru_maxrss starts at its parent's peak. macOS: bytes.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(manifest_file: str, folder: str) -> None:
    manifest = catalogue.parse(Path(manifest_file).read_bytes())
    before = peak_mib()
    runtime = NativeRuntime(manifest, manifest.variants[0], Path(folder))
    limit = manifest.config["max_tokens"]
    full = EmbeddingsInput(("grid " * limit,) * (MAX_PADDED_TOKENS // limit))
    asyncio.run(Embeddings().run(full, manifest, runtime, lambda *_: None))
    print(round(peak_mib() - before))


if __name__ == "__main__":
    main(*sys.argv[1:])

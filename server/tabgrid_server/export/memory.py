"""Print how many MiB a variant needs: run in a process of its own, since peaks do not fall.

Usage: python -m tabgrid_server.export.memory MANIFEST FOLDER VARIANT INPUT
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from tabgrid_models import catalogue
from tabgrid_models.manifest import Manifest, Variant

from . import ExportError
from .native import NativeRuntime


def measure(manifest: Manifest, variant: Variant, folder: Path, input: msgspec.Struct) -> int:
    """Peak of a process that answers ``input``, less what it was before loading, in MiB."""
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch) / "manifest.json", Path(scratch) / "input.json"
        files[0].write_bytes(manifest.canonical())
        files[1].write_bytes(msgspec.json.encode(input))
        command = [sys.executable, "-m", __name__, str(files[0]), str(folder), variant.id]
        done = subprocess.run(  # noqa: S603
            [*command, str(files[1])], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise ExportError(f"Memory could not be measured: {done.stderr.strip()[-300:]}")
    return int(done.stdout)


def peak_mib() -> float:
    """Largest resident size so far.

    Linux: VmHWM, since a child's ru_maxrss starts at its parent's peak. macOS: bytes.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(manifest_file: str, folder: str, id: str, input_file: str) -> None:
    manifest = catalogue.parse(Path(manifest_file).read_bytes())
    (variant,) = (variant for variant in manifest.variants if variant.id == id)
    algorithm = catalogue.connector_of(manifest)
    input = msgspec.json.decode(Path(input_file).read_bytes(), type=algorithm.Input)
    before = peak_mib()
    runtime = NativeRuntime(manifest, variant, Path(folder))
    asyncio.run(algorithm.run(input, manifest, runtime, lambda *_: None))
    print(max(1, round(peak_mib() - before)))


if __name__ == "__main__":
    main(*sys.argv[1:])

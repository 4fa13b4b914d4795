"""The folder of models on disk: one folder per model, its ``manifest.json`` and its files.

A file that another model of the library has already need not lie there again: it is found
by its SHA-256, wherever it is.

Opening reads manifests and file sizes only, so that a coordinator starts at once; what the
bytes are is proved by ``verify``, and by every node that downloads them.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from tabgrid_models import calibration, catalogue
from tabgrid_models.calibration import Calibration
from tabgrid_models.catalogue import Catalogue, InvalidManifest
from tabgrid_models.manifest import File, Manifest, Variant
from tabgrid_models.runtime import Tokenizer

from .settings import CHECKOUT_LIBRARY

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Fast

MANIFEST = "manifest.json"
#: Beside the manifest and no part of it: see ``tabgrid_models.calibration``.
CALIBRATION = "calibration.json"
CHECKOUT = CHECKOUT_LIBRARY


class LibraryError(Exception):
    """The folder of models is not usable; the text names the file and what to do."""


@dataclass(frozen=True)
class Library:
    """A catalogue, and where its files lie."""

    folder: Path
    catalogue: Catalogue
    #: SHA-256 of a file to its path, for ``/weights/{sha256}``.
    files: Mapping[str, Path]
    #: Model id to what was measured of it; those of other weights or comparators left out.
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)

    def threshold(self, manifest: Manifest, variant: Variant) -> float | None:
        """For ``Connector.compare``; None where the model was not calibrated."""
        found = self.calibrations.get(manifest.id)
        return found.threshold(variant) if found else None

    def thresholds(self, manifest: Manifest) -> Mapping[str, float]:
        """By dtype; empty where the model was not calibrated."""
        found = self.calibrations.get(manifest.id)
        return found.thresholds() if found else {}

    def step_thresholds(self, manifest: Manifest) -> Mapping[str, float]:
        """By dtype, for steps that are run again; empty where the model was not calibrated."""
        found = self.calibrations.get(manifest.id)
        return found.step_thresholds() if found else {}

    def folder_of(self, manifest: Manifest) -> Path:
        """Where its manifest lies, and those of its files that no other model brought."""
        return self.folder / manifest.id

    def tokenizer(self, manifest: Manifest) -> Tokenizer | None:
        """The model's tokeniser, loaded; None if its manifest names none."""
        name = manifest.config.get("tokenizer")
        found = [self.files[file.sha256] for file in all_files(manifest) if file.path == name]
        return FastTokenizer(found[0]) if found else None

    def lay_out(self, manifest: Manifest, folder: Path) -> Path:
        """All its files in one ``folder``, under the names that its graphs know them by."""
        for file in all_files(manifest):
            place = folder / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                place.hardlink_to(self.files[file.sha256])
            except OSError:  # another disk, or one without links
                shutil.copyfile(self.files[file.sha256], place)
        return folder


class FastTokenizer:
    """``tokenizers`` behind the grid's protocol.

    Threads may share it: a megabyte of text takes a good part of a second, which no event
    loop has, and ``encode`` gives the interpreter free meanwhile.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        #: One per limit, since the limit is state of the underlying object; a model has two.
        self._cut_at: dict[int, Fast] = {}

    def encode(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        fast = self._cut_at.get(max_tokens) or self._load(max_tokens)
        return [encoding.ids for encoding in fast.encode_batch_fast(list(texts))]

    def _load(self, max_tokens: int) -> Fast:
        from tokenizers import Tokenizer as Fast

        fast = Fast.from_file(str(self._file))
        fast.no_padding()
        fast.enable_truncation(max_tokens)
        self._cut_at[max_tokens] = fast
        return fast


def open_library(folder: Path | None = None) -> Library:
    """Read all manifests of ``folder`` (None: the checkout's). Raises ``LibraryError``."""
    folder = CHECKOUT if folder is None else folder
    if not folder.is_dir():
        raise LibraryError(
            f"There is no model library at {folder}; set server.library to one, "
            "or run from a checkout."
        )
    manifests = [_read(path) for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    try:
        models = Catalogue(manifests)
    except InvalidManifest as error:
        raise LibraryError(f"{folder}: {error}") from error
    return Library(folder, models, find_files(folder, models), _calibrations(folder, models))


def find_files(folder: Path, models: Catalogue) -> Mapping[str, Path]:
    """Where each file lies, by its SHA-256: two models that share weights keep them once.

    Raises ``LibraryError``.
    """
    wanted = [(folder / m.id / file.path, file) for m in models for file in all_files(m)]
    files = {file.sha256: _sized(path, file) for path, file in wanted if path.exists()}
    for path, file in wanted:
        if file.sha256 not in files:
            files[file.sha256] = _sized(path, file)  # says what is missing
    return MappingProxyType(files)


def all_files(manifest: Manifest) -> Iterator[File]:
    """Shared files, then those of every variant; each path once."""
    seen = set()
    for file in (*manifest.shared, *(f for v in manifest.variants for f in v.files)):
        if file.path not in seen:
            seen.add(file.path)
            yield file


def verify(library: Library, manifest: Manifest) -> Iterator[tuple[File, bool]]:
    """Hash every file of a model; says of each whether its bytes are what the manifest says."""
    for file in all_files(manifest):
        yield file, sha256(library.files[file.sha256]) == file.sha256


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read(path: Path) -> Manifest:
    try:
        manifest = catalogue.parse(path.read_bytes())
    except (OSError, InvalidManifest) as error:
        raise LibraryError(f"{path}: {error}") from error
    if manifest.id != path.parent.name:
        raise LibraryError(
            f"{path}: the model is called {manifest.id!r}, so its folder must be too."
        )
    return manifest


def _calibrations(folder: Path, models: Catalogue) -> Mapping[str, Calibration]:
    """One that was made for other files or another comparator says nothing of these."""
    found = {}
    for manifest in models:
        path = folder / manifest.id / CALIBRATION
        if not path.exists():
            continue
        try:
            made = calibration.parse(path.read_bytes())
        except (OSError, msgspec.DecodeError) as error:
            raise LibraryError(
                f"{path}: {error}; make it again with 'tabgrid models calibrate {manifest.id}'."
            ) from error
        if made.fits(manifest, catalogue.connector_of(manifest).comparator_version):
            found[manifest.id] = made
    return MappingProxyType(found)


def _sized(path: Path, file: File) -> Path:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise LibraryError(
            f"{path} cannot be read ({error.strerror}); restore it, or export the model again "
            "with 'tabgrid models add'."
        ) from error
    if size != file.size:
        raise LibraryError(
            f"{path} has {size} bytes instead of {file.size}; restore it, or export the model "
            "again with 'tabgrid models add'."
        )
    return path

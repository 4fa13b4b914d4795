"""One TOML file, then environment, then flags; checked once.

``TABGRID_<SECTION>_<FIELD>`` overrides the file: ``TABGRID_SERVER_PORT=9000``. Nothing
else in the server reads the environment.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from .sections import Secret, Settings


class SettingsError(Exception):
    """A setting is missing, unknown or out of range; the text names it and says what fits."""


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Read, merge and check. Raises ``SettingsError`` with one sentence per mistake."""
    given = _read(file) if file else {}
    layers = (defaults or {}, given, _from_environment(environment or {}), overrides or {})
    tree = functools.reduce(_laid_over, layers)
    try:
        # Not strict: the environment has only strings, and "8402" is a fine port.
        return msgspec.convert(tree, Settings, strict=False, dec_hook=_secret)
    except msgspec.ValidationError as error:
        where = f" in {file}" if file else ""
        raise SettingsError(f"Settings{where}: {error}") from error


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Field by field, in sections of sections too; a list takes the whole place of a list."""
    merged = dict(below)
    for name, value in above.items():
        there = merged.get(name, {})
        if not isinstance(value, Mapping):
            merged[name] = value
        elif isinstance(there, Mapping):
            merged[name] = _laid_over(there, value)
        # Else no section is below, which the check that follows tells.
    return merged


def _secret(kind: type, value: Any) -> Any:
    if kind is not Secret or not isinstance(value, str):
        raise ValueError("it must be text")  # never says what it is instead
    return Secret(value)


def replace(settings: Settings, **sections: Mapping[str, Any]) -> Settings:
    """The same settings with some fields of some sections changed."""
    changed = {
        name: msgspec.structs.replace(getattr(settings, name), **fields)
        for name, fields in sections.items()
    }
    return msgspec.structs.replace(settings, **changed)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"There is no settings file {file}; give --settings a path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    tree: dict[str, dict[str, str]] = {}
    for name, value in environment.items():
        if name.startswith("TABGRID_"):
            section, field = _place(name)
            tree.setdefault(section, {})[field] = value
    return tree


def _place(variable: str) -> tuple[str, str]:
    """Section and field of a variable's name."""
    section, _, field = variable.removeprefix("TABGRID_").lower().partition("_")
    if section not in Settings.__struct_fields__ or section == "grids" or not field:
        known = ", ".join(s for s in Settings.__struct_fields__ if s != "grids")
        raise SettingsError(
            f"{variable} is not a setting; "
            f"it should be TABGRID_<SECTION>_<FIELD> with one of {known}."
        )
    return section, field

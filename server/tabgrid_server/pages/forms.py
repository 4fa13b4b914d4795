"""A connector's input as a form, made from its JSON Schema: so a new connector has one at once."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Kind = Literal["text", "line", "lines", "integer", "number", "check", "json"]
#: Longer than a line of the page is worth a field of several.
LINE = 200


class Field(msgspec.Struct, frozen=True):
    name: str
    label: str
    kind: Kind
    required: bool
    hint: str = ""
    value: str = ""
    #: Of a number, of the characters of a text, of how many lines.
    least: float | None = None
    most: float | None = None


def fields(kind: type[Any]) -> tuple[Field, ...]:
    """One per field of the struct, in its order."""
    schema = msgspec.json.schema(kind)
    known = schema.get("$defs", {})
    top = _resolved(schema, known)
    required = set(top.get("required", ()))
    return tuple(
        _field(name, _resolved(part, known), name in required)
        for name, part in top["properties"].items()
    )


def _field(name: str, part: dict[str, Any], required: bool) -> Field:
    kind = _kind(part)
    default = part.get("default")
    counted = {"text": "Length", "line": "Length", "lines": "Items"}.get(kind)
    return Field(
        name=name,
        label=name.replace("_", " ").capitalize(),
        kind=kind,
        required=required,
        hint=_hint(part, kind),
        value="" if default is None else str(default).lower() if kind == "check" else str(default),
        least=part.get(f"min{counted}" if counted else "minimum"),
        most=part.get(f"max{counted}" if counted else "maximum"),
    )


def _kind(part: dict[str, Any]) -> Kind:
    match part.get("type"):
        case "string":
            return "text" if part.get("maxLength", LINE + 1) > LINE else "line"
        case "integer" | "number" | "boolean" as simple:
            return "check" if simple == "boolean" else simple
        case "array" if part.get("items", {}).get("type") == "string":
            return "lines"
    return "json"


def _hint(part: dict[str, Any], kind: Kind) -> str:
    """What one has to know to fill it in."""
    said = [part["description"]] if "description" in part else []
    if kind == "lines":
        said.append(f"One per line, {part.get('minItems', 0)} to {part.get('maxItems', 'any')}.")
    if kind == "json":
        said.append("As JSON.")
    return " ".join(said)


def _resolved(part: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, and take null away from what may be null."""
    if "$ref" in part:
        return _resolved(known[part["$ref"].rpartition("/")[2]], known)
    choices = [choice for choice in part.get("anyOf", ()) if choice.get("type") != "null"]
    if len(choices) == 1:
        return {**{k: v for k, v in part.items() if k != "anyOf"}, **_resolved(choices[0], known)}
    return part

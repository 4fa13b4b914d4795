"""OpenAPI 3.1 from the operations themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from .. import __version__
from . import idempotency
from .operations import Operation
from .schemas.errors import ErrorBody

_REF = "#/components/schemas/{name}"
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "key": [{"key": []}],
    "session": [{"session": []}, {"cookie": []}],
}
#: What a path parameter must look like; others are free text.
PARAMETERS: dict[str, dict[str, Any]] = {
    "job": {"type": "string", "pattern": "^job_[0-9A-HJKMNP-TV-Z]{26}$"},
    "claim": {"type": "string", "pattern": "^claim_[0-9A-HJKMNP-TV-Z]{26}$"},
    "deposit": {"type": "string", "pattern": "^dep_[0-9A-HJKMNP-TV-Z]{26}$"},
    "refund": {"type": "string", "pattern": "^refund_[0-9A-HJKMNP-TV-Z]{26}$"},
    "address": {"type": "string", "pattern": "^[1-9A-HJ-NP-Za-km-z]{32,44}$"},
    "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
}


def describe(operations: Iterable[Operation], url: str) -> dict[str, Any]:
    """The document that ``/openapi.json`` serves."""
    operations = list(operations)
    types = [t for o in operations for t in (o.body, o.query, o.returns) if _is_struct(t)]
    schemas, components = msgspec.json.schema_components([*types, ErrorBody], ref_template=_REF)
    by_type = dict(zip([*types, ErrorBody], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for op in operations:
        path = re.sub(r":\w+}", "}", op.path)
        paths.setdefault(path, {})[op.method.lower()] = _operation(op, by_type, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tabgrid",
            "version": __version__,
            "description": "An open compute grid made of browser tabs.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "tabgrid_session"},
            },
        },
    }


def _operation(
    op: Operation, schemas: dict[Any, Any], components: dict[str, Any]
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": op.summary,
        "operationId": op.handler.__name__,
        "tags": [op.tag],
        "parameters": [
            *_path_parameters(op),
            *_query_parameters(op, components),
            *_header_parameters(op),
        ],
        "responses": _responses(op, schemas),
    }
    if op.body is not None:
        content = {"application/json": {"schema": schemas[op.body]}}
        described["requestBody"] = {"required": True, "content": content}
    if op.upload:
        described["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    if op.auth:
        described["security"] = _SECURITY[op.auth]
    return described


def _path_parameters(op: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": PARAMETERS.get(name, {"type": "string", "minLength": 1}),
        }
        for name in re.findall(r"{(\w+)", op.path)
    ]


def _query_parameters(op: Operation, components: dict[str, Any]) -> list[dict[str, Any]]:
    if op.query is None:
        return []
    schema = components[op.query.__name__]
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": s}
        for name, s in schema["properties"].items()
    ]


def _header_parameters(op: Operation) -> list[dict[str, Any]]:
    if not op.repeatable:
        return []
    described = "Your name for this request: sent again with it within a day, it is the same job."
    schema = {"type": "string", "pattern": idempotency.PATTERN}
    return [
        {
            "name": idempotency.HEADER,
            "in": "header",
            "required": False,
            "description": described,
            "schema": schema,
        }
    ]


def _responses(op: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    statuses = set(op.errors)
    if op.body is not None:
        statuses |= {400, 413, 415}
    if op.query is not None or op.upload:
        statuses.add(400)
    if op.auth:
        statuses.add(401)
    responses: dict[str, Any] = {
        str(status): _success(op, schemas) for status in (op.status, op.also) if status
    }
    for status in sorted(statuses):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"schema": schemas[ErrorBody]}},
        }
    return responses


def _success(op: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(op.status).phrase}
    if _is_struct(op.returns):
        described["content"] = {op.media: {"schema": schemas[op.returns]}}
    elif op.returns is not None:
        described["content"] = {op.media: {}}
    return described


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)

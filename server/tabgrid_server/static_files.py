"""Serves the web build: immutable files under hashed names, compressed ahead of time.

An ASGI app for ``/static/dist``. What ``build/web`` puts there is named after its content,
so a browser may keep it for a year and never ask again. A ``.br`` beside a file is sent to
whoever accepts brotli; nothing is compressed while a request waits.
"""

from __future__ import annotations

import mimetypes
import os
import stat
from email.utils import formatdate
from pathlib import Path

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

DIST = Path(__file__).parent / "static" / "dist"
#: What the standard library guesses from the machine's own tables, and so not everywhere.
MIME_TYPES = {
    ".bin": "application/octet-stream",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".zip": "application/zip",
}
#: One year, the longest that RFC 9111's caches are expected to honour.
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "public, no-cache"
#: The lists of the other names are the only files whose content changes under their name.
UNHASHED = frozenset({"manifest.json", "manifest.before.json"})


class StaticAssets:
    """ASGI app; mount it at ``/static/dist``."""

    def __init__(self, directory: Path = DIST) -> None:
        self.directory = directory.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(scope)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Method not allowed", 405, {"Allow": "GET, HEAD"})
        path = self._path(scope)
        found = await anyio.to_thread.run_sync(self._find, path) if path else None
        if path is None or found is None:
            return PlainTextResponse("Not found", 404)
        return self._file(path, *found, Headers(scope=scope))

    def _path(self, scope: Scope) -> Path | None:
        """The file that a URL names, or None where it would lie outside of the folder."""
        root = scope.get("root_path", "")
        relative = scope["path"].removeprefix(root).removeprefix("/")
        parts = relative.split("/")
        # No dot files, no parent folders, no backslashes, no NUL: none of ours has them.
        if not all(part and part[0] != "." and part.isprintable() for part in parts):
            return None
        return None if "\\" in relative else self.directory.joinpath(*parts)

    def _find(self, path: Path) -> tuple[os.stat_result, os.stat_result | None] | None:
        """Status of the file and of its brotli twin."""
        plain = _regular(path)
        return (plain, _regular(path.with_name(path.name + ".br"))) if plain else None

    def _file(
        self,
        path: Path,
        plain: os.stat_result,
        brotli: os.stat_result | None,
        request: Headers,
    ) -> Response:
        compressed = brotli is not None and _accepts_brotli(request.get("accept-encoding", ""))
        status = brotli if compressed and brotli is not None else plain
        headers = self._headers(path, plain, compressed, brotli is not None)
        if headers["ETag"] in _tags(request.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        source = path.with_name(path.name + ".br") if compressed else path
        response = FileResponse(source, headers=headers, stat_result=status)
        # Ranges count bytes of what is sent, so they would mean another thing per encoding.
        response.headers["Accept-Ranges"] = "none" if compressed else "bytes"
        return response

    def _headers(
        self, path: Path, plain: os.stat_result, compressed: bool, varies: bool
    ) -> dict[str, str]:
        kind = MIME_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
        tag = f"{plain.st_mtime_ns:x}-{plain.st_size:x}{'-br' if compressed else ''}"
        headers = {
            "Content-Type": kind or "application/octet-stream",
            "Cache-Control": REVALIDATE if path.name in UNHASHED else IMMUTABLE,
            "ETag": f'"{tag}"',
            "Last-Modified": formatdate(plain.st_mtime, usegmt=True),
        }
        if varies:
            headers["Vary"] = "Accept-Encoding"
        if compressed:
            headers["Content-Encoding"] = "br"
        return headers


def _regular(path: Path) -> os.stat_result | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _accepts_brotli(header: str) -> bool:
    """``br`` is named and not refused by ``q=0`` (RFC 9110, 12.5.3)."""
    for item in header.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        if coding == "br":
            return not any(p.replace(" ", "") in ("q=0", "q=0.0", "q=0.00") for p in parameters)
    return False


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}

"""What every response carries and every request gets: security headers, an id, a log line."""

from __future__ import annotations

import os
import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import metrics

log = structlog.get_logger("tabgrid.http")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        # WebAssembly may be compiled; text may never become script.
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self'",
        "connect-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    # Both are needed for threads in WebAssembly: they switch on cross-origin isolation.
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-embedder-policy", b"require-corp"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)


class Envelope:
    """Outermost layer of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = os.urandom(8).hex()
        status = 500
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.setdefault("headers", [])
                headers += HEADERS
                headers.append((b"x-request-id", request_id.encode()))
            await send(message)

        # Never unbound: the server runs each request in a task, so in a context of its own.
        structlog.contextvars.bind_contextvars(request=request_id)
        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            _record(scope, status, time.perf_counter() - started)


def _record(scope: Scope, status: int, seconds: float) -> None:
    endpoint: Any = scope.get("endpoint")
    name = getattr(endpoint, "__name__", "none")
    metrics.REQUESTS.labels(name, status).inc()
    # Every request at debug only: at a thousand a second the log would be the load.
    write = log.warning if status >= 500 else log.info if status >= 400 else log.debug
    write(
        "request",
        method=scope["method"],
        path=scope["path"],
        status=status,
        ms=round(1000 * seconds, 1),
    )

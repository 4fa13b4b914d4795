"""The coordinator's side of a node whose worker runs in a page, beside other contenders."""

from __future__ import annotations

import base64
import os
import time
from typing import Any, NamedTuple

import click
import msgspec
from playwright.sync_api import Page

from tabgrid_models.manifest import Manifest
from tabgrid_wire import messages as m
from tabgrid_wire.ids import new_id
from tabgrid_wire.protocol import Connection

from . import chromium

GRID = "bench"
WALLET = "11111111111111111111111111111111"
#: Nobody waits for a bench's lease.
DEADLINE_MS = 3_600_000


class Turn(NamedTuple):
    """One answer of one contender."""

    ms: float
    answer: bytes
    #: Bytes that came back from the GPU.
    read: int = 0


def open_bench(page: Page, scripts: str) -> None:
    """Lay ``web/src/bench/page.ts`` into the page."""
    page.add_script_tag(url=f"{scripts}page.js", type="module")
    page.wait_for_function("() => !!window.bench")


def call(page: Page, function: str, *arguments: object) -> Any:
    return page.evaluate(f"args => window.bench.{function}(...args)", list(arguments))


def turn(page: Page, contender: str, work: object, frame: str = "") -> Turn:
    taken = call(page, "turn", contender, work, frame)
    return Turn(taken["ms"], base64.b64decode(taken["answer"]), taken["read"])


def threads_of(page: Page) -> int:
    """As many as the tab takes by itself: worker/capability.ts has it."""
    return min(8, max(1, (int(page.evaluate("navigator.hardwareConcurrency")) + 1) // 2))


class PageNode:
    """The node's own worker as it is built, its socket led to here."""

    def __init__(self, page: Page, scripts: str, manifest: Manifest) -> None:
        self._page = page
        self._scripts = scripts
        self._manifest = manifest
        self._connection = Connection("coordinator")

    def start(self, threads: int, backend: str = "wasm") -> m.LoadedModel:
        """Until the model passed its self-test. Raises ClickException where it does not."""
        script, assets = f"{self._scripts}node.js", chromium.assets()
        self.received(call(self._page, "startNode", script, assets, WALLET, threads, backend))
        offered = m.OfferedModel(GRID, self._manifest.id, self._manifest.digest())
        welcome = m.Welcome(_id("node"), WALLET, (offered,), heartbeat_s=30)
        ready = self.received(call(self._page, "say", self._frame(welcome)))
        if not isinstance(ready, m.Ready) or not ready.models:
            raise click.ClickException(f"The tab cannot run the model: {ready}")
        return ready.models[0]

    def assign(self, input: msgspec.Struct) -> str:
        """A job as a frame; the node takes the same lease again once it has answered it."""
        encoded, digest = msgspec.msgpack.encode(input), self._manifest.digest()
        assign = m.Assign(_id("lease"), _id("job"), GRID, digest, encoded, DEADLINE_MS)
        return self._frame(assign)

    def turn(self, input: msgspec.Struct) -> Turn:
        """From the bytes of an Assign to those of its Result; the answer is the output."""
        taken = turn(self._page, "node", None, self.assign(input))
        return taken._replace(answer=self.output(taken.answer))

    def traced(self, input: msgspec.Struct) -> tuple[bytes, bytes]:
        """The output, and what lay between the steps to it."""
        result = self.result(turn(self._page, "node", None, self.assign(input)).answer)
        return result.output, result.trace

    def received(self, frame: str) -> Any:
        return self._connection.receive(base64.b64decode(frame))

    def output(self, answer: bytes) -> bytes:
        """What a Result's frame holds. Raises ClickException for a Failed."""
        return self.result(answer).output

    def result(self, answer: bytes) -> m.Result:
        result: Any = self._connection.receive(answer)
        if not isinstance(result, m.Result):
            raise click.ClickException(f"The tab failed: {result}")
        return result

    def _frame(self, message: m.ToNode) -> str:
        return base64.b64encode(self._connection.send(message)).decode()


def _id(prefix: str) -> str:
    return new_id(prefix, int(time.time() * 1000), os.urandom(10))

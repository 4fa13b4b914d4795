"""What nodes say of themselves and of the jobs they run; answers are in ``results``."""

from __future__ import annotations

import os
import time

import structlog

from tabgrid_wire import messages as wire
from tabgrid_wire.ids import new_id

from .. import metrics, scheduler
from ..api.schemas.jobs import Preview, Progress
from . import previews
from .dispatch import Dispatch
from .live import Link, LiveNode
from .standing import Digests
from .state import State

log = structlog.get_logger("tabgrid.coordinator")


class NodeEvents:
    def __init__(self, state: State, dispatch: Dispatch) -> None:
        self._state = state
        self._dispatch = dispatch

    def joined(self, hello: wire.Hello, wallet: str, worker_key: str, link: Link) -> LiveNode:
        now = time.time()
        id = new_id("node", int(now * 1000), os.urandom(10))
        node = LiveNode(id, wallet, worker_key, hello, link, now)
        node.reference = wallet in self._state.settings.scheduling.reference_wallets
        self._state.nodes[node.id] = node
        metrics.NODES.labels(hello.backend).inc()
        grids = frozenset(hello.grids)
        self._dispatch.tell(
            scheduler.NodeJoined(node.id, wallet, grids, node.reference, hello.device_class)
        )
        log.info("node joined", node=node.id, wallet=wallet, backend=hello.backend)
        return node

    def left(self, node: LiveNode, why: str) -> None:
        if self._state.nodes.pop(node.id, None) is None:
            return
        metrics.NODES.labels(node.hello.backend).dec()
        self._dispatch.standings.left(node)
        self._dispatch.tell(scheduler.NodeLeft(node.id))
        log.info("node left", node=node.id, why=why, jobs_done=node.jobs_done)

    def ready(self, node: LiveNode, ready: wire.Ready) -> None:
        here = [o for grid in node.hello.grids for o in self._state.offers.of_grid(grid)]
        variants = {(o.digest, v.id, v.dtype) for o in here for v in o.manifest.variants}
        # The dtype chooses the threshold of every check, so a node cannot make one up.
        held = [m for m in ready.models if (m.digest, m.variant, m.dtype) in variants]
        node.models = {model.digest: model for model in held}
        node.state = "ready"
        speeds = {digest: model.units_per_second for digest, model in node.models.items()}
        at = self._standing_of(node)
        dtypes = {digest: model.dtype for digest, model in node.models.items()}
        self._dispatch.tell(
            scheduler.NodeReady(
                node.id, speeds, ready.capacity, at.barred, at.proven, dtypes, at.held
            )
        )
        self._state.unsupported.told(node.hello, ready, (offer.digest for offer in here))
        for refused in ready.refused:
            metrics.MODELS_REFUSED.labels(refused.code).inc()
            log.info(
                "node refused a model",
                node=node.id,
                model=refused.digest,
                code=refused.code,
                why=refused.reason,
            )

    def _standing_of(self, node: LiveNode) -> Digests:
        auditing, now = self._dispatch.auditing, time.time()
        if not auditing.on or node.reference:
            return Digests()
        return self._dispatch.standings.ready(node, auditing.offered(node, now), now)

    def paused(self, node: LiveNode) -> None:
        node.state = "paused"
        self._dispatch.tell(scheduler.NodePaused(node.id))

    def drain(self, node: LiveNode) -> None:
        """Give it nothing more."""
        node.state = "draining"
        self._dispatch.tell(scheduler.NodeDraining(node.id))

    def job_progressed(self, node: LiveNode, message: wire.Progress) -> None:
        job = self._dispatch.job_of(node, message.lease)
        if job is None:
            return
        job.progress = Progress(message.done, message.total, message.stage)
        self._state.publish(job)

    def job_previewed(self, node: LiveNode, chunk: wire.Chunk) -> None:
        """Pass a picture of a running job on, if it is one and not too soon after the last."""
        job = self._dispatch.job_of(node, chunk.lease)
        if job is not None and previews.take(job, chunk.data, time.monotonic()):
            self._state.followers.publish(previews.topic(job.id), lambda: Preview(chunk.data))

    def job_failed(self, node: LiveNode, message: wire.Failed) -> None:
        if not self._dispatch.holds(node, message.lease, message.job):
            return
        metrics.ATTEMPTS_FAILED.labels(message.code).inc()
        reason = f"{message.code}: {message.message}"
        # A paused tab hands its job back with "internal"; its owner did nothing wrong. Nor did
        # that of a node too old for an input that we found good. Yet one node's word ends no
        # job: another one is asked.
        blame = message.code != "bad_input" and node.state != "paused"
        self._dispatch.tell(scheduler.AttemptFailed(message.lease, reason, blame))

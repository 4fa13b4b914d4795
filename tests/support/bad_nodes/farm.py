"""Nodes of the native program, many in one process: honest ones, references and cheats.

They sign in with wallets of their own, fetch and test the grid's models, and answer over their
own sockets. All that they share is the memory that a model takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from solders.keypair import Keypair

from tabgrid_models.connectors import connector as connector_of
from tabgrid_models.connectors.base import AnyConnector
from tabgrid_models.manifest import Manifest, Variant
from tabgrid_models.runtime import Runtime
from tabgrid_node.hosts import DownloadProgress, NodeStatus
from tabgrid_node.native import NativeHost
from tabgrid_node.native_runtime import NativeRuntime
from tabgrid_node.node import Node

from .cheats import Cheat
from .liar import Liar
from .workshop import Workshop

#: Far longer than twenty nodes need on a loaded machine.
READY_S = 240.0

Once = Callable[[object, Callable[[], Awaitable[NativeRuntime]]], Awaitable[NativeRuntime]]


class SharingHost(NativeHost):
    """Downloads and verifies what nobody in this process has yet."""

    once: Once

    async def load(
        self, manifest: Manifest, variant: Variant, progress: DownloadProgress
    ) -> Runtime:
        async def load() -> NativeRuntime:
            loaded = await super(SharingHost, self).load(manifest, variant, progress)
            assert isinstance(loaded, NativeRuntime)
            return loaded

        return await self.once((manifest.digest(), variant.id), load)


class Member:
    """One node, and who stands behind it."""

    def __init__(self, name: str, wallet: Keypair, cheat: Cheat | None) -> None:
        self.name = name
        self.keypair = wallet
        self.cheat = cheat
        #: By algorithm; of a cheat only.
        self.liars: dict[str, Liar] = {}
        self.status: NodeStatus | None = None
        self.node: Node | None = None
        self.device_class = ""

    @property
    def wallet(self) -> str:
        return str(self.keypair.pubkey())

    @property
    def tested(self) -> bool:
        """It has loaded what it was offered, whatever the grid thinks of it."""
        node = self.node
        return node is not None and node.life.loaded

    @property
    def ready(self) -> bool:
        return self.status is not None and self.status.state in ("ready", "working")

    def told(self, status: NodeStatus) -> None:
        self.status = status


class Farm:
    """Runs members until it is left."""

    def __init__(self, url: str, workshop: Workshop, folder: Path) -> None:
        self.workshop = workshop
        self._url = url
        self._folder = folder
        self.members: list[Member] = []
        self._hosts: list[NativeHost] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Farm:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        for member in self.members:
            if member.node is not None:
                member.node.stop()
                member.node.stop()  # twice: it does not wait for jobs
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for host in self._hosts:
            await host.close()

    def add(
        self,
        name: str,
        *grids: str,
        cheat: Cheat | None = None,
        device_class: str = "",
        wallet: Keypair | None = None,
        capacity: int = 1,
    ) -> Member:
        """Start one; ``device_class`` "" is what this machine is."""
        member = Member(name, wallet or Keypair(), cheat)
        host = SharingHost(
            self._url, member.keypair, self._folder, threads=1, device_name=name,
            on_status=member.told,
        )  # fmt: skip
        host.once = self.workshop.once
        if device_class:
            host.device = msgspec.structs.replace(host.device, device_class=device_class)
        member.device_class = host.device.device_class
        member.node = Node(host, grids, member.wallet, capacity=capacity, find=self._find(member))
        self.members.append(member)
        self._hosts.append(host)
        self._tasks.append(asyncio.create_task(member.node.run()))
        return member

    async def until_ready(self) -> None:
        await self.until(lambda: all(member.ready for member in self.members))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(READY_S):
            while not true():
                await asyncio.sleep(0.05)

    def _find(self, member: Member) -> Callable[[str], AnyConnector]:
        def find(algorithm: str) -> AnyConnector:
            honest = connector_of(algorithm)
            if member.cheat is None:
                return honest
            liar = Liar(honest, member.cheat, member.wallet, self.workshop)
            member.liars[algorithm] = liar
            return liar

        return find

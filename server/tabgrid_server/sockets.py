"""``/ws/node``: who may open a socket, under limits that each have a reason.

The handshake says who it is (session cookie, or bearer token of a native node); from then
on it is a ``NodeSocket``.
"""

from __future__ import annotations

from collections import Counter
from urllib.parse import urlsplit

from starlette.websockets import WebSocket

from tabgrid_wire import messages as wire
from tabgrid_wire.errors import CloseCode, ProtocolError

from .auth import Sessions, client_address, session_token
from .coordinator import Coordinator
from .coordinator.live import LiveNode
from .node_socket import NodeSocket
from .store import Session


class NodeSockets:
    """The endpoint. Knows how many sockets an address has, and which device is where."""

    def __init__(self, coordinator: Coordinator, sessions: Sessions) -> None:
        self.coordinator = coordinator
        self._sessions = sessions
        self._settings = coordinator.settings
        self._per_address: Counter[str] = Counter()
        self._count = 0
        self._devices: dict[tuple[str, str], NodeSocket] = {}

    async def __call__(self, socket: WebSocket) -> None:
        address = client_address(socket)
        refusal = self._refusal(socket, address)
        if refusal is not None:
            await self._accept(socket)
            await socket.close(*refusal)
            return
        # Before anything is waited for: of a thousand that come together, each would see the
        # last place free.
        self._per_address[address] += 1
        self._count += 1
        try:
            await self._serve(socket)
        finally:
            self._count -= 1
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]

    async def _serve(self, socket: WebSocket) -> None:
        session = await self._session(socket)
        spoken = await self._accept(socket)
        if session is None or spoken is None:
            await socket.close(CloseCode.NOT_SIGNED_IN, "Sign in first.")
            return
        await NodeSocket(self, socket, session, spoken).serve()

    @staticmethod
    async def _accept(socket: WebSocket) -> str | None:
        """Even if it is refused then: a page can read a close code, but not a status of 403."""
        spoken = _subprotocol(socket)
        await socket.accept(spoken)
        return spoken

    def welcome(self, link: NodeSocket, hello: wire.Hello) -> LiveNode:
        """Let a node in. Raises ``ProtocolError`` if it asks for a grid that is not here."""
        coordinator, session = self.coordinator, link.session
        unknown = [grid for grid in hello.grids if grid not in self._settings.grids]
        if unknown:
            raise ProtocolError(CloseCode.BAD_FRAME, f"There is no grid {unknown[0]!r} here.")
        self._replace(link, (session.wallet, hello.device_id))
        node = coordinator.node_events.joined(hello, session.wallet, session.worker_key, link)
        models = tuple(
            wire.OfferedModel(offer.grid, offer.manifest.id, offer.digest)
            for grid in hello.grids
            for offer in coordinator.offers.of_grid(grid)
        )
        heartbeat = self._settings.limits.node_idle_s
        link.send(wire.Welcome(node.id, session.wallet, models, heartbeat))
        return node

    def forget(self, link: NodeSocket, node: LiveNode) -> None:
        device = (node.wallet, node.hello.device_id)
        if self._devices.get(device) is link:
            del self._devices[device]

    def sign_out(self, token_hash: str) -> None:
        """End the sockets of a session that has ended."""
        for link in list(self._devices.values()):
            if link.session.token_hash == token_hash:
                link.close(CloseCode.NOT_SIGNED_IN, "You signed out.")

    def _replace(self, link: NodeSocket, device: tuple[str, str]) -> None:
        """One device of one wallet is one node: the newest, since the older may be half open."""
        older = self._devices.get(device)
        self._devices[device] = link
        if older is not None:
            older.close(CloseCode.DUPLICATE_DEVICE, "This device joined again somewhere else.")

    def _refusal(self, socket: WebSocket, address: str) -> tuple[int, str] | None:
        limits = self._settings.limits
        if self.coordinator.draining:
            return CloseCode.DRAINING, "This coordinator is restarting."
        if _subprotocol(socket) is None:
            return CloseCode.VERSION, f"This grid speaks {wire.SUBPROTOCOL}."
        if self._per_address[address] >= limits.nodes_per_address:
            return CloseCode.TOO_MANY_NODES, f"{limits.nodes_per_address} nodes at this address."
        if self._count >= limits.nodes:
            return CloseCode.TOO_MANY_NODES, "This coordinator is full."
        if not self._same_origin(socket):
            return CloseCode.NOT_SIGNED_IN, "Pages of other sites cannot open this socket."
        return None

    def _same_origin(self, socket: WebSocket) -> bool:
        """A browser names the page that asks: another site's page must not use our cookie."""
        origin = socket.headers.get("origin")
        if origin is None or origin == self._settings.url:
            return True
        return urlsplit(origin).netloc == socket.headers.get("host")

    async def _session(self, socket: WebSocket) -> Session | None:
        token = session_token(socket)
        return await self._sessions.find(token) if token else None


def _subprotocol(socket: WebSocket) -> str | None:
    """The newest that both sides speak."""
    offered = socket.scope["subprotocols"]
    return next((spoken for spoken in wire.SUBPROTOCOLS if spoken in offered), None)

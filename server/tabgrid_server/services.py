"""What the endpoints share, made once per application and kept at ``app.state.services``."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from .auth import Keys, Sessions
from .blobs import Keeper, Signer
from .chain.payouts import Payouts
from .coordinator import Coordinator
from .library import Library
from .limits import RateLimit
from .published import Published
from .settings import Settings
from .sockets import NodeSockets
from .store import Store
from .views import GridViews


@dataclass(frozen=True)
class Services:
    settings: Settings
    store: Store
    library: Library
    coordinator: Coordinator
    sessions: Sessions
    keys: Keys
    sockets: NodeSockets
    views: GridViews
    payouts: Payouts
    published: Published
    keeper: Keeper
    #: Signs addresses that work without a key.
    addresses: Signer
    public_requests: RateLimit
    new_keys: RateLimit
    refunds: RateLimit


def services(connection: HTTPConnection) -> Services:
    found: Services = connection.app.state.services
    return found

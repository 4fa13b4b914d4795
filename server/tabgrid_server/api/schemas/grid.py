"""What a grid has: its models, its nodes, its token, and what it does right now."""

from __future__ import annotations

from typing import Literal

from .base import Response

NodeState = Literal["joining", "ready", "working", "paused", "draining"]


class Token(Response, frozen=True):
    symbol: str
    decimals: int
    mint: str


class GridModel(Response, frozen=True):
    id: str
    digest: str
    title: str
    connector: str
    unit: str
    price_per_unit: int
    licence: str
    #: Smallest variant, tokeniser included.
    download_bytes: int
    memory_mib: int


class Grid(Response, frozen=True):
    id: str
    title: str
    description: str
    models: tuple[GridModel, ...]
    token: Token
    fee_bps: int
    #: What an answer that was checked before it is delivered costs more, in hundredths of a
    #: percent of its price; null where the operator has no references.
    check_bps: int | None
    release_s: int
    nodes: int
    queued: int
    running: int


class Grids(Response, frozen=True):
    grids: tuple[Grid, ...]


class Node(Response, frozen=True):
    id: str
    wallet: str
    host: str
    backend: str
    device: str
    grids: tuple[str, ...]
    state: NodeState
    jobs_done: int
    connected_at: float


class Nodes(Response, frozen=True):
    nodes: tuple[Node, ...]


class Unsupported(Response, frozen=True):
    """A kind of device that cannot run a model, as nodes found out since the grid started."""

    model: str
    #: As nodes name it: backend, vendor, architecture.
    device_class: str
    #: "wrong_numbers": it answers known inputs otherwise than it should.
    code: str
    #: In which precisions its numbers were wrong.
    dtypes: tuple[str, ...]
    devices: int


class UnsupportedKinds(Response, frozen=True):
    unsupported: tuple[Unsupported, ...]


class Minute(Response, frozen=True):
    at: float
    done: int
    p50_ms: float | None


class Totals(Response, frozen=True):
    nodes_by_backend: dict[str, int]
    nodes: int
    running: int
    queued: int
    done: int
    failed: int
    #: Base units settled to nodes, and finalized on chain.
    settled: int
    paid: int
    token: Token


class Stats(Totals, frozen=True):
    hour: tuple[Minute, ...]

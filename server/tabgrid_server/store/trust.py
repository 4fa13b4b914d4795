"""What the trust policy was told and what it decided: its memory, and rows for the pages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from ..trust import ClassKey, Event, UnitKey, memory
from ..trust.state import StrikeState, UnitState
from .bulk import Bulk
from .effects import TrustStep
from .errors import OutOfOrder
from .record import Record
from .tables import strikes, trust_events, trust_snapshots, units

_INSERT = Bulk(trust_events.insert())


#: Strikes in these states count against nobody.
LIFTED: frozenset[StrikeState] = frozenset({"reversed", "lapsed"})


class Memory(Record, frozen=True, kw_only=True):
    """All that is kept of the policy's memory: ``trust.memory.replayed`` brings it back.

    ``through`` is the number of the last event.
    """

    through: int
    state: bytes | None
    events: list[tuple[float, Event]]


class StrikeRow(Record, frozen=True, kw_only=True):
    """One answer that was found wrong, and what became of the strike."""

    job_id: str
    unit: UnitKey
    pay: int
    fine: int
    reason: str
    at: float
    appeal_until: float
    state: StrikeState
    moved_reason: str | None
    moved_at: float | None


class UnitRow(Record, frozen=True, kw_only=True):
    """Where a unit stands, why, and since when."""

    unit: UnitKey
    state: UnitState
    reason: str
    at: float


# --- memory --------------------------------------------------------------------------------


def remembered(connection: Connection) -> Memory:
    """Everything; read it once, at the start."""
    kept = connection.execute(
        select(trust_snapshots).order_by(trust_snapshots.c.through.desc()).limit(1)
    ).one_or_none()
    through = 0 if kept is None else kept.through
    query = select(trust_events).where(trust_events.c.id > through).order_by(trust_events.c.id)
    rows = connection.execute(query).all()
    return Memory(
        through=rows[-1].id if rows else through,
        state=None if kept is None else kept.state,
        events=[(row.at, memory.read_event(row.event)) for row in rows],
    )


def remember(connection: Connection, through: int, state: bytes, now: float) -> None:
    """Keep what the policy knew after event ``through``, and drop what led to it.

    Raises ``OutOfOrder`` while that event is not logged.
    """
    logged = last(connection)
    if through > logged:
        raise OutOfOrder(through, logged)
    connection.execute(delete(trust_snapshots))
    connection.execute(insert(trust_snapshots).values(through=through, at=now, state=state))
    connection.execute(delete(trust_events).where(trust_events.c.id <= through))


def last(connection: Connection) -> int:
    """The number of the last event that is logged."""
    newest = connection.execute(select(func.max(trust_events.c.id))).scalar()
    kept = connection.execute(select(func.max(trust_snapshots.c.through))).scalar()
    return max(newest or 0, kept or 0)


class Log:
    """The events of one transaction; written at its end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = last(connection)
        self._rows: list[tuple[int, float, str]] = []

    def take(self, step: TrustStep) -> bool:
        """Add a step's events; False if they are logged. Raises ``OutOfOrder``."""
        if step.last <= self._last:
            return False
        if step.first != self._last + 1:
            raise OutOfOrder(step.first, self._last)
        for number, (at, event) in enumerate(step.events, step.first):
            self._rows.append((number, at, memory.text_of(event)))
        self._last = step.last
        return True

    def write(self) -> None:
        _INSERT.run(self._connection, self._rows)


# --- for the pages -------------------------------------------------------------------------


def strike_of_job(connection: Connection, job_id: str) -> StrikeRow | None:
    row = connection.execute(select(strikes).where(strikes.c.job_id == job_id)).one_or_none()
    return None if row is None else _strike(row)


def strikes_of_wallet(connection: Connection, wallet: str, limit: int) -> list[StrikeRow]:
    """The newest first."""
    query = select(strikes).where(strikes.c.wallet == wallet).order_by(strikes.c.at.desc())
    return [_strike(row) for row in connection.execute(query.limit(limit))]


def units_of_wallet(connection: Connection, wallet: str) -> list[UnitRow]:
    query = select(units).where(units.c.wallet == wallet).order_by(units.c.at.desc())
    return [_unit(row) for row in connection.execute(query)]


def newest_units(connection: Connection, wallet: str | None, limit: int | None) -> list[UnitRow]:
    """For an operator: of all wallets or one, the last that moved first."""
    query = select(units).order_by(units.c.at.desc())
    if wallet is not None:
        query = query.where(units.c.wallet == wallet)
    return [_unit(row) for row in connection.execute(query.limit(limit))]


def units_of_kind(connection: Connection, kind: ClassKey) -> list[UnitRow]:
    """All units of one class of devices: an operator's look, not a page's."""
    query = select(units).where(
        units.c.digest == kind.digest,
        units.c.dtype == kind.dtype,
        units.c.device_class == kind.device_class,
    )
    return [_unit(row) for row in connection.execute(query.order_by(units.c.wallet))]


def _key(row: Row[Any]) -> UnitKey:
    return UnitKey(row.wallet, row.digest, row.dtype, row.device_class)


def _strike(row: Row[Any]) -> StrikeRow:
    plain = {n: getattr(row, n) for n in StrikeRow.__struct_fields__ if n != "unit"}
    return StrikeRow(unit=_key(row), **plain)


def _unit(row: Row[Any]) -> UnitRow:
    return UnitRow(unit=_key(row), state=row.state, reason=row.reason, at=row.at)

"""Strikes, and where units stand, as the effects of one transaction leave them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select, text, tuple_

from ..trust import UnitKey
from .bulk import Bulk, Row
from .effects import Effect, Forfeit, Reinstate, Strike, StrikeMoved, UnitMoved
from .tables import corrections, units

_ADD_STRIKES = Bulk(
    text(
        "INSERT INTO strikes (job_id, wallet, digest, dtype, device_class, pay, fine, reason, at,"
        " appeal_until, state) VALUES (:job_id, :wallet, :digest, :dtype, :device_class, :pay,"
        " :fine, :reason, :at, :appeal_until, 'standing') ON CONFLICT DO NOTHING"
    )
)
_MOVE_STRIKES = Bulk(
    text(
        "UPDATE strikes SET state = :state, moved_reason = :reason, moved_at = :at"
        " WHERE job_id = :job_id"
    )
)
_MOVE_UNITS = Bulk(
    text(
        "INSERT INTO units (wallet, digest, dtype, device_class, state, reason, at)"
        " VALUES (:wallet, :digest, :dtype, :device_class, :state, :reason, :at)"
        " ON CONFLICT (wallet, digest, dtype, device_class) DO UPDATE"
        " SET state = excluded.state, reason = excluded.reason, at = excluded.at"
    )
)
_ADD_UNITS = Bulk(
    text(
        "INSERT INTO units (wallet, digest, dtype, device_class, state, reason, at)"
        " VALUES (:wallet, :digest, :dtype, :device_class, :state, :reason, :at)"
        " ON CONFLICT DO NOTHING"
    )
)
_MARK_FORFEITS = Bulk(
    text(
        "UPDATE units SET forfeit = :ref WHERE wallet = :wallet AND digest = :digest"
        " AND dtype = :dtype AND device_class = :device_class"
    )
)

#: A forfeit that was not given back: its reference, its amount and that one's token.
Lost = tuple[str, int, str]


class Standing:
    def __init__(self, connection: Connection, effects: Iterable[Effect]) -> None:
        self._connection = connection
        self._strikes: list[Row] = []
        self._strike_moves: list[Row] = []
        self._moves: dict[UnitKey, Row] = {}
        self._forfeits: dict[UnitKey, Lost | None] = {}
        self._convicted: list[Row] = []
        self._known = _forfeits(connection, {e.unit for e in effects if isinstance(e, Reinstate)})

    def take(self, effect: Strike | StrikeMoved | UnitMoved) -> None:
        e = effect
        if isinstance(e, Strike):
            self._strikes.append((e.job_id, *e.unit, e.pay, e.fine, e.reason, e.at, e.appeal_until))
        elif isinstance(e, StrikeMoved):
            self._strike_moves.append((e.state, e.reason, e.at, e.job_id))
        else:
            self._moves[e.unit] = (*e.unit, e.state, e.reason, e.at)

    def forfeited(self, effect: Forfeit, lost: Lost) -> None:
        unit = effect.unit
        self._known[unit] = self._forfeits[unit] = lost
        # Its row is there already, or there would be nothing to mark.
        self._convicted.append((*unit, "convicted", effect.reason, effect.at))

    def reinstated(self, unit: UnitKey) -> Lost | None:
        """What it is to be given back; nothing a second time."""
        lost = self._known.pop(unit, None)
        if lost is not None:
            self._forfeits[unit] = None
        return lost

    def write(self) -> None:
        _ADD_STRIKES.run(self._connection, self._strikes)
        _MOVE_STRIKES.run(self._connection, self._strike_moves)
        _MOVE_UNITS.run(self._connection, list(self._moves.values()))
        _ADD_UNITS.run(self._connection, self._convicted)
        marks = [(lost and lost[0], *unit) for unit, lost in self._forfeits.items()]
        _MARK_FORFEITS.run(self._connection, marks)


def _forfeits(connection: Connection, wanted: set[UnitKey]) -> dict[UnitKey, Lost]:
    if not wanted:
        return {}
    key = (units.c.wallet, units.c.digest, units.c.dtype, units.c.device_class)
    query = (
        select(*key, corrections.c.ref, corrections.c.amount, corrections.c.token)
        .join(
            corrections,
            (corrections.c.kind == "forfeit") & (corrections.c.ref == units.c.forfeit),
        )
        .where(tuple_(*key).in_([tuple(unit) for unit in wanted]))
    )
    return {UnitKey(*row[:4]): (row[4], row[5], row[6]) for row in connection.execute(query)}

"""Counts of what was settled, drawn, checked and found: by class of device, and by unit.

Receipts are folded in behind the hot path, in the order of their numbers, and never twice:
where the fold ends is written in the same transaction. Checks are counted as they are kept.
So a page reads counts, never jobs, and what it costs does not grow with the grid's past.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from ..verdict import Verdict
from . import receipts as stored_receipts
from .bulk import Bulk
from .looks import Check
from .record import Record
from .records import Receipt

HOUR, DAY = 3_600, 86_400
SPANS = (HOUR, DAY)

_CLASS_COUNTS = ("jobs", "subject", "drawn", "checked", "differed", "wrong")
_UNIT_COUNTS = ("jobs", "subject", "drawn", "checked", "found_right", "found_wrong")


class ClassCounts(Record, frozen=True, kw_only=True):
    """Of one class of device, or of all; see the table ``class_tallies``."""

    jobs: int = 0
    subject: int = 0
    drawn: int = 0
    checked: int = 0
    differed: int = 0
    wrong: int = 0


class Bucket(ClassCounts, frozen=True, kw_only=True):
    """All classes in the ``span`` that began at ``at`` (Unix seconds)."""

    at: int


class ClassBucket(Bucket, frozen=True, kw_only=True):
    """One class in one span."""

    digest: str
    dtype: str
    device_class: str
    model: str


class Unit(Record, frozen=True, kw_only=True):
    """What is known of one wallet with one model on one class of device."""

    wallet: str
    digest: str
    dtype: str
    device_class: str
    model: str
    jobs: int
    subject: int
    drawn: int
    checked: int
    found_right: int
    found_wrong: int
    first_at: float
    last_at: float


class Settled(msgspec.Struct, frozen=True, gc=False):
    """A receipt, as far as it is counted; its other fields are skipped."""

    grid: str
    model: str
    digest: str
    dtype: str
    device_class: str
    wallet: str
    settled_at: float
    audited: bool
    audit_probability: int | None = None


def _upsert(table: str, keys: Sequence[str], counts: Sequence[str], rest: str) -> Bulk:
    """Adds to what is counted already."""
    names = (*keys, "model", *counts)
    places = ", ".join(f":{name}" for name in names)
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in counts)
    columns = ", ".join(names) + (", first_at, last_at" if rest else "")
    values = places + (", :first_at, :last_at" if rest else "")
    return Bulk(
        text(
            f"INSERT INTO {table} ({columns}) VALUES ({values})"  # noqa: S608 ours
            f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {added}{rest}"
        )
    )


_CLASS_KEYS = ("grid", "span", "at", "digest", "dtype", "device_class")
_UNIT_KEYS = ("wallet", "digest", "dtype", "device_class")
_ADD_CLASSES = _upsert("class_tallies", _CLASS_KEYS, _CLASS_COUNTS, "")
_ADD_UNITS = _upsert(
    "unit_tallies",
    _UNIT_KEYS,
    _UNIT_COUNTS,
    ", first_at = CASE WHEN excluded.first_at < unit_tallies.first_at THEN excluded.first_at"
    " ELSE unit_tallies.first_at END, last_at = CASE WHEN excluded.last_at > unit_tallies.last_at"
    " THEN excluded.last_at ELSE unit_tallies.last_at END",
)


class Tally:
    """Counts to be added: pure, until ``write``."""

    def __init__(self) -> None:
        self._classes: dict[tuple[Any, ...], list[int]] = {}
        self._units: dict[tuple[Any, ...], list[Any]] = {}
        self._models: dict[tuple[Any, ...], str] = {}

    def settled(self, receipt: Settled) -> None:
        subject = receipt.audit_probability is not None
        counts = (1, int(subject), int(subject and receipt.audited), 0, 0, 0)
        kind = (receipt.digest, receipt.dtype, receipt.device_class)
        at = receipt.settled_at
        self._add(receipt.grid, receipt.wallet, kind, receipt.model, at, counts, counts)

    def checked(self, check: Check, before: Verdict | None, after: Verdict | None) -> None:
        """A check changed what is known of an answer from ``before`` to ``after``."""
        first, wrong = before is None, after == "wrong" and before != "wrong"
        of_class = (0, 0, 0, int(first), int(first and not check.agreed), int(wrong))
        right = (after == "right") - (before == "right")
        of_unit = (0, 0, 0, int(first), right, (after == "wrong") - (before == "wrong"))
        kind = (check.digest, check.dtype, check.node_class)
        self._add(check.grid, check.wallet, kind, check.model, check.checked_at, of_class, of_unit)

    def write(self, connection: Connection) -> None:
        """In one order for all writers, so that two cannot wait for each other."""
        _ADD_CLASSES.run(
            connection,
            [(*key, self._models[key], *counts) for key, counts in sorted(self._classes.items())],
        )
        _ADD_UNITS.run(
            connection,
            [(*key, self._models[key], *rest) for key, rest in sorted(self._units.items())],
        )

    def _add(
        self,
        grid: str,
        wallet: str,
        kind: tuple[str, str, str],
        model: str,
        at: float,
        of_class: Sequence[int],
        of_unit: Sequence[int],
    ) -> None:
        for span in SPANS:
            key = (grid, span, int(at // span) * span, *kind)
            held = self._classes.setdefault(key, [0] * len(of_class))
            held[:] = [a + b for a, b in zip(held, of_class, strict=True)]
            self._models[key] = model
        unit = (wallet, *kind)
        known = self._units.setdefault(unit, [0] * len(of_unit) + [at, at])
        sums = [a + b for a, b in zip(known[:-2], of_unit, strict=True)]
        known[:] = [*sums, min(known[-2], at), max(known[-1], at)]
        self._models[unit] = model


_SEQ = text("SELECT seq FROM tallied WHERE what = 'receipts'")
_OPEN = text("INSERT INTO tallied (what, seq) VALUES ('receipts', 0) ON CONFLICT DO NOTHING")
_MOVE = text("UPDATE tallied SET seq = :seq WHERE what = 'receipts' AND seq = :before")
_read = msgspec.json.Decoder(Settled).decode


def pending(connection: Connection, limit: int) -> tuple[int, list[Receipt]]:
    """Up to which receipt is counted, and the next ``limit`` that are not."""
    seq = connection.execute(_SEQ).scalar() or 0
    return seq, stored_receipts.after(connection, seq, limit)


def fold(connection: Connection, before: int, found: Sequence[Receipt]) -> bool:
    """Count receipts that ``pending`` gave; False if somebody else did meanwhile."""
    if not found:
        return True
    connection.execute(_OPEN)
    moved = connection.execute(_MOVE, {"seq": found[-1].seq, "before": before})
    if moved.rowcount != 1:
        return False
    tally = Tally()
    for receipt in settled_in(found):
        tally.settled(receipt)
    tally.write(connection)
    return True


def settled_in(found: Iterable[Receipt]) -> list[Settled]:
    """Without those that cannot be read: somebody has tampered with them, as an audit tells."""
    told = []
    for receipt in found:
        try:
            told.append(_read(receipt.body))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return told


def checked(
    connection: Connection, check: Check, before: Verdict | None, after: Verdict | None
) -> None:
    """Count a check that was just kept."""
    tally = Tally()
    tally.checked(check, before, after)
    tally.write(connection)


def forget(connection: Connection, before: float) -> None:
    """Let hours go that are over; their days stay."""
    query = text("DELETE FROM class_tallies WHERE span = :span AND at < :before AND grid = :grid")
    for (grid,) in connection.execute(text("SELECT DISTINCT grid FROM class_tallies")).all():
        connection.execute(query, {"span": HOUR, "before": int(before), "grid": grid})


# --- reading -------------------------------------------------------------------------------

_SUMS = ", ".join(f"CAST(sum({name}) AS BIGINT) AS {name}" for name in _CLASS_COUNTS)
_WINDOW = "FROM class_tallies WHERE grid = :grid AND span = :span AND at >= :since"
_SERIES = text(f"SELECT at, {_SUMS} {_WINDOW} GROUP BY at ORDER BY at")
#: The classes that were checked most, which is where a rate says something.
_TOP = (
    f"SELECT digest, dtype, device_class {_WINDOW} GROUP BY digest, dtype, device_class"
    " ORDER BY sum(checked) DESC, sum(jobs) DESC, digest, dtype, device_class LIMIT :limit"
)
_CLASSES = text(
    "SELECT t.at, t.digest, t.dtype, t.device_class, t.model, t.jobs, t.subject, t.drawn,"  # noqa: S608
    f" t.checked, t.differed, t.wrong FROM class_tallies t JOIN ({_TOP}) AS top"
    " ON top.digest = t.digest AND top.dtype = t.dtype AND top.device_class = t.device_class"
    " WHERE t.grid = :grid AND t.span = :span AND t.at >= :since ORDER BY t.at"
)
_HOW_MANY = text(
    f"SELECT count(*) FROM (SELECT DISTINCT digest, dtype, device_class {_WINDOW}) AS kinds"  # noqa: S608
)
_UNITS = text(
    "SELECT * FROM unit_tallies WHERE wallet = :wallet"
    " ORDER BY jobs DESC, last_at DESC, digest, dtype, device_class LIMIT :limit"
)


def series(connection: Connection, grid: str, span: int, since: int) -> list[Bucket]:
    """All classes together, oldest first; spans in which nothing happened are left out."""
    rows = connection.execute(_SERIES, {"grid": grid, "span": span, "since": since})
    return [Bucket(**row._mapping) for row in rows]


def by_class(
    connection: Connection, grid: str, span: int, since: int, limit: int
) -> tuple[list[ClassBucket], int]:
    """The ``limit`` classes that were checked most, oldest span first; and how many there are."""
    window = {"grid": grid, "span": span, "since": since}
    rows = connection.execute(_CLASSES, {**window, "limit": limit})
    found = [ClassBucket(**row._mapping) for row in rows]
    return found, int(connection.execute(_HOW_MANY, window).scalar_one())


def units_of(connection: Connection, wallet: str, limit: int) -> list[Unit]:
    """A wallet's units, those with most jobs first."""
    rows = connection.execute(_UNITS, {"wallet": wallet, "limit": limit})
    return [Unit(**row._mapping) for row in rows]

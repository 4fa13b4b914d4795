"""What pages and API tell of checks: a job's evidence, a wallet's record, a grid's health."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Literal

import msgspec

from . import trust
from .api.schemas.checks import Check, CheckPart, Draw, Evidence, EvidenceState, GivenUp
from .api.schemas.health import (
    ClassHealth,
    Health,
    HealthCounts,
    HealthSpan,
    QuarantinedClass,
)
from .api.schemas.receipts import Receipt
from .api.schemas.trust import Standing, UnitRecord, WalletRecord
from .coordinator import Coordinator
from .store import Check as StoredCheck
from .store import GivenUp as StoredGivenUp
from .store import Store, tallies
from .store import checks as stored_checks
from .store import trust as stored_trust
from .store.tallies import DAY, HOUR, ClassBucket
from .store.trust import UnitRow
from .trust.draws import FIRST_DAY, draw
from .verdict import verdict_of

By = Literal["hour", "day"]
#: How much of its past a chart shows: two days by the hour, a month by the day.
SPANS: dict[By, tuple[int, int]] = {"hour": (HOUR, 48), "day": (DAY, 30)}
#: Rows that one reads; whoever has more devices than this is not one person.
UNITS = 50
CLASSES = 12
#: Of one wallet: it is excluded long before it has so many.
STRIKES = 200

_COUNTS = ("jobs", "subject", "drawn", "checked", "differed", "wrong")


class Inspection:
    """Read-only questions about what was checked."""

    def __init__(self, coordinator: Coordinator, store: Store) -> None:
        self._coordinator = coordinator
        self._store = store

    async def evidence(self, job: str, receipt: Receipt | None) -> Evidence:
        found = await self._store.read(stored_checks.of_job, job)
        given_up = await self._store.read(stored_checks.given_up_of_job, job)
        state = self._state(job, receipt, found, bool(given_up))
        offer = receipt and self._coordinator.offers.at(receipt.grid, receipt.digest)
        return Evidence(
            job=job,
            state=state,
            draw=self._draw(receipt, time.time()) if receipt else None,
            checks=tuple(map(check_view, found)),
            measure=offer.connector.distance if offer else "",
            given_up=tuple(map(given_up_view, given_up)),
        )

    async def record(self, wallet: str) -> WalletRecord:
        found = await self._store.read(tallies.units_of, wallet, UNITS)
        kept = await self._store.read(stored_trust.units_of_wallet, wallet)
        strikes = await self._store.read(stored_trust.strikes_of_wallet, wallet, STRIKES)
        known = {each.unit: each for each in kept}
        standing = Counter(each.unit for each in strikes if each.state not in stored_trust.LIFTED)
        units = [self._unit(unit, known, standing) for unit in found]
        sums = {
            name: sum(map(attrgetter(name), units))
            for name in (
                "jobs", "subject", "drawn", "checked", "right", "wrong", "open", "strikes",
            )
        }  # fmt: skip
        return WalletRecord(wallet=wallet, units=tuple(units), **sums)

    async def health(self, grid: str, by: By, now: float) -> Health:
        """Of a grid that is there."""
        span, spans = SPANS[by]
        last = int(now // span) * span
        since = last - (spans - 1) * span
        series = await self._store.read(tallies.series, grid, span, since)
        rows, kinds = await self._store.read(tallies.by_class, grid, span, since, CLASSES)
        known = {each.at: each for each in series}
        told = [_span(known.get(at, tallies.Bucket(at=at))) for at in range(since, last + 1, span)]
        return Health(
            grid=grid,
            by=by,
            span=span,
            spans=tuple(told),
            total=_sum(told),
            classes=_classes(rows),
            classes_in_all=kinds,
            quarantined=self._quarantined(grid),
            references=self._references(grid),
            waiting=self._coordinator.auditing.checking.waiting,
        )

    def _quarantined(self, grid: str) -> tuple[QuarantinedClass, ...]:
        found = []
        for key, kind in self._coordinator.auditing.policy.classes.items():
            offer = self._coordinator.offers.at(grid, key.digest)
            if kind.state == "quarantined" and offer is not None:
                wallets = len({unit.key.wallet for unit in kind.units})
                found.append(QuarantinedClass(offer.manifest.id, *key, wallets=wallets))
        return tuple(sorted(found, key=lambda each: -each.wallets)[:CLASSES])

    def _state(
        self, job: str, receipt: Receipt | None, checks: Sequence[StoredCheck], given_up: bool
    ) -> EvidenceState:
        if receipt is None:
            return "unsettled"
        verdict = verdict_of(each for each in checks if each.wallet in ("", receipt.wallet))
        if verdict in ("right", "wrong"):
            return verdict
        waits = self._coordinator.auditing.checking.waits(job)
        if verdict == "open":
            return "given_up" if given_up and not waits else "open"
        if receipt.audit_probability is None:
            return "own"
        if not receipt.audited:
            return "undrawn"
        return "waiting" if waits else "given_up" if given_up else "missed"

    def _draw(self, receipt: Receipt, now: float) -> Draw | None:
        p, epoch = receipt.audit_probability, receipt.draw_epoch
        if p is None or epoch is None or receipt.draw_commitment is None:
            return None
        secret = self._coordinator.draws.secret_of(epoch, now)
        return Draw(
            probability=p,
            epoch=epoch,
            commitment=receipt.draw_commitment,
            public_at=FIRST_DAY + (epoch + 1) * DAY,
            secret=secret.hex() if secret else None,
            number=draw(secret, bytes.fromhex(receipt.commit_hash)) if secret else None,
        )

    def _unit(
        self,
        unit: tallies.Unit,
        known: Mapping[trust.UnitKey, UnitRow],
        strikes: Mapping[trust.UnitKey, int],
    ) -> UnitRecord:
        key = trust.UnitKey(unit.wallet, unit.digest, unit.dtype, unit.device_class)
        kept, live = known.get(key), self._coordinator.auditing.policy.units.get(key)
        standing: Standing = kept.state if kept else live.state if live else "unknown"
        return UnitRecord(
            model=unit.model,
            digest=unit.digest,
            dtype=unit.dtype,
            device_class=unit.device_class,
            jobs=unit.jobs,
            subject=unit.subject,
            drawn=unit.drawn,
            checked=unit.checked,
            right=unit.found_right,
            wrong=unit.found_wrong,
            open=unit.checked - unit.found_right - unit.found_wrong,
            standing=standing,
            reason=kept.reason if kept else "",
            strikes=strikes[key],
            first_at=unit.first_at,
            last_at=unit.last_at,
        )

    def _references(self, grid: str) -> dict[str, int]:
        return dict(
            Counter(
                node.hello.device_class
                for node in self._coordinator.nodes.values()
                if node.reference and grid in node.hello.grids
            )
        )


def check_view(check: StoredCheck) -> Check:
    fields = msgspec.structs.asdict(check)
    parts = msgspec.json.decode(fields.pop("parts"), type=tuple[CheckPart, ...])
    plain = {name: value for name, value in fields.items() if name != "grid"}
    return Check(job=plain.pop("job_id"), parts=parts, **plain)


def given_up_view(fact: StoredGivenUp) -> GivenUp:
    fields = msgspec.structs.asdict(fact)
    return GivenUp(job=fields.pop("job_id"), **fields)


def _span(bucket: tallies.Bucket) -> HealthSpan:
    return HealthSpan(at=bucket.at, **{name: getattr(bucket, name) for name in _COUNTS})


def _sum(spans: Iterable[HealthCounts]) -> HealthCounts:
    told = list(spans)
    return HealthCounts(**{name: sum(getattr(each, name) for each in told) for name in _COUNTS})


def _classes(rows: Sequence[ClassBucket]) -> tuple[ClassHealth, ...]:
    """Those that were checked most first."""
    kinds: dict[tuple[str, str, str], list[ClassBucket]] = {}
    for row in rows:
        kinds.setdefault((row.digest, row.dtype, row.device_class), []).append(row)
    found = []
    for (digest, dtype, device_class), buckets in kinds.items():
        spans = tuple(map(_span, buckets))
        counts = {name: getattr(_sum(spans), name) for name in _COUNTS}
        model = buckets[-1].model
        found.append(
            ClassHealth(
                model=model, digest=digest, dtype=dtype, device_class=device_class, spans=spans,
                **counts,
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda each: (-each.checked, -each.jobs, each.device_class)))

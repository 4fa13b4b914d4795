"""Everything that the policy knows, as bytes and back; and its events as text. Pure.

``Trust`` has no clock and no randomness: the same events lead to the same knowledge. So what is
kept is the events, and now and then what they led to, so that older ones can be dropped. Events
after that are told again under the policy of then: under another one they would not lead to what
was booked. ``adopt`` changes the policy from then on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

from .classes import ClassState, DeviceClass
from .core import Trust
from .events import ClassKey, Event, UnitKey
from .newcomers import Kept, Newcomers
from .policy import ONE, Policy
from .state import CheckState, Result, Strike, StrikeState, Unit, UnitState
from .suspicion import Entry, Suspicions, before_it_was_kept

VERSION: Literal[1] = 1
#: More than there can be.
UNLIMITED = 2**53


class _Result(msgspec.Struct, array_like=True):
    job: str
    pay: int
    number: int
    at: float
    p: int
    drawn: int
    release_s: float
    check: CheckState


class _Strike(msgspec.Struct, array_like=True):
    job: str
    pay: int
    fine: int
    at: float
    state: StrikeState
    #: Infinite and empty in what was kept before 29 November 2026.
    appealed_at: float = math.inf
    looks: list[bool] = []


class _Unit(msgspec.Struct, array_like=True):
    key: UnitKey
    state: UnitState
    results: list[_Result]
    strikes: list[_Strike]
    jobs: int
    agreed: int
    evidence: int
    withheld: int
    owed: int
    checked_at: float
    struck_at: float
    proven_at: float
    appeal_until: float
    forfeited: int
    alarm_at: float
    #: Whether too many of its answers wait for a look; counted only since 29 November 2026.
    full: bool = False


class _Class(msgspec.Struct, array_like=True):
    key: ClassKey
    state: ClassState
    proven: list[str]
    failed_tests: dict[str, float]


class _Alarm(msgspec.Struct, array_like=True):
    at: float
    number: int
    kind: Literal["release", "forfeit"]
    unit: int


class _Memory(msgspec.Struct):
    v: Literal[1]
    policy: Policy
    epoch: int
    secret: bytes
    units: list[_Unit]
    classes: list[_Class]
    alarms: list[_Alarm]
    alarm_count: int
    newcomers: Kept
    #: None in what was kept before 25 November 2026.
    suspicions: dict[str, list[Entry]] | None = None


_decode = msgspec.msgpack.Decoder(_Memory).decode
_decode_event = msgspec.json.Decoder(Event).decode


def text_of(event: Event) -> str:
    return msgspec.json.encode(event).decode()


def read_event(text: str | bytes) -> Event:
    """Raises ``msgspec.DecodeError``."""
    event: Event = _decode_event(text)
    return event


def dump(trust: Trust) -> bytes:
    """All that it knows, its policy included."""
    place = {key: number for number, key in enumerate(trust.units)}
    return msgspec.msgpack.encode(
        _Memory(
            v=VERSION,
            policy=trust.policy,
            epoch=trust.epoch,
            secret=trust._secret,
            units=[_dumped(unit) for unit in trust.units.values()],
            classes=[
                _Class(kind.key, kind.state, list(kind.proven), kind.failed_tests)
                for kind in trust.classes.values()
            ],
            alarms=[_Alarm(at, n, kind, place[unit.key]) for at, n, kind, unit in trust._alarms],
            alarm_count=trust._alarm_count,
            newcomers=trust.newcomers.dump(),
            suspicions=trust.suspicions.entries,
        )
    )


def load(state: bytes, policy: Policy | None = None) -> Trust:
    """What ``dump`` kept; under another ``policy`` if one is given. Raises ``DecodeError``."""
    kept = _decode(state)
    trust = Trust(policy or _policy_of_then(kept))
    trust.epoch, trust._secret = kept.epoch, kept.secret
    for each in kept.classes:
        kind = trust.classes[each.key] = DeviceClass(each.key)
        kind.state, kind.failed_tests = each.state, each.failed_tests
    for unit in map(_loaded, kept.units):
        trust.units[unit.key] = unit
        trust.classes[unit.kind].units.append(unit)
        trust._by_wallet.setdefault(unit.key.wallet, []).append(unit)
        trust.results |= {r.job: r for r in unit.results if r.check != "refuted"}
        trust.strikes |= {strike.job: strike for strike in unit.strikes}
        if unit.state == "convicted":
            trust.barred[unit.key.wallet] = trust.barred.get(unit.key.wallet, 0) + 1
    for each in kept.classes:
        kind = trust.classes[each.key]
        kind.proven = {wallet: trust.units[UnitKey(wallet, *each.key)] for wallet in each.proven}
    units = list(trust.units.values())
    trust._alarms = [(each.at, each.number, each.kind, units[each.unit]) for each in kept.alarms]
    trust._alarm_count = kept.alarm_count
    trust.newcomers = Newcomers.load(trust.policy, kept.newcomers)
    if kept.suspicions is None:
        kept.suspicions = before_it_was_kept(units, trust.policy.mismatch_step)
    trust.suspicions = Suspicions(kept.suspicions)
    return trust


def replayed(state: bytes | None, events: Iterable[tuple[float, Event]], policy: Policy) -> Trust:
    """What all that was kept leads to. ``policy`` counts only where no ``state`` was kept."""
    trust = Trust(policy) if state is None else load(state)
    for at, event in events:
        trust.handle(event, at)
    return trust


def adopt(trust: Trust, policy: Policy, now: float) -> Trust:
    """The same under another policy; what its waits let go is let go at the next tick."""
    if trust.policy == policy:
        return trust
    other = load(dump(trust), policy)
    for unit in other.units.values():
        if unit.results:
            other._alarm_release(unit, now)
    return other


def _policy_of_then(kept: _Memory) -> Policy:
    """What came after is told again under it, and must find the same places."""
    if kept.newcomers.networks is not None:
        return kept.policy
    return msgspec.structs.replace(
        kept.policy, newcomers_per_site=UNLIMITED, newcomers_network_share=ONE
    )


def _dumped(unit: Unit) -> _Unit:
    return _Unit(
        unit.key,
        unit.state,
        [
            _Result(r.job, r.pay, r.number, r.at, r.p, r.drawn, r.release_s, r.check)
            for r in unit.results
        ],
        [
            _Strike(s.job, s.pay, s.fine, s.at, s.state, s.appealed_at, s.looks)
            for s in unit.strikes
        ],
        unit.jobs,
        unit.agreed,
        unit.evidence,
        unit.withheld,
        unit.owed,
        unit.checked_at,
        unit.struck_at,
        unit.proven_at,
        unit.appeal_until,
        unit.forfeited,
        unit.alarm_at,
        unit.full,
    )


def _loaded(kept: _Unit) -> Unit:
    unit = Unit(kept.key)
    for name in _PLAIN:
        setattr(unit, name, getattr(kept, name))
    for r in kept.results:
        result = Result(r.job, unit, r.pay, r.number, r.at, r.p, r.drawn, r.release_s)
        result.check = r.check
        unit.pending += result.pending
        unit.results.append(result)
    for s in kept.strikes:
        strike = Strike(s.job, unit, s.pay, s.fine, s.at)
        strike.state, strike.appealed_at, strike.looks = s.state, s.appealed_at, s.looks
        unit.strikes.append(strike)
    return unit


_PLAIN = tuple(
    name for name in _Unit.__struct_fields__ if name not in ("key", "results", "strikes")
)

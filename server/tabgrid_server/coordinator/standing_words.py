"""What a node's owner is told of where he stands, in plain words. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from tabgrid_wire import messages as wire

from .. import trust
from ..trust import instructions as do
from ..trust.policy import percent

#: As the wire allows.
MOST = 500
LINE = (
    "Your answers wait to be checked; jobs go on by themselves once half of them are. There is"
    " nothing that you need do."
)
#: Places in which something of its owner's may have been found wrong.
WRONG = ("paused", "waiting", "convicted")
UNTESTED = "This device has not shown yet that it computes the model right. Test it again."


class Words:
    """``token`` and ``decimals`` are those that amounts are shown in."""

    def __init__(self, token: str, decimals: int) -> None:
        self._token = token
        self._decimals = decimals

    def standing(
        self,
        policy: trust.Trust,
        key: trust.UnitKey,
        place: wire.StandingState,
        refusal: str,
        strike: do.StrikeUnit | None,
        now: float,
    ) -> wire.Standing:
        """``refusal`` is why it is refused, ``strike`` what has just been found wrong."""
        until = _appeal_until(policy, key, now)
        parts = [self._struck(strike)] if strike is not None else []
        parts.append(self._place(policy, key, place, refusal))
        if until is not None and (strike is not None or place in WRONG):
            parts.append(f"You can appeal with one click until {_time(until)}.")
        return wire.Standing(
            model=key.digest,
            state=place,
            reason=" ".join(parts)[:MOST],
            test=place in ("refused", "quarantined"),
            job=strike.job if strike is not None else None,
            appeal_until=None if until is None else int(until),
        )

    def test_again(self, key: trust.UnitKey) -> wire.Standing:
        reason = "This device may compute the model again. It tests itself now."
        return wire.Standing(key.digest, "testing", reason, test=True)

    def amount(self, units: int) -> str:
        """Exact: 1234 of 2 decimals is "12.34 TGT"."""
        whole, rest = divmod(units, 10**self._decimals)
        cents = f"{rest:0{self._decimals}d}".rstrip("0") if self._decimals else ""
        return f"{whole:,}{'.' if cents else ''}{cents} {self._token}"

    def _struck(self, strike: do.StrikeUnit) -> str:
        fine = f", and {self.amount(strike.fine)} are taken as a fine" if strike.fine else ""
        return (
            "Two of the operator's machines computed another answer than this node. That job is"
            f" not paid{fine}."
        )

    def _place(
        self, policy: trust.Trust, key: trust.UnitKey, place: wire.StandingState, refusal: str
    ) -> str:
        figures = policy.policy
        match place:
            case "probation":
                return f"The first {figures.probation_jobs} answers are all checked. You are paid."
            case "waiting":
                return self._waiting(policy, key)
            case "proven":
                share = percent(figures.least_audit)
                return f"Its answers have been right. At least {share} of them are checked."
            case "paused":
                return (
                    "An answer was found wrong. Until enough answers are right, all of them are"
                    " checked and nothing is released. Jobs go on."
                )
            case "convicted":
                return (
                    "More answers were found wrong than happens by chance. This wallet gets no"
                    " more jobs, and what is withheld is lost unless an appeal succeeds."
                )
            case "quarantined":
                return (
                    f"Devices of this kind ({key.device_class}, {key.dtype}) compute this model"
                    " wrong at the moment. That is no fault of yours and nothing is held against"
                    " you. The operator looks into it; the test runs again by itself after that."
                )
            case _:
                return refusal or UNTESTED

    def _waiting(self, policy: trust.Trust, key: trust.UnitKey) -> str:
        unit, most = policy.units[key], policy.policy.unproven_per_unit
        if unit.state == "suspected":
            return f"An answer was found wrong, so all are checked and nothing is released. {LINE}"
        return f"{LINE} As long as a device is new here, {most} may wait at once. Nothing is wrong."


def _appeal_until(policy: trust.Trust, key: trust.UnitKey, now: float) -> float | None:
    """The latest time at which a strike of the wallet can be appealed, or None if none can."""
    ends = [
        max(strike.at + policy.policy.appeal_s, strike.unit.appeal_until)
        for unit in policy.units_of(key.wallet)
        for strike in unit.strikes
        if strike.state == "standing"
    ]
    latest = max(ends, default=0.0)
    return latest if latest > now else None


def _time(at: float) -> str:
    when = datetime.fromtimestamp(at, UTC)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"

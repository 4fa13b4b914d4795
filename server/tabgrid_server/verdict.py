"""What checks of an answer come to. Pure; pages, tallies and audits read it alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

#: open: one reference differs, and another one has the last word.
Verdict = Literal["right", "wrong", "open"]

#: Of a unit that is no longer trusted one reference is enough.
_ALONE = "rerun"
_APPEAL = "appeal"
#: Of the references that decide an appeal, so many must agree with the node.
_AGREEING = 2


class Finding(Protocol):
    """A check, as far as a verdict follows from it."""

    @property
    def purpose(self) -> str: ...
    @property
    def agreed(self) -> bool: ...


def verdict_of(checks: Iterable[Finding]) -> Verdict | None:
    """Of one job's checks in the order in which they were made; None where there is none."""
    verdict: Verdict | None = None
    agreeing = 0
    for check in checks:
        if check.purpose == _APPEAL:
            agreeing += check.agreed
            verdict = "right" if agreeing >= _AGREEING else "wrong"
        elif check.agreed:
            verdict = "right"
        else:
            verdict = "open" if verdict is None and check.purpose != _ALONE else "wrong"
    return verdict

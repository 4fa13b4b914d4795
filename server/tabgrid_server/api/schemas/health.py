"""How the checking of a grid goes."""

from __future__ import annotations

from typing import Literal

from .base import Response


class HealthCounts(Response, frozen=True):
    """``subject`` to a draw and ``drawn`` are of ``jobs`` settled in the span; ``checked``,
    ``differed`` (from the first reference) and ``wrong`` (by the last) of checks made in it."""

    jobs: int
    subject: int
    drawn: int
    checked: int
    differed: int
    wrong: int


class HealthSpan(HealthCounts, frozen=True):
    """An hour or a day in UTC that began ``at`` (Unix seconds)."""

    at: int


class ClassHealth(HealthCounts, frozen=True):
    """Devices that compute a model alike. ``spans`` without those in which nothing happened."""

    model: str
    digest: str
    dtype: str
    device_class: str
    spans: tuple[HealthSpan, ...]


class QuarantinedClass(Response, frozen=True):
    """Devices that compute a model wrong at the moment: no jobs of it for them, no more fines."""

    model: str
    digest: str
    dtype: str
    device_class: str
    #: How many it concerns.
    wallets: int


class Health(Response, frozen=True):
    """How the checking of a grid goes: 48 hours, or 30 days."""

    grid: str
    by: Literal["hour", "day"]
    #: Seconds of a span, and all spans, oldest first; the last one is not over.
    span: int
    spans: tuple[HealthSpan, ...]
    total: HealthCounts
    #: At most 12, those that were checked most; and how many there are.
    classes: tuple[ClassHealth, ...]
    classes_in_all: int
    #: Until the operator has looked; at most 12, those that concern most wallets.
    quarantined: tuple[QuarantinedClass, ...]
    #: Connected references of this grid by class of device, and answers that wait for one, on
    #: all grids here.
    references: dict[str, int]
    waiting: int

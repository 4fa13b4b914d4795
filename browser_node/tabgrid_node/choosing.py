"""Which variants of a model a device tries, in which order, and which it keeps. Pure.

A manifest names first what is best on most devices; what is best on this one only trying tells,
and a try costs a download, a load and a self-test. So:

1. What an earlier visit of the same device and browser chose is tried first. If it is still
   right, it is taken: this visit starts at once.
2. Else the variants are tried as the manifest orders them, until one is right. Variants in a
   dtype that computed wrong here come last: what one graph gets wrong in it, others mostly do.
3. With one right, others are tried only while that is cheap: what is on the disk already comes
   first, all of them together download no more than the right one did, and they take no longer
   than ``EXPLORE_S``.
4. The fastest right one is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

#: What looking for a faster variant may take, in seconds, before a device begins to earn with
#: the one that it has. About what a person waits for a page to be ready.
EXPLORE_S = 60.0
#: Two measurements of one variant differ by as much; less is no reason to change.
NOISE = 0.1


class Candidate(msgspec.Struct, frozen=True):
    """A variant that this device can hold."""

    id: str
    dtype: str
    #: Bytes of it that would have to be downloaded.
    missing: int


class Trial(msgspec.Struct, frozen=True):
    """What came of one variant here."""

    id: str
    dtype: str
    #: Units per second in the self-test; 0 where it cannot be used.
    speed: float
    #: That all of it took, and what came over the net.
    seconds: float
    downloaded: int
    #: It computed, but other numbers than it should.
    wrong: bool = False

    @property
    def right(self) -> bool:
        return self.speed > 0


class Choice(msgspec.Struct, frozen=True):
    """What is remembered of a model until the device or what it computes with changes."""

    #: Device class, name and runtime in one.
    device: str
    variant: str
    #: Variant to units per second, of those that were right.
    speeds: dict[str, float]


def next_try(
    candidates: Sequence[Candidate], trials: Sequence[Trial], remembered: str = ""
) -> Candidate | None:
    """What to try now; None where it is time to ``choose``.

    ``candidates`` as the manifest orders them, ``trials`` as they were made, ``remembered`` the
    variant that an earlier visit chose.
    """
    tried = {trial.id for trial in trials}
    left = [candidate for candidate in candidates if candidate.id not in tried]
    right = [trial for trial in trials if trial.right]
    if not right:
        wrong = {trial.dtype for trial in trials if trial.wrong}
        return min(left, key=lambda c: (c.id != remembered, c.dtype in wrong), default=None)
    if right[0].id == remembered:
        return None
    cheap = [candidate for candidate in left if _is_cheap(candidate, trials, right[0])]
    return min(cheap, key=lambda candidate: candidate.missing, default=None)


def time_left(trials: Sequence[Trial]) -> float | None:
    """Seconds that one more try may take; None as long as there is no variant to work with."""
    first = next((at for at, trial in enumerate(trials) if trial.right), None)
    if first is None:
        return None
    return EXPLORE_S - sum(trial.seconds for trial in trials[first + 1 :])


def choose(trials: Sequence[Trial]) -> Trial | None:
    """The fastest right one; of those that are as good as equal, the one tried first."""
    best = max((trial.speed for trial in trials), default=0.0)
    near = (trial for trial in trials if trial.right and trial.speed >= best * (1 - NOISE))
    return next(near, None)


def _is_cheap(candidate: Candidate, trials: Sequence[Trial], first: Trial) -> bool:
    extra = trials[trials.index(first) + 1 :]
    bytes_left = first.downloaded - sum(trial.downloaded for trial in extra)
    # It downloads no more than the first right one did, so it takes about as long at most.
    left = time_left(trials)
    return candidate.missing <= bytes_left and left is not None and first.seconds <= left

"""What can go wrong in the store, and what it means for the one who asked.

    StoreError
    ├── StoreUnavailable   the engine cannot write or read now; nothing was acknowledged
    │   └── OutOfOrder     what comes before it is not kept yet: the same again a moment later
    ├── AlreadyFinished    the job was settled, failed or cancelled before
    ├── Repeated           the owner has a job of this name already
    ├── NotFound           no such job, key, session
    └── Conflict           another row with this identity says something else

``InsufficientFunds`` and ``Unbalanced`` come from ``tabgrid_server.ledger``.
"""

from __future__ import annotations

from .records import Named


class StoreError(Exception):
    """Base of everything the store raises on its own account."""


class StoreUnavailable(StoreError):
    """Disk full, database locked or gone. Whether an open command was kept is unknown
    to the caller, and repeating it is safe: every command takes effect at most once."""


class OutOfOrder(StoreUnavailable):
    """What the trust policy was told is kept in the order in which it was told."""

    def __init__(self, number: int, last: int) -> None:
        super().__init__(f"Event {number} of the trust policy cannot follow event {last}.")
        self.number = number
        self.last = last


class AlreadyFinished(StoreError):
    """The job has its end; ``state`` says which."""

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"Job {job_id} is already {state}.")
        self.job_id = job_id
        self.state = state


class Repeated(StoreError):
    """Its owner sent a request of this name before; ``named`` says what became of it."""

    def __init__(self, named: Named) -> None:
        super().__init__(f"A request of this name is {named.job_id} already.")
        self.named = named


class NotFound(StoreError):
    """Nothing has this identity."""


class Conflict(StoreError):
    """A row of this identity exists and differs, or a rule of the schema refused the write."""

"""Everything durable: jobs, money, receipts, keys, sessions.

``Store`` runs transactions; the modules beside it hold the queries, as functions whose
first argument is a connection: ``await store.read(jobs.get, job_id)``.
"""

from __future__ import annotations

from .effects import TrustStep
from .errors import (
    AlreadyFinished,
    Conflict,
    NotFound,
    OutOfOrder,
    Repeated,
    StoreError,
    StoreUnavailable,
)
from .looks import Check, GivenUp, WhyGivenUp
from .records import (
    ApiKey,
    Credit,
    Idempotency,
    Job,
    JobContent,
    Minute,
    Named,
    NewJob,
    Receipt,
    Refund,
    Release,
    Session,
    Settlement,
    Totals,
    WalletSummary,
)
from .store import Store

__all__ = [
    "AlreadyFinished",
    "ApiKey",
    "Check",
    "Conflict",
    "Credit",
    "GivenUp",
    "Idempotency",
    "Job",
    "JobContent",
    "Minute",
    "Named",
    "NewJob",
    "NotFound",
    "OutOfOrder",
    "Receipt",
    "Refund",
    "Release",
    "Repeated",
    "Session",
    "Settlement",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "Totals",
    "TrustStep",
    "WalletSummary",
    "WhyGivenUp",
]

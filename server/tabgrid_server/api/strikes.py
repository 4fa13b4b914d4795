"""Answers of one's own that were found wrong, what speaks against them, and an appeal."""

from __future__ import annotations

import time

from starlette.requests import Request

from .. import trust
from ..auth import client_address
from ..errors import GridError, NotFound
from ..inspection import check_view
from ..services import Services, services
from ..store import checks as stored_checks
from ..store import trust as stored_trust
from ..store.trust import StrikeRow
from ..trust import instructions as do
from .operations import Operation, operation
from .schemas.trust import Strike, Strikes, UnitStanding


class AppealRefused(GridError):
    status, type, code = 409, "invalid_request_error", "appeal_refused"


#: States in which an appeal has ended.
DECIDED = ("upheld", "reversed", "lapsed")
#: A wallet with more is convicted long since.
MOST = 100


@operation(
    "GET",
    "/api/strikes",
    tag="Strikes",
    summary="Where the signed-in wallet stands, and its answers that were found wrong",
    returns=Strikes,
    auth="session",
)
async def list_strikes(request: Request) -> Strikes:
    at = services(request)
    session = await at.sessions.required(request)
    units = await at.store.read(stored_trust.units_of_wallet, session.wallet)
    rows = await at.store.read(stored_trust.strikes_of_wallet, session.wallet, MOST)
    return Strikes(
        tuple(
            UnitStanding(
                digest=row.unit.digest,
                model=_model(at, row.unit.digest),
                dtype=row.unit.dtype,
                device_class=row.unit.device_class,
                state=row.state,
                reason=row.reason,
                at=row.at,
            )
            for row in units
        ),
        tuple([await _strike(at, row) for row in rows]),
    )


@operation(
    "POST",
    "/api/strikes/{job}/appeal",
    tag="Strikes",
    summary="Say that the answer was right: three references run the job again and decide",
    returns=Strike,
    status=202,
    auth="session",
    errors=(404, 409, 429, 503),
)
async def appeal(request: Request) -> Strike:
    at = services(request)
    session = await at.sessions.required(request)
    at.public_requests.take(client_address(request), time.monotonic())
    row = await at.store.read(stored_trust.strike_of_job, request.path_params["job"])
    if row is None or row.unit.wallet != session.wallet:
        raise NotFound("No answer of this wallet was found wrong for this job.")
    told = at.coordinator.auditing.tell(trust.AppealFiled(row.job_id), time.time())
    for each in told:
        if isinstance(each, do.RefuseAppeal):
            raise AppealRefused(each.reason)
    return await _strike(at, row, appealed=True)


async def _strike(at: Services, row: StrikeRow, *, appealed: bool = False) -> Strike:
    """``appealed``: a moment ago, so that the books may not say so yet."""
    state = "appealed" if appealed else row.state
    return Strike(
        job=row.job_id,
        digest=row.unit.digest,
        model=_model(at, row.unit.digest),
        dtype=row.unit.dtype,
        device_class=row.unit.device_class,
        pay=row.pay,
        fine=row.fine,
        token=at.settings.chain.symbol,
        reason=row.reason,
        at=row.at,
        state=state,
        appeal_until=row.appeal_until,
        can_appeal=state == "standing" and time.time() <= row.appeal_until,
        decided=row.moved_reason if state in DECIDED else None,
        checks=tuple(map(check_view, await at.store.read(stored_checks.of_job, row.job_id))),
    )


def _model(at: Services, digest: str) -> str:
    """Its name, or its digest where it is not offered any more."""
    return next((o.manifest.id for o in at.coordinator.offers.all if o.digest == digest), digest)


OPERATIONS: tuple[Operation, ...] = (list_strikes, appeal)

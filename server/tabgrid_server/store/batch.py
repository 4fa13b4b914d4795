"""The three writes of a job's life, many jobs in one transaction, and the trust policy's steps.

Submit (keep the job, hold its price), settle (result, receipt, pay) and refund (give the
hold back). Each command is decided on its own and refused on its own; what was accepted
is written with one statement for each table. A step of the policy comes with the settlement
that caused it, or alone: it is kept even where that settlement is refused, since the policy
has moved on.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec
from sqlalchemy import Connection, text

from .. import ledger
from ..ledger import LedgerError
from . import idempotency
from .bulk import Bulk, Lookup, Row
from .carrying import Carrying, Earning
from .effects import TrustStep
from .errors import AlreadyFinished, Conflict, NotFound, Repeated, StoreError
from .ledger import Booking
from .records import Named, NewJob, Refund, Settlement
from .tables import OPEN_STATES, earnings, receipts
from .trust import Log

Command = NewJob | Settlement | Refund | TrustStep

_OPEN = frozenset(OPEN_STATES)
_INSERT_JOBS = Bulk(
    text(
        "INSERT INTO jobs (id, owner, key_id, grid, model, digest, connector, token, state, input,"
        " price, fee, units, usage, public, show_preview, checked, submitted_at, attempts)"
        " VALUES (:id, :owner, :key_id, :grid, :model, :digest, :connector, :token, 'queued',"
        " :input, :price, :fee, :units, :usage, :public, :show_preview, :checked, :submitted_at, 0)"
    )
)
_SETTLE_JOBS = Bulk(
    text(
        "UPDATE jobs SET state = 'done', output = :output, output_digest = :output_digest,"
        " output_size = :output_size, price = :price, fee = :fee,"
        " units = :units, usage = :usage, assigned_at = :assigned_at, returned_at = :returned_at,"
        " finished_at = :finished_at, node = :node, wallet = :wallet, worker_key = :worker_key,"
        " host = :host, backend = :backend, device = :device, device_class = :device_class,"
        " dtype = :dtype, attempts = :attempts WHERE id = :id"
    )
)
_REFUND_JOBS = Bulk(
    text(
        "UPDATE jobs SET state = :state, error_code = :error_code, error = :error,"
        " attempts = :attempts, finished_at = :finished_at WHERE id = :id"
    )
)
_INSERT_RECEIPTS = Bulk(receipts.insert())
_INSERT_EARNINGS = Bulk(earnings.insert())
_LOAD = Lookup(
    sqlite="SELECT id, owner, grid, token, price, state FROM jobs"
    " WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
    postgresql="SELECT id, owner, grid, token, price, state FROM jobs"
    " WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE",
)


class _Known(msgspec.Struct):
    """What deciding needs to know of a job."""

    owner: str
    grid: str
    token: str
    held: int
    state: str


def step_of(command: Command) -> TrustStep | None:
    """What the trust policy wants kept with this command."""
    if isinstance(command, Settlement):
        return command.trust
    return command if isinstance(command, TrustStep) else None


class Done(msgspec.Struct, frozen=True):
    """``outcomes`` has one for each command: None, or the refusal.

    ``earned`` is what nodes have more of by all of them, by token; less, where it is negative.
    """

    outcomes: list[Exception | None]
    earned: dict[str, int]


def run(connection: Connection, commands: list[Command]) -> Done:
    """Decide and write ``commands`` in order.

    Raises ``IntegrityError`` if the database refuses what was decided (another process
    was faster); then nothing is kept and each command should be tried alone.
    """
    batch = _Batch(connection, commands)
    outcomes = [batch.decide(command) for command in commands]
    batch.write()
    return Done(outcomes, batch.earned())


class _Batch:
    def __init__(self, connection: Connection, commands: list[Command]) -> None:
        self._connection = connection
        self._jobs = _load(connection, commands)
        self._named = idempotency.find_all(connection, _names(commands))
        steps = [step for step in map(step_of, commands) if step is not None]
        self._carrying = Carrying(connection, [e for step in steps for e in step.effects])
        self._log = Log(connection) if steps else None
        accounts = _accounts(commands, self._jobs) | self._carrying.accounts()
        self._booking = Booking(connection, accounts)
        self._new: list[Row] = []
        self._new_names: list[Row] = []
        self._settled: list[Row] = []
        self._refunded: list[Row] = []
        self._earned: list[Row] = []
        #: The settlement, its receipt's hash, and the place of its transfer.
        self._receipts: list[tuple[Settlement, int]] = []

    def decide(self, command: Command) -> Exception | None:
        try:
            if isinstance(command, NewJob):
                self._submit(command)
            elif isinstance(command, Settlement):
                self._settle_and_step(command)
            elif isinstance(command, TrustStep):
                self._step(command)
            else:
                self._refund(command)
        except (LedgerError, StoreError) as refusal:
            return refusal
        return None

    def earned(self) -> dict[str, int]:
        return self._booking.earned()

    def write(self) -> None:
        first = self._booking.write()
        _INSERT_JOBS.run(self._connection, self._new)
        idempotency.INSERT.run(self._connection, self._new_names)
        _SETTLE_JOBS.run(self._connection, self._settled)
        _REFUND_JOBS.run(self._connection, self._refunded)
        _INSERT_RECEIPTS.run(self._connection, [_receipt(s, first + n) for s, n in self._receipts])
        _INSERT_EARNINGS.run(self._connection, self._earned)
        self._carrying.write(first)
        if self._log is not None:
            self._log.write()

    def _submit(self, job: NewJob) -> None:
        known = self._jobs.get(job.id)
        if known is not None:
            if known.owner != job.owner:
                raise Conflict(f"Another job has the id {job.id}.")
            return  # asked again after an answer was lost
        named = self._named.get((job.owner, job.idempotency.key)) if job.idempotency else None
        if named is not None:
            raise Repeated(named)
        self._booking.add(ledger.hold(job.id, job.owner, job.price, job.token, job.submitted_at))
        self._jobs[job.id] = _Known(job.owner, job.grid, job.token, job.price, "queued")
        self._new.append(_new_row(job))
        if job.idempotency is not None:
            key, request = job.idempotency.key, job.idempotency.request
            self._named[job.owner, key] = Named(job_id=job.id, request=request)
            self._new_names.append((job.owner, key, request, job.id, job.submitted_at))

    def _settle_and_step(self, s: Settlement) -> None:
        fresh = s.trust is not None and self._may_follow(s.trust)
        try:
            self._settle(s)
        finally:
            if fresh and s.trust is not None:
                self._carrying.carry_out(s.trust.effects, self._booking)

    def _step(self, step: TrustStep) -> None:
        if self._may_follow(step):
            self._carrying.carry_out(step.effects, self._booking)

    def _may_follow(self, step: TrustStep) -> bool:
        """Log its events; False if they are logged already. Raises ``OutOfOrder``."""
        return self._log is not None and self._log.take(step)

    def _settle(self, s: Settlement) -> None:
        job = self._open(s.job_id)
        place = self._booking.add(
            ledger.settle(
                s.job_id, job.owner, s.wallet, job.held, s.price, s.fee, job.token, s.finished_at
            )
        )
        job.state = "done"
        self._settled.append(_settled_row(s))
        self._receipts.append((s, place))
        pay = s.price - s.fee
        row = (s.job_id, s.wallet, job.grid, job.token, pay, s.release_at, False, None)
        self._earned.append((*row, s.held, 0, None))
        if s.trust is not None:
            earning = Earning(s.job_id, s.wallet, job.token, pay, False, None, 0, job.owner, s.fee)
            self._carrying.earned(earning)

    def _refund(self, r: Refund) -> None:
        job = self._open(r.job_id)
        self._booking.add(ledger.refund(r.job_id, job.owner, job.held, job.token, r.finished_at))
        job.state = r.state
        self._refunded.append((r.state, r.error_code, r.error, r.attempts, r.finished_at, r.job_id))

    def _open(self, job_id: str) -> _Known:
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFound(f"There is no job {job_id}.")
        if job.state not in _OPEN:
            raise AlreadyFinished(job_id, job.state)
        return job


def _load(connection: Connection, commands: list[Command]) -> dict[str, _Known]:
    ids = {c.id for c in commands if isinstance(c, NewJob)}
    ids |= {c.job_id for c in commands if isinstance(c, Settlement | Refund)}
    rows = _LOAD.run(connection, ids)
    return {row[0]: _Known(*row[1:]) for row in rows}


def _names(commands: list[Command]) -> set[tuple[str, str]]:
    return {
        (c.owner, c.idempotency.key) for c in commands if isinstance(c, NewJob) and c.idempotency
    }


def _accounts(commands: list[Command], known: dict[str, _Known]) -> set[str]:
    """Every account that these commands can touch."""
    owners = {command.owner for command in commands if isinstance(command, NewJob)}
    owners |= {job.owner for job in known.values()}
    accounts = {ledger.FEES}
    for owner in owners:
        accounts |= {ledger.credit_of(owner), ledger.hold_of(owner)}
    wallets = {command.wallet for command in commands if isinstance(command, Settlement)}
    return accounts | {ledger.withheld_of(wallet) for wallet in wallets}


def _json(usage: dict[str, int]) -> str:
    return msgspec.json.encode(usage).decode()


def _new_row(j: NewJob) -> Row:
    return (
        j.id, j.owner, j.key_id, j.grid, j.model, j.digest, j.connector, j.token, j.input,
        j.price, j.fee, j.units, _json(j.usage), j.public, j.show_preview, j.checked,
        j.submitted_at,
    )  # fmt: skip


def _settled_row(s: Settlement) -> Row:
    return (
        s.output, s.output_digest, s.output_size, s.price, s.fee, s.units, _json(s.usage),
        s.assigned_at, s.returned_at, s.finished_at, s.node, s.wallet, s.worker_key, s.host,
        s.backend, s.device, s.device_class, s.dtype, s.attempts, s.job_id,
    )  # fmt: skip


def _receipt(s: Settlement, seq: int) -> Row:
    return (seq, s.job_id, s.receipt, sha256(s.receipt).hexdigest(), s.finished_at)

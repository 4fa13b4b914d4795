"""Numbers, times and names as people read them. Pure; ``web/src/lib/format.ts`` is its twin."""

from __future__ import annotations

from datetime import UTC, datetime

from ..api.schemas.grid import Token
from ..coordinator.pricing import quote

#: From here on a reader compares magnitudes; the exact amount stays in the title.
_MANY = 10_000

#: Why a device cannot run a model, by ``RefusalCode``.
REFUSALS = {
    "wrong_numbers": "wrong numbers",
    "fails": "does not compute it",
    "out_of_memory": "too little memory",
    "no_variant": "lacks memory or a feature",
    "download_limit": "its owner's download limit",
    "bad_model": "the model's files are at fault",
    "unknown_algorithm": "an older node program",
    "slow": "too slow",
}


def amount(base_units: int, token: Token) -> str:
    """Base units as "1.24 TGT". Cut, never rounded up: nobody is shown more than there is."""
    return f"{amount_number(base_units, token.decimals)} {token.symbol}"


def amount_number(base_units: int, decimals: int) -> str:
    """At least two decimals if the token has them, no further zeros, two for large amounts."""
    whole, rest = divmod(abs(base_units), 10**decimals)
    sign = "−" if base_units < 0 else ""  # noqa: RUF001 a minus sign, as in the figures around it
    digits = f"{rest:0{decimals}d}" if decimals else ""
    fraction = digits[:2] if whole >= _MANY else digits.rstrip("0")
    fraction = fraction.ljust(min(2, decimals), "0")
    return f"{sign}{whole:,}.{fraction}" if fraction else f"{sign}{whole:,}"


def amount_exact(base_units: int, token: Token) -> str:
    """Every digit, for the title of a shortened figure."""
    whole, rest = divmod(base_units, 10**token.decimals)
    fraction = f".{rest:0{token.decimals}d}" if token.decimals else ""
    return f"{whole:,}{fraction} {token.symbol}"


def pay(price_per_unit: int, fee_bps: int) -> int:
    """What a node earns for one unit of work, in base units."""
    return quote(1, price_per_unit, fee_bps).pay


def count(number: int) -> str:
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(bps: int) -> str:
    """Hundredths of a percent as "5 %" or "0.25 %"."""
    return f"{bps / 100:g} %"


def megabytes(size: int) -> str:
    """Bytes as decimal megabytes, as browsers and phone plans count them."""
    mega = size / 1_000_000
    return f"{mega:,.0f} MB" if mega >= 10 else f"{mega:.1f} MB"


def duration(seconds: float) -> str:
    """A length of time with two or three digits: "340 ms", "12.4 s", "3 min", "72 h"."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds != int(seconds) else f"{int(seconds)} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 96 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"


def ago(at: float, now: float) -> str:
    """ "now", "12 s ago", "3 min ago"; a future time is "in 20 s"."""
    gap = now - at
    if abs(gap) < 1:
        return "now"
    whole = float(int(abs(gap)))
    return f"{duration(whole)} ago" if gap > 0 else f"in {duration(whole)}"


def exact(at: float) -> str:
    """ "2026-11-23 23:26:12.345 UTC": the same for every reader, so that they can compare."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} UTC"


def exact_hour(at: float) -> str:
    """ "2026-11-23 23:00 UTC", of an hour or a day that began then."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def iso(at: float) -> str:
    """For ``<time datetime>``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def short(text: str, head: int = 4, tail: int = 4) -> str:
    """A hash or an address with its middle left out; a prefix such as "job_" is kept."""
    prefix, _, body = text.rpartition("_")
    lead = f"{prefix}_" if prefix else ""
    if len(body) <= head + tail + 1:
        return text
    return f"{lead}{body[:head]}…{body[-tail:]}"


BACKENDS = {"webgpu": "WebGPU", "wasm": "WASM", "cpu": "CPU", "cuda": "CUDA"}


#: Accounts and kinds of a statement, as the figures of other pages name them.
ACCOUNTS = {
    "withheld": "Withheld",
    "claimable": "Claimable",
    "in_flight": "Being paid",
    "paid": "Paid on chain",
    "push_fees": "Payout fees",
    "overpaid": "Paid too early",
    "credit": "Credit",
    "held": "Held for jobs",
    "fees": "Operator's fee",
    "chain": "Paid on chain",
    "unassigned": "Nobody's yet",
}
KINDS = {
    "grant": "Credit given",
    "deposit": "Deposit",
    "assign": "Deposit assigned",
    "hold": "Held for a job",
    "settle": "Job settled",
    "refund": "Job refunded",
    "release": "Released",
    "reserve": "Claim reserved",
    "pay": "Paid on chain",
    "return": "Claim given back",
    "recover": "Payment found on chain",
    "offset": "Set off",
    "void": "Wrong answer, pay taken back",
    "fine": "Fine for a wrong answer",
    "forfeit": "Forfeited",
    "restore": "Given back after an appeal",
    "reinstate": "Forfeited pay given back",
}


#: Word, state in the style sheet, meaning.
_STANDINGS = {
    "unknown": ("not here lately", "cancelled", "Not seen since the grid started"),
    "untested": ("untested", "queued", "Not tested yet"),
    "testing": ("testing", "queued", "On the test with known answers"),
    "unsupported": (
        "not supported", "cancelled", "This device computes the model wrong: no fault of its owner"
    ),
    "probation": ("new", "running", "Every answer is checked until enough of them agreed"),
    "proven": ("proven", "done", "Enough answers were right: some are checked, by lot"),
    "suspected": ("suspected", "running", "An answer was wrong: every one is checked for now"),
    "convicted": ("excluded", "failed", "Answers were wrong too often: it gets no more jobs"),
    "quarantined": (
        "paused", "paused", "Devices of this class compute the model wrong at the moment"
    ),
}  # fmt: skip


def standing(name: str) -> str:
    return _STANDINGS[name][0]


def standing_look(name: str) -> str:
    return _STANDINGS[name][1]


def standing_meaning(name: str) -> str:
    return _STANDINGS[name][2]


def account(name: str) -> str:
    return ACCOUNTS.get(name, name)


def kind(name: str) -> str:
    return KINDS.get(name, name)


def refusal(code: str) -> str:
    return REFUSALS.get(code, code)


def backend(name: str) -> str:
    return BACKENDS.get(name, name)

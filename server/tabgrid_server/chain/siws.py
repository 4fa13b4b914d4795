"""Sign in with Solana: the text that a wallet signs, and the check of what comes back.

Pure: time and the nonce are arguments. The server keeps the issued input by its nonce, which
is used once; ``verify`` rebuilds the text from that, so nothing in the text is believed
because it was sent. Grammar: phantom/sign-in-with-solana (after EIP-4361).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from .panics import foreign

Cluster = Literal["mainnet", "testnet", "devnet", "localnet"]

STATEMENT = (
    "Sign in to Tabgrid and let this device work for your wallet. "
    "This costs nothing and moves no funds."
)
#: Clocks of two machines may differ by this much; more is an attack or a broken clock.
CLOCK_SKEW_S = 60
WORKER = "urn:tabgrid:worker:"
DEVICE = "urn:tabgrid:device:"

_HEADER = " wants you to sign in with your Solana account:"
_FIELDS = (
    ("uri", "URI"),
    ("version", "Version"),
    ("chain_id", "Chain ID"),
    ("nonce", "Nonce"),
    ("issued_at", "Issued At"),
    ("expiration_time", "Expiration Time"),
)
_NONCE = re.compile(r"[A-Za-z0-9]{8,64}", re.ASCII)
#: What would let one field pass for another: line breaks of any kind, and control characters.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Reason = Literal["malformed", "address", "worker_key", "message", "too_early", "expired", "forged"]


class SignInRefused(Exception):
    """The sign-in does not hold. ``code`` for programs, the text for the person."""

    def __init__(self, code: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class SignInInput(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The input of a wallet's ``solana:signIn``; every field set, so every field is checked."""

    domain: str
    address: str
    statement: str
    uri: str
    version: str
    chain_id: str
    nonce: str
    issued_at: str
    expiration_time: str
    resources: tuple[str, ...]


def new_input(
    *,
    domain: str,
    uri: str,
    address: str,
    worker_key: str,
    device: str,
    chain_id: Cluster,
    nonce: str,
    now: float,
    lifetime: float,
) -> SignInInput:
    """What the wallet at ``address`` is asked to sign; ``now`` is Unix seconds.

    Raises ``SignInRefused`` for an address or worker key that is no key, and ``ValueError``
    for a field that we fill ourselves and that would break the text.
    """
    check_key(address, "address", "The wallet's address")
    check_key(worker_key, "worker_key", "The worker key")
    issued = SignInInput(
        domain=domain,
        address=address,
        statement=STATEMENT,
        uri=uri,
        version="1",
        chain_id=chain_id,
        nonce=nonce,
        issued_at=timestamp(now),
        expiration_time=timestamp(now + lifetime),
        resources=(WORKER + worker_key, DEVICE + device),
    )
    _check_fields(issued)
    return issued


def message_text(issued: SignInInput) -> str:
    """The text, as every conforming wallet makes it from the same input."""
    lines = [issued.domain + _HEADER, issued.address, "", issued.statement, ""]
    lines += [f"{label}: {getattr(issued, field)}" for field, label in _FIELDS]
    lines += ["Resources:", *(f"- {resource}" for resource in issued.resources)]
    return "\n".join(lines)


def parse(text: str) -> SignInInput:
    """The reverse of ``message_text``. Raises ``SignInRefused`` ("malformed")."""
    lines = text.split("\n")
    fixed = 5 + len(_FIELDS) + 1
    if len(lines) < fixed or not lines[0].endswith(_HEADER) or lines[fixed - 1] != "Resources:":
        raise SignInRefused("malformed", "This is not a sign-in message of ours.")
    values = {
        field: _after(line, f"{label}: ")
        for (field, label), line in zip(_FIELDS, lines[5:], strict=False)
    }
    parsed = SignInInput(
        domain=lines[0].removesuffix(_HEADER),
        address=lines[1],
        statement=lines[3],
        resources=tuple(_after(line, "- ") for line in lines[fixed:]),
        **values,
    )
    if message_text(parsed) != text:
        raise SignInRefused("malformed", "This is not a sign-in message of ours.")
    return parsed


def verify(
    issued: SignInInput, address: str, signed_message: bytes, signature: bytes, now: float
) -> None:
    """Check what a wallet returned for ``issued``; the caller has just used up its nonce.

    ``address`` is the account that the wallet signed with: people may pick another one than
    the page asked for. After this returns, that account is whose session it is.
    Raises ``SignInRefused``.
    """
    # 1. The account is a key, so that it can have signed at all.
    key = check_key(address, "address", "The wallet's address")
    # 2. The signed bytes are ours with that account in them, to the last byte: so domain,
    #    chain, nonce, times and worker key are what we issued, and the account that signs is
    #    the account that the text names.
    expected = message_text(msgspec.structs.replace(issued, address=address))
    if signed_message != expected.encode():
        raise SignInRefused("message", "The wallet signed another text than the one it was given.")
    # 3. In time.
    if now < seconds(issued.issued_at) - CLOCK_SKEW_S:
        raise SignInRefused("too_early", "This sign-in is dated in the future.")
    if now >= seconds(issued.expiration_time):
        raise SignInRefused("expired", "This sign-in took too long; please start again.")
    # 4. Signed by that account. solders verifies strictly: no small-order keys, no
    #    malleable signatures.
    if len(signature) != Signature.LENGTH or not _holds(key, expected.encode(), signature):
        raise SignInRefused("forged", "The signature does not belong to this wallet and text.")


def worker_key(issued: SignInInput) -> str:
    return _resource(issued, WORKER)


def device(issued: SignInInput) -> str:
    return _resource(issued, DEVICE)


def check_key(text: str, code: Literal["address", "worker_key"], what: str) -> Pubkey:
    """Base58 of an Ed25519 public key. A program's address is no key: nothing signs for it."""
    with foreign(lambda reason: SignInRefused(code, f"{what} is not base58 of 32 bytes.")):
        key = Pubkey.from_string(text)
    if not key.is_on_curve() or bytes(key) in SMALL_ORDER:
        raise SignInRefused(code, f"{what} is not an Ed25519 public key.")
    return key


def timestamp(at: float) -> str:
    """RFC 3339 in UTC with milliseconds, as JavaScript's ``toISOString`` has it."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _holds(key: Pubkey, message: bytes, signature: bytes) -> bool:
    return bool(Signature.from_bytes(signature).verify(key, message))


def _resource(issued: SignInInput, prefix: str) -> str:
    return next(r.removeprefix(prefix) for r in issued.resources if r.startswith(prefix))


def _after(line: str, prefix: str) -> str:
    if not line.startswith(prefix):
        raise SignInRefused("malformed", "This is not a sign-in message of ours.")
    return line.removeprefix(prefix)


def _check_fields(issued: SignInInput) -> None:
    for field in issued.__struct_fields__:
        value = getattr(issued, field)
        for text in value if isinstance(value, tuple) else (value,):
            if not text or _UNSAFE.search(text):
                raise ValueError(f"{field} of a sign-in must be one line of text: {text!r}")
    if not _NONCE.fullmatch(issued.nonce):
        raise ValueError("a sign-in's nonce is 8 to 64 letters and digits")


#: The encodings of the points of order 1, 2, 4 and 8 (canonical and not): anyone can make a
#: "signature" for them, so they may not be anybody's key.
SMALL_ORDER = frozenset(
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)

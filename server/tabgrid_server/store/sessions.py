"""Sign-in: challenges used once, sessions that end, wallets that were seen."""

from __future__ import annotations

from sqlalchemy import Connection, delete, or_, select, text, update

from .records import Session
from .tables import challenges, sessions

_SESSION = select(*(sessions.c[name] for name in Session.__struct_fields__))
_SEEN = text(
    "INSERT INTO wallets (address, first_seen, last_seen) VALUES (:address, :now, :now)"
    " ON CONFLICT (address) DO UPDATE SET last_seen = excluded.last_seen"
)
_CONSUME = text(
    "UPDATE challenges SET used_at = :now"
    " WHERE nonce = :nonce AND used_at IS NULL AND expires_at > :now RETURNING body"
)


def create(connection: Connection, session: Session) -> None:
    """Keep a session, and note that its wallet was here."""
    connection.execute(
        sessions.insert().values(
            token_hash=session.token_hash,
            wallet=session.wallet,
            worker_key=session.worker_key,
            device_id=session.device_id,
            created_at=session.created_at,
            expires_at=session.expires_at,
        )
    )
    connection.execute(_SEEN, {"address": session.wallet, "now": session.created_at})


def find(connection: Connection, token_hash: str, now: float) -> Session | None:
    """The session with this token, if it is neither expired nor revoked."""
    query = _SESSION.where(
        sessions.c.token_hash == token_hash,
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > now,
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Session(**row._mapping)


def revoke(connection: Connection, token_hash: str, now: float) -> bool:
    """Sign out; False if there was nothing to end."""
    query = (
        update(sessions)
        .where(sessions.c.token_hash == token_hash, sessions.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return connection.execute(query).rowcount == 1


def purge(connection: Connection, now: float) -> int:
    """Forget sessions and challenges that can no longer be used. Returns how many."""
    ended = or_(sessions.c.expires_at <= now, sessions.c.revoked_at.is_not(None))
    gone = connection.execute(delete(sessions).where(ended)).rowcount
    # A used challenge stays until it would have expired: its nonce is refused till then.
    return (
        gone + connection.execute(delete(challenges).where(challenges.c.expires_at <= now)).rowcount
    )


def put_challenge(connection: Connection, nonce: str, body: bytes, expires_at: float) -> None:
    """Keep what a wallet was asked to sign. Raises ``Conflict`` for a nonce used before."""
    connection.execute(challenges.insert().values(nonce=nonce, body=body, expires_at=expires_at))


def consume_challenge(connection: Connection, nonce: str, now: float) -> bytes | None:
    """Take a challenge, once and in time; None ever after. Of two callers one gets it."""
    body: bytes | None = connection.execute(_CONSUME, {"nonce": nonce, "now": now}).scalar()
    return body

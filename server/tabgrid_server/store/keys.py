"""API keys. Only their hashes are kept."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from .. import ledger
from .ledger import post
from .records import ApiKey
from .tables import api_keys

_KEY = select(*(api_keys.c[name] for name in ApiKey.__struct_fields__))


def create(connection: Connection, key: ApiKey, hash: str, credit: int, token: str) -> None:
    """Keep a new key and grant ``credit`` base units to its owner. ``hash``: hex SHA-256."""
    connection.execute(
        api_keys.insert().values(
            id=key.id,
            hash=hash,
            owner=key.owner,
            label=key.label,
            created_at=key.created_at,
            revoked_at=key.revoked_at,
        )
    )
    post(connection, ledger.grant(key.id, key.owner, credit, token, key.created_at))


def add_credit(
    connection: Connection, grant_id: str, key_id: str, amount: int, token: str, at: float
) -> bool:
    """Grant ``amount`` base units more to a key's owner, once per ``grant_id``.

    False if there is no such key.
    """
    owner = connection.execute(select(api_keys.c.owner).where(api_keys.c.id == key_id)).scalar()
    if owner is None:
        return False
    post(connection, ledger.grant(grant_id, owner, amount, token, at))
    return True


def by_hash(connection: Connection, hash: str) -> ApiKey | None:
    """The key with this hash, revoked or not."""
    row = connection.execute(_KEY.where(api_keys.c.hash == hash)).one_or_none()
    return None if row is None else ApiKey(**row._mapping)


def listing(connection: Connection) -> list[ApiKey]:
    """All keys, oldest first."""
    rows = connection.execute(_KEY.order_by(api_keys.c.created_at, api_keys.c.id))
    return [ApiKey(**row._mapping) for row in rows]


def revoke(connection: Connection, key_id: str, now: float) -> bool:
    """Refuse a key from now on; False if it is unknown or was revoked before."""
    query = (
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return connection.execute(query).rowcount == 1

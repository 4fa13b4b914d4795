"""Who asks: wallets by signed-in sessions, AI users by keys. Secrets are kept as hashes."""

from __future__ import annotations

import hashlib
import secrets
import time
from urllib.parse import urlsplit

import msgspec
from starlette.requests import HTTPConnection

from .api.schemas.account import ChallengeRequest, VerifyRequest
from .chain import siws
from .coordinator import Caller, Coordinator
from .errors import BadRequest, Unauthorized
from .settings import Settings
from .store import ApiKey, Session, Store
from .store import keys as stored_keys
from .store import sessions as stored_sessions

COOKIE = "tabgrid_session"
KEY_PREFIX = "tg_"
#: Keys are looked up at every request; a revoked one works at most this much longer.
KEY_CACHE_S = 5
KEY_CACHE_SIZE = 10_000


def secret_hash(secret: str) -> str:
    """SHA-256 suffices: our secrets have 256 random bits, so there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def bearer_token(connection: HTTPConnection) -> str | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def session_token(connection: HTTPConnection) -> str | None:
    return bearer_token(connection) or connection.cookies.get(COOKIE)


def client_address(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else "unknown"


class Sessions:
    """Sign-in with Solana, and what comes of it."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store

    async def challenge(self, request: ChallengeRequest) -> siws.SignInInput:
        """What the wallet is asked to sign; good for one use within minutes."""
        now = time.time()
        url = self._settings.url
        try:
            issued = siws.new_input(
                domain=urlsplit(url).netloc,
                uri=url,
                address=request.address,
                worker_key=request.worker_key,
                device=request.device_id,
                chain_id=self._settings.chain.cluster,
                nonce=secrets.token_hex(16),
                now=now,
                lifetime=self._settings.sessions.challenge_s,
            )
        except siws.SignInRefused as error:
            raise BadRequest(str(error), error.code) from error
        body = msgspec.json.encode((issued, request))
        expires = now + self._settings.sessions.challenge_s
        await self._store.write(stored_sessions.put_challenge, issued.nonce, body, expires)
        return issued

    async def verify(
        self, request: VerifyRequest, signed_message: bytes, signature: bytes
    ) -> tuple[Session, str]:
        """Check the signed message; make a session and its secret token.

        Raises ``Unauthorized`` where anything differs from what was issued.
        """
        now = time.time()
        body = await self._store.write(stored_sessions.consume_challenge, request.nonce, now)
        if body is None:
            raise Unauthorized("This sign-in was used already or is too old. Connect again.")
        issued, asked = msgspec.json.decode(body, type=tuple[siws.SignInInput, ChallengeRequest])
        try:
            siws.verify(issued, request.address, signed_message, signature, now)
        except siws.SignInRefused as error:
            raise Unauthorized(str(error)) from error
        token = secrets.token_urlsafe(32)
        session = Session(
            token_hash=secret_hash(token),
            wallet=request.address,
            worker_key=asked.worker_key,
            device_id=asked.device_id,
            created_at=now,
            expires_at=now + self._settings.sessions.days * 86_400,
        )
        await self._store.write(stored_sessions.create, session)
        return session, token

    async def find(self, token: str) -> Session | None:
        now = time.time()
        return await self._store.read(stored_sessions.find, secret_hash(token), now)

    async def required(self, connection: HTTPConnection) -> Session:
        token = session_token(connection)
        session = await self.find(token) if token else None
        if session is None:
            raise Unauthorized("Connect a wallet and sign in first.")
        return session

    async def end(self, token: str) -> bool:
        return await self._store.write(stored_sessions.revoke, secret_hash(token), time.time())


class Keys:
    """API keys, with a short memory so that a request costs no query."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._known: dict[str, tuple[float, ApiKey]] = {}

    async def create(self, label: str, credit: int) -> tuple[ApiKey, str]:
        """A new key with its own owner and demo credit. The secret is returned once."""
        secret = KEY_PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(
            id=Coordinator.new_id("key"),
            owner=Coordinator.new_id("user"),
            label=label,
            created_at=time.time(),
            revoked_at=None,
        )
        symbol = self._settings.chain.symbol
        await self._store.write(stored_keys.create, key, secret_hash(secret), credit, symbol)
        return key, secret

    async def required(self, connection: HTTPConnection) -> Caller:
        """Who pays for this request. Raises ``Unauthorized``."""
        key = await self.key_of(connection)
        return Caller(key.owner, key.id)

    async def key_of(self, connection: HTTPConnection) -> ApiKey:
        secret = bearer_token(connection)
        if not secret:
            raise Unauthorized(
                "Send your key as 'Authorization: Bearer tg_…'. Make one on the playground page."
            )
        key = await self._find(secret)
        if key is None or key.revoked_at is not None:
            raise Unauthorized("This key is not known here, or was revoked.")
        return key

    async def _find(self, secret: str) -> ApiKey | None:
        now = time.monotonic()
        hashed = secret_hash(secret)
        cached = self._known.get(hashed)
        if cached is not None and cached[0] > now:
            return cached[1]
        key = await self._store.read(stored_keys.by_hash, hashed)
        if key is not None:
            if len(self._known) >= KEY_CACHE_SIZE:
                self._known.clear()
            self._known[hashed] = (now + KEY_CACHE_S, key)
        return key

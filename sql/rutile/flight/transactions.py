"""Sessions that last longer than a statement: one for each transaction a client has begun."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rutile.errors import SqlError
from rutile.flight.problems import gone
from rutile.privileges.logins import Logins
from rutile.session.engine import Database
from rutile.session.session import Session

MAX_OPEN = 1000
"""Transactions at once; the next one is refused (1040)."""
IDLE_LIFE_S = 600.0
"""A transaction that nothing has been asked of for so long is rolled back: its client is gone."""


@dataclass(slots=True)
class _Open:
    session: Session
    user: str
    used_at: float


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and the database that unqualified names are in."""

    user: str
    database: str | None


class Transactions:
    """The open transactions, by their ids; and sessions for statements outside of any."""

    def __init__(self, database: Database, monotonic: Callable[[], float], logins: Logins) -> None:
        self._database = database
        self._logins = logins
        self._monotonic = monotonic
        self._open: dict[bytes, _Open] = {}

    @property
    def count(self) -> int:
        """Open transactions."""
        return len(self._open)

    async def begin(self, caller: Caller) -> bytes:
        """Begin a transaction; its id. Raises 1040, 1049."""
        await self.end_idle()
        if len(self._open) >= MAX_OPEN:
            raise SqlError(1040, f"Too many open transactions (limit {MAX_OPEN})", sqlstate="08004")
        session = await self._new_session(caller)
        await session.execute("SET autocommit = 0")  # not BEGIN: it also holds after a definition, which commits
        transaction_id = secrets.token_bytes(16)
        self._open[transaction_id] = _Open(session, caller.user, self._monotonic())
        return transaction_id

    async def end(self, caller: Caller, transaction_id: bytes, *, commit: bool) -> None:
        """Commit or roll back; the transaction is over in any case. Raises 9007 and its like."""
        session = self.session_of(caller, transaction_id)
        del self._open[transaction_id]
        try:
            await session.execute("COMMIT" if commit else "ROLLBACK")
        finally:
            await session.close()

    @asynccontextmanager
    async def session(self, caller: Caller, transaction_id: bytes) -> AsyncIterator[Session]:
        """The transaction's session; without an id one of its own, which ends with the block."""
        if transaction_id:
            yield self.session_of(caller, transaction_id)
            return
        session = await self._new_session(caller)
        try:
            yield session
        finally:
            await session.close()

    async def _new_session(self, caller: Caller) -> Session:
        """A new session of the caller's account. Raises 1044, 1045, 1049."""
        return await self._database.session(caller.database, await self._logins.identity(caller.user))

    def session_of(self, caller: Caller, transaction_id: bytes) -> Session:
        """The session of an open transaction of this user. Raises 1105 for one that is not (any more) open."""
        found = self._open.get(transaction_id)
        if found is None or found.user != caller.user:
            raise gone(f"no such transaction: it has ended, or was idle for {IDLE_LIFE_S:.0f} s and was rolled back")
        found.used_at = self._monotonic()
        return found.session

    async def end_idle(self) -> None:
        """Roll back what nobody has used for IDLE_LIFE_S."""
        oldest = self._monotonic() - IDLE_LIFE_S
        for transaction_id, each in list(self._open.items()):
            if each.used_at < oldest:
                del self._open[transaction_id]
                await each.session.close()

    async def close(self) -> None:
        """Roll everything back."""
        for each in self._open.values():
            each.session.cancel()
            await each.session.close()
        self._open.clear()

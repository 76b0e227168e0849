"""What the sessions of this front end are doing, and KILL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rutile.errors import SqlError, interrupted
from rutile.privileges.names import Privilege

if TYPE_CHECKING:
    from rutile.session.session import Session

ER_NO_SUCH_THREAD = 1094
ER_KILL_DENIED = 1095
SHOWN_STATEMENT_CHARACTERS = 100
"""SHOW PROCESSLIST without FULL cuts statements here, as MySQL does."""


class Activity:
    """What one session does: the statement it runs, since when."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since = monotonic()
        self.statement: str | None = None

    def begin(self, sql: str) -> None:
        """A statement has begun."""
        self.statement = sql
        self._since = self._monotonic()

    def end(self) -> None:
        """The session waits for its client."""
        self.statement = None
        self._since = self._monotonic()

    @property
    def elapsed_s(self) -> float:
        """How long it has been doing what it does."""
        return self._monotonic() - self._since

    @property
    def seconds(self) -> int:
        """The same in whole seconds."""
        return int(self.elapsed_s)


ProcessRow = tuple[int, str, str, str | None, str, int, str, str | None]
"""Id, User, Host, db, Command, Time, State, Info."""


async def process_rows(session: Session) -> list[ProcessRow]:
    """The sessions of this front end that `session` may know of: its account's, or all with PROCESS."""
    sees_all = await session.privileges.has_global(Privilege.PROCESS)
    return [
        _row(each)
        for _, each in sorted(session.shared.sessions.items())
        if sees_all or each.privileges.identity.account == session.privileges.identity.account
    ]


def _row(session: Session) -> ProcessRow:
    who, activity = session.privileges.identity, session.activity
    command = "Sleep" if activity.statement is None else "Query"
    state = "in transaction" if session.in_transaction else ""
    where = session.database
    return session.connection_id, who.name, who.host, where, command, activity.seconds, state, activity.statement


async def kill(session: Session, connection_id: int, *, query_only: bool) -> None:
    """KILL: stop a session's statement, or end its connection. Raises 1094, 1095; 1317 for one's own statement."""
    victim = session.shared.sessions.get(connection_id)
    if victim is None:
        raise SqlError(ER_NO_SUCH_THREAD, f"Unknown thread id: {connection_id}")
    own = victim.privileges.identity.account == session.privileges.identity.account
    if not own and not await session.privileges.has_global(Privilege.CONNECTION_ADMIN, Privilege.SUPER):
        raise SqlError(ER_KILL_DENIED, f"You are not owner of thread {connection_id}")
    victim.is_killed = not query_only
    if victim is not session:
        (victim.cancel if query_only else victim.on_kill)()
    elif query_only:
        raise interrupted()

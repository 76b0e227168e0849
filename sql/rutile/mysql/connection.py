"""One client's conversation: the handshake, then commands until it quits, is killed, or stays silent too long."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from rutile.errors import SqlError
from rutile.mysql import replies
from rutile.mysql.commands import Commands
from rutile.mysql.handshake import ClientHello
from rutile.mysql.link import Link, LinkLost
from rutile.mysql.login import Doorkeeper, Security
from rutile.mysql.problems import ConversationOver
from rutile.mysql.replies import status_of
from rutile.mysql.session_track import changes_of
from rutile.privileges.logins import Logins
from rutile.session.charsets import charset_of_id
from rutile.session.engine import Database
from rutile.session.session import Session

log = logging.getLogger(__name__)

HANDSHAKE_PACKET_BYTES = 128 << 10
"""Enough for 64 KiB of connection attributes; strangers get no more memory."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the server behaves."""

    password: str = ""
    """Of `root`, whatever the catalogue says; empty: the catalogue's."""
    security: Security = field(default_factory=Security)
    max_connections: int = 1_000
    max_packet_bytes: int = 64 << 20
    handshake_timeout_s: float = 10.0
    write_timeout_s: float = 60.0
    """How long a client may leave its socket unread while there is more to send."""


class Connection:
    """One client. `run` lasts as long as it does."""

    def __init__(
        self, link: Link, session: Session, database: Database, logins: Logins, options: ServerOptions
    ) -> None:
        self._link = link
        self._database = database
        self._options = options
        self._session = session
        self._door = Doorkeeper(link, logins, options.security, options.handshake_timeout_s)
        self._commands: Commands | None = None
        self.thread_id = session.connection_id

    async def run(self) -> None:
        """Serve the client to the end. Raises nothing."""
        self._link.on_lost = self.kill_query
        try:
            hello = await self._welcome()
            if hello is not None:
                self._commands = Commands(self._link, self._session, self._database, hello.capabilities, self._door)
                self._commands.on_kill = self.kill
                await self._serve(self._commands)
        except LinkLost:
            self._count_lost()
            log.debug("connection %d: the client is gone or was silent too long", self.thread_id)
        except Exception:
            log.exception("connection %d ended unexpectedly", self.thread_id)
        finally:
            self._link.on_lost = lambda: None
            self._link.close()
            await (self._commands.session if self._commands else self._session).close()

    def _count_lost(self) -> None:
        counters = self._database.counters
        if self._commands is None:
            counters.aborted_connects += 1
        else:
            counters.aborted_clients += 1

    def kill_query(self) -> None:
        """Stop the running statement, if there is one."""
        if self._commands is not None:
            self._commands.session.cancel()

    def kill(self) -> None:
        """End the connection, its statement first."""
        self.kill_query()
        self._link.close()

    def abort(self) -> None:
        """Close the socket, whatever is left to send."""
        self._link.abort()

    # --- the handshake ---

    async def _welcome(self) -> ClientHello | None:
        """Greet the client and let it in; None if it was turned away."""
        try:
            admission = await self._door.admit(self.thread_id)
            await self._session.privileges.become(admission.identity)
            hello = admission.hello
            if hello.database is not None:
                await self._session.use(hello.database)
        except SqlError as error:
            self._database.counters.aborted_connects += 1
            log.info("connection %d from %s refused: %s", self.thread_id, self._link.peer_host, error)
            await self._answer(replies.error(error))
            return None
        self._link.allow(self._options.max_packet_bytes)
        self._session.variables.set("max_allowed_packet", self._options.max_packet_bytes)
        self._session.variables.speak(charset_of_id(hello.collation_id))
        await self._answer(replies.ok(status_of(self._session), changes=changes_of(self._session, hello.capabilities)))
        return hello

    async def _answer(self, payload: bytes) -> None:
        self._link.send(payload)
        await self._link.flush()

    # --- commands ---

    async def _serve(self, commands: Commands) -> None:
        while not commands.quit:
            self._link.begin_exchange()
            try:
                await self._exchange(commands)
            except ConversationOver as error:
                await self._answer(replies.error(error))
                return
            except SqlError as error:
                self._link.send(replies.error(error, charset=commands.session.variables.results_charset))
            await self._link.flush()

    async def _exchange(self, commands: Commands) -> None:
        """One command. Whatever it fails with but the client's absence comes out as SqlError."""
        timeout_s = commands.session.variables.number("wait_timeout")
        packet = await self._link.read_command(timeout_s, commands.answer_now)
        try:
            await commands.run(packet)
        except (SqlError, LinkLost):
            raise
        except Exception:
            log.exception("connection %d: a command failed unexpectedly", self.thread_id)
            raise SqlError(1105, "internal error; the server's log has the details") from None

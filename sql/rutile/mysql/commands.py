"""The commands of an open connection, each answered by what the session says to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from rutile.errors import SqlError
from rutile.mysql import handshake, problems, replies
from rutile.mysql.binary_protocol import binary_encoder
from rutile.mysql.constants import Capability, Command, Status
from rutile.mysql.link import Link
from rutile.mysql.literals import statement_text
from rutile.mysql.load_data import Load
from rutile.mysql.load_statement import LoadData, read_load_data
from rutile.mysql.prepared import PreparedStatements, read_execute_header
from rutile.mysql.prompt_answers import PromptAnswers
from rutile.mysql.replies import status_of
from rutile.mysql.result_sets import MakeEncoder, ResultSender
from rutile.mysql.text_protocol import text_encoder
from rutile.mysql.wire import FieldReader
from rutile.privileges.model import Identity
from rutile.session.process_list import kill
from rutile.session.result import LONGTEXT, Result, ResultColumn
from rutile.session.session import Session

if TYPE_CHECKING:
    from rutile.mysql.connection import Neighbours
    from rutile.mysql.login import Doorkeeper
    from rutile.session.engine import Database

_PARAMETER = ResultColumn("?", LONGTEXT)
_SET_MULTI_STATEMENTS_ON, _SET_MULTI_STATEMENTS_OFF = 0, 1


class Commands:
    """Answers one client's commands, in order."""

    def __init__(
        self,
        link: Link,
        session: Session,
        database: Database,
        capabilities: Capability,
        neighbours: Neighbours,
        door: Doorkeeper,
    ) -> None:
        self.session = session
        self.quit = False
        self._door = door
        self._link = link
        self._database = database
        self._capabilities = capabilities
        self._neighbours = neighbours
        self._results = ResultSender(link, capabilities)
        self._prepared = PreparedStatements()
        self._thread_id = session.connection_id
        self._prompt = PromptAnswers(session, self._prepared, capabilities)

    def answer_now(self, packet: bytes) -> bytes | None:
        """The packets that answer a command, where that takes no await; else None, and `run` is to answer it."""
        return self._prompt.answer(packet)

    @property
    def _status(self) -> Status:
        return status_of(self.session)

    async def run(self, packet: bytes) -> None:
        """Answer one command. Raises SqlError where the answer is an error."""
        code = packet[0] if packet else -1
        answer = _ANSWERS.get(code)
        if answer is None:
            known = code in Command.__members__.values()
            raise problems.unknown_command(f"COM_{Command(code).name}" if known else str(code))
        await answer(self, packet[1:])

    def _ok(self) -> None:
        self._link.send(replies.ok(self._status))

    # --- the connection ---

    async def _quit(self, body: bytes) -> None:
        self.quit = True

    async def _ping(self, body: bytes) -> None:
        self._ok()

    async def _init_db(self, body: bytes) -> None:
        await self.session.use(statement_text(body))
        self._ok()

    async def _statistics(self, body: bytes) -> None:
        self._link.send(f"Threads: {self._neighbours.connection_count}".encode())

    async def _set_option(self, body: bytes) -> None:
        option = FieldReader(body).number(2)
        if option == _SET_MULTI_STATEMENTS_ON:
            self._capabilities |= Capability.MULTI_STATEMENTS
        elif option == _SET_MULTI_STATEMENTS_OFF:
            self._capabilities &= ~Capability.MULTI_STATEMENTS
        else:
            raise problems.unknown_command(f"COM_SET_OPTION {option}")
        self._link.send(replies.end_of_rows(self._capabilities, self._status, 0))

    @property
    def on_kill(self) -> Callable[[], None]:
        """What KILL by another session does."""
        return self.session.on_kill

    @on_kill.setter
    def on_kill(self, end: Callable[[], None]) -> None:
        self.session.on_kill = end

    async def _reset_connection(self, body: bytes) -> None:
        """A session as new, under the same number and in the same database."""
        await self._begin_anew(self.session.privileges.identity, self.session.database)
        self._ok()

    async def _change_user(self, body: bytes) -> None:
        """Somebody else from now on, in a session as new. A refused one ends the connection."""
        try:
            admission = await self._door.change_user(handshake.read_change_user(body, self._capabilities))
            await self._begin_anew(admission.identity, admission.hello.database)
        except SqlError as error:
            raise problems.over(error) from error
        self._ok()

    async def _begin_anew(self, identity: Identity, database: str | None) -> None:
        fresh = await self._database.session(database, identity, self._thread_id)
        fresh.variables.set("max_allowed_packet", self.session.variables.number("max_allowed_packet"))
        fresh.on_kill = self.session.on_kill
        old, self.session = self.session, fresh
        self._prepared.clear()
        self._prompt = PromptAnswers(fresh, self._prepared, self._capabilities)
        await old.close()

    async def _process_kill(self, body: bytes) -> None:
        await kill(self.session, FieldReader(body).number(4), query_only=False)
        self.quit = self.session.is_killed
        self._ok()

    # --- statements as text ---

    async def _query(self, body: bytes) -> None:
        sql = statement_text(body)
        if Capability.MULTI_STATEMENTS not in self._capabilities or ";" not in sql:
            return await self._run_statement(sql, more=Status(0))
        statements = self.session.statements(sql) or [sql]
        for number, statement in enumerate(statements, start=1):
            await self._run_statement(statement, more=Status.MORE_RESULTS if number < len(statements) else Status(0))

    async def _run_statement(self, sql: str, *, more: Status) -> None:
        load = read_load_data(sql)
        if load is not None:
            return await self._load(load, more)
        await self._send(await self.session.execute(sql), more, text_encoder)
        self.quit = self.session.is_killed

    async def _load(self, statement: LoadData, more: Status) -> None:
        if Capability.LOCAL_FILES not in self._capabilities:
            raise problems.local_files_off()
        await self._send(await Load(self._link, self.session, statement).run(), more, text_encoder)

    async def _send(self, result: Result, more: Status, encoder: MakeEncoder) -> None:
        await self._results.send(result, self._status | more, encoder)

    # --- prepared statements ---

    async def _prepare(self, body: bytes) -> None:
        sql = statement_text(body)
        description = await self.session.describe(sql)
        statement = self._prepared.add(sql, description.parameters, description.columns)
        self._link.send(b"".join((
            b"\x00",
            statement.id.to_bytes(4, "little"),
            len(statement.columns).to_bytes(2, "little"),
            statement.parameter_count.to_bytes(2, "little"),
            b"\x00\x00\x00",
        )))  # fmt: skip
        self._results.send_definitions([_PARAMETER] * statement.parameter_count, self._status)
        self._results.send_definitions(statement.columns, self._status)

    async def _execute(self, body: bytes) -> None:
        reader = FieldReader(body)
        statement = self._prepared.get(read_execute_header(reader), "EXECUTE")
        result = await self.session.execute(statement.sql, statement.read_parameters(reader))
        await self._send(result, Status(0), binary_encoder)

    async def _send_long_data(self, body: bytes) -> None:
        """A piece of a parameter. There is no answer to it, so there is none to a bad one either."""
        reader = FieldReader(body)
        if reader.left < 6:
            return
        statement = self._prepared.find(reader.number(4))
        if statement is not None:
            limit_bytes = self.session.variables.number("max_allowed_packet")
            statement.add_long_data(reader.number(2), reader.rest(), limit_bytes)

    async def _close_statement(self, body: bytes) -> None:
        """Forget a statement; never answered."""
        if len(body) >= 4:
            self._prepared.close(FieldReader(body).number(4))

    async def _reset_statement(self, body: bytes) -> None:
        self._prepared.get(FieldReader(body).number(4), "RESET").reset()
        self._ok()


_ANSWERS: dict[int, Callable[[Commands, bytes], Awaitable[None]]] = {
    Command.QUIT: Commands._quit,
    Command.INIT_DB: Commands._init_db,
    Command.QUERY: Commands._query,
    Command.STATISTICS: Commands._statistics,
    Command.PROCESS_KILL: Commands._process_kill,
    Command.PING: Commands._ping,
    Command.STMT_PREPARE: Commands._prepare,
    Command.STMT_EXECUTE: Commands._execute,
    Command.STMT_SEND_LONG_DATA: Commands._send_long_data,
    Command.STMT_CLOSE: Commands._close_statement,
    Command.STMT_RESET: Commands._reset_statement,
    Command.SET_OPTION: Commands._set_option,
    Command.RESET_CONNECTION: Commands._reset_connection,
    Command.CHANGE_USER: Commands._change_user,
}

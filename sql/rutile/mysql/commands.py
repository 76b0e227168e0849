"""The commands of an open connection, each answered by what the session says to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from rutile.errors import SqlError
from rutile.mysql import handshake, problems, replies
from rutile.mysql.constants import Capability, Command, Status
from rutile.mysql.link import Link
from rutile.mysql.literals import statement_text
from rutile.mysql.load_data import Load
from rutile.mysql.load_statement import LoadData, read_load_data
from rutile.mysql.prepared_commands import PreparedCommands
from rutile.mysql.prompt_answers import PromptAnswers
from rutile.mysql.replies import status_of
from rutile.mysql.result_sets import MakeEncoder, ResultSender
from rutile.mysql.session_track import changes_of
from rutile.mysql.text_protocol import text_encoder
from rutile.mysql.wire import FieldReader
from rutile.privileges.model import Identity
from rutile.session.charsets import Charset, charset_of_id
from rutile.session.process_list import kill
from rutile.session.result import Result
from rutile.session.session import Session
from rutile.show.status import statistics_line

if TYPE_CHECKING:
    from rutile.mysql.login import Doorkeeper
    from rutile.session.engine import Database

_COUNTED_AS = {
    Command.STMT_PREPARE: "stmt_prepare", Command.STMT_EXECUTE: "stmt_execute", Command.STMT_FETCH: "stmt_fetch",
    Command.STMT_CLOSE: "stmt_close", Command.STMT_RESET: "stmt_reset", Command.INIT_DB: "change_db",
    Command.STMT_SEND_LONG_DATA: "stmt_send_long_data", Command.PING: "admin_commands",
    Command.STATISTICS: "admin_commands", Command.CHANGE_USER: "admin_commands", Command.SET_OPTION: "admin_commands",
    Command.RESET_CONNECTION: "admin_commands", Command.PROCESS_KILL: "kill",
}  # fmt: skip
_SET_MULTI_STATEMENTS_ON, _SET_MULTI_STATEMENTS_OFF = 0, 1


class Commands:
    """Answers one client's commands, in order."""

    def __init__(
        self,
        link: Link,
        session: Session,
        database: Database,
        capabilities: Capability,
        door: Doorkeeper,
    ) -> None:
        self.session = session
        self.link = link
        self.capabilities = capabilities
        self.results = ResultSender(link, capabilities)
        self.quit = False
        self._door = door
        self._database = database
        self._thread_id = session.connection_id
        self._attend(session)

    def _attend(self, session: Session) -> None:
        """Serve this session from now on."""
        self.session = session
        self.link.counters = session.counters
        self.session.encryption = self.link.encryption
        self.prepared = PreparedCommands(self)
        self._prompt = PromptAnswers(session, self.prepared.statements, self.capabilities)

    def answer_now(self, packet: bytes) -> bytes | None:
        """The packets that answer a command, where that takes no await; else None, and `run` is to answer it."""
        return self._prompt.answer(packet)

    @property
    def status(self) -> Status:
        return status_of(self.session)

    async def run(self, packet: bytes) -> None:
        """Answer one command. Raises SqlError where the answer is an error."""
        code = packet[0] if packet else -1
        answer = _ANSWERS.get(code)
        if answer is None:
            known = code in Command.__members__.values()
            raise problems.unknown_command(f"COM_{Command(code).name}" if known else str(code))
        if code in _COUNTED_AS:
            self.session.counters.commands[_COUNTED_AS[Command(code)]] += 1
        await answer(self, packet[1:])

    def _ok(self) -> None:
        self.link.send(replies.ok(self.status, changes=changes_of(self.session, self.capabilities)))

    def _text(self, body: bytes) -> str:
        return statement_text(body, self.session.variables.client_charset)

    # --- the connection ---

    async def _quit(self, body: bytes) -> None:
        self.quit = True

    async def _ping(self, body: bytes) -> None:
        self._ok()

    async def _init_db(self, body: bytes) -> None:
        await self.session.use(self._text(body))
        self._ok()

    async def _statistics(self, body: bytes) -> None:
        self.link.send(statistics_line(self.session).encode())

    async def _set_option(self, body: bytes) -> None:
        option = FieldReader(body).number(2)
        if option == _SET_MULTI_STATEMENTS_ON:
            self.capabilities |= Capability.MULTI_STATEMENTS
        elif option == _SET_MULTI_STATEMENTS_OFF:
            self.capabilities &= ~Capability.MULTI_STATEMENTS
        else:
            raise problems.unknown_command(f"COM_SET_OPTION {option}")
        self.link.send(replies.end_of_rows(self.capabilities, self.status, 0))

    @property
    def on_kill(self) -> Callable[[], None]:
        """What KILL by another session does."""
        return self.session.on_kill

    @on_kill.setter
    def on_kill(self, end: Callable[[], None]) -> None:
        self.session.on_kill = end

    async def _reset_connection(self, body: bytes) -> None:
        """A session as new, under the same number and in the same database, but in the client's character set."""
        charset = self.session.variables.client_charset
        await self._begin_anew(self.session.privileges.identity, self.session.database, charset)
        self._ok()

    async def _change_user(self, body: bytes) -> None:
        """Somebody else from now on, in a session as new. A refused one ends the connection."""
        try:
            admission = await self._door.change_user(handshake.read_change_user(body, self.capabilities))
            hello = admission.hello
            await self._begin_anew(admission.identity, hello.database, charset_of_id(hello.collation_id))
        except SqlError as error:
            raise problems.over(error) from error
        self._ok()

    async def _begin_anew(self, identity: Identity, database: str | None, charset: Charset) -> None:
        old = self.session
        fresh = await self._database.session(database, identity, self._thread_id)
        fresh.variables.set("max_allowed_packet", old.variables.number("max_allowed_packet"))
        fresh.variables.speak(charset)
        fresh.on_kill = old.on_kill
        self._attend(fresh)
        await old.close()

    async def _process_kill(self, body: bytes) -> None:
        await kill(self.session, FieldReader(body).number(4), query_only=False)
        self.quit = self.session.is_killed
        self._ok()

    # --- statements as text ---

    async def _query(self, body: bytes) -> None:
        sql = self._text(body)
        if Capability.MULTI_STATEMENTS not in self.capabilities or ";" not in sql:
            return await self._run_statement(sql, more=Status(0))
        statements = self.session.statements(sql) or [sql]
        for number, statement in enumerate(statements, start=1):
            await self._run_statement(statement, more=Status.MORE_RESULTS if number < len(statements) else Status(0))

    async def _run_statement(self, sql: str, *, more: Status) -> None:
        load = read_load_data(sql)
        if load is not None:
            return await self._load(load, more)
        await self.send(await self.session.execute(sql), more, text_encoder)
        self.quit = self.session.is_killed

    async def _load(self, statement: LoadData, more: Status) -> None:
        if Capability.LOCAL_FILES not in self.capabilities:
            raise problems.local_files_off()
        await self.send(await Load(self.link, self.session, statement).run(), more, text_encoder)

    async def send(self, result: Result, more: Status, encoder: MakeEncoder) -> None:
        await self.results.send(result, self.status | more, encoder, self.session)


Answer = Callable[[Commands, bytes], Awaitable[None]]


def _of_prepared(answer: Callable[[PreparedCommands, bytes], Awaitable[None]]) -> Answer:
    return lambda commands, body: answer(commands.prepared, body)


_ANSWERS: dict[int, Answer] = {
    Command.QUIT: Commands._quit,
    Command.INIT_DB: Commands._init_db,
    Command.QUERY: Commands._query,
    Command.STATISTICS: Commands._statistics,
    Command.PROCESS_KILL: Commands._process_kill,
    Command.PING: Commands._ping,
    Command.STMT_PREPARE: _of_prepared(PreparedCommands.prepare),
    Command.STMT_EXECUTE: _of_prepared(PreparedCommands.execute),
    Command.STMT_SEND_LONG_DATA: _of_prepared(PreparedCommands.send_long_data),
    Command.STMT_CLOSE: _of_prepared(PreparedCommands.close),
    Command.STMT_RESET: _of_prepared(PreparedCommands.reset),
    Command.STMT_FETCH: _of_prepared(PreparedCommands.fetch),
    Command.SET_OPTION: Commands._set_option,
    Command.RESET_CONNECTION: Commands._reset_connection,
    Command.CHANGE_USER: Commands._change_user,
}

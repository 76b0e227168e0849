"""The commands of prepared statements: PREPARE, EXECUTE, FETCH, long values, CLOSE and RESET."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rutile.mysql import problems, replies
from rutile.mysql.binary_protocol import binary_encoder
from rutile.mysql.constants import Status
from rutile.mysql.cursors import MAX_CURSORS, Cursor
from rutile.mysql.literals import statement_text
from rutile.mysql.prepared import PreparedStatement, PreparedStatements, read_execute_header
from rutile.mysql.result_sets import PAGE_ROWS
from rutile.mysql.wire import FieldReader, lenenc_int
from rutile.session.charsets import Charset
from rutile.session.result import LONGTEXT, Result, ResultColumn

if TYPE_CHECKING:
    from rutile.mysql.commands import Commands

_PARAMETER = ResultColumn("?", LONGTEXT)
_LONG_DATA_HEADER_BYTES = 6


class PreparedCommands:
    """Those of one connection, as long as its session is the same."""

    def __init__(self, commands: Commands) -> None:
        self.statements = PreparedStatements()
        self._commands = commands
        self._link = commands.link
        self._session = commands.session
        self._session.prepared_count = lambda: len(self.statements)

    async def prepare(self, body: bytes) -> None:
        """COM_STMT_PREPARE."""
        sql = statement_text(body, self._session.variables.client_charset)
        description = await self._session.describe(sql)
        statement = self.statements.add(sql, description.parameters, description.columns)
        self._link.send(b"".join((
            b"\x00",
            statement.id.to_bytes(4, "little"),
            len(statement.columns).to_bytes(2, "little"),
            statement.parameter_count.to_bytes(2, "little"),
            b"\x00\x00\x00",
        )))  # fmt: skip
        results, status = self._commands.results, self._commands.status
        results.send_definitions([_PARAMETER] * statement.parameter_count, status, self._results_charset)
        results.send_definitions(statement.columns, status, self._results_charset)

    @property
    def _results_charset(self) -> Charset:
        return self._session.variables.results_charset

    async def execute(self, body: bytes) -> None:
        """COM_STMT_EXECUTE: the rows, or a cursor on them where the client asks for one."""
        reader = FieldReader(body)
        statement_id, wants_cursor = read_execute_header(reader)
        statement = self.statements.get(statement_id, "EXECUTE")
        await statement.close_cursor()
        parameters = statement.read_parameters(reader, self._session.variables.client_charset)
        if wants_cursor:
            return await self._open(statement, parameters)
        await self._commands.send(await self._session.execute(statement.sql, parameters), Status(0), binary_encoder)

    async def _open(self, statement: PreparedStatement, parameters: list[object]) -> None:
        if self.statements.open_cursors >= MAX_CURSORS:
            raise problems.too_many_cursors(MAX_CURSORS)
        found = await self._session.result_or_stream(statement.sql, parameters)
        if isinstance(found, Result) and not found.has_rows:
            return await self._commands.send(found, Status(0), binary_encoder)
        cursor = statement.cursor = Cursor(found, self._session, statement.sql, self._results_charset)
        self._link.send(lenenc_int(len(cursor.columns)))
        self._commands.results.send_bare_definitions(cursor.columns, self._results_charset)
        self._end(Status.CURSOR_EXISTS)

    async def fetch(self, body: bytes) -> None:
        """COM_STMT_FETCH: so many rows of a cursor; where there are fewer it is at its end, and closed."""
        reader = FieldReader(body)
        statement = self.statements.get(reader.number(4), "FETCH")
        wanted = reader.number(4)
        cursor = statement.cursor
        if cursor is None:
            raise problems.no_open_cursor(statement.id)
        if await self._send_rows(cursor, wanted):
            return self._end(Status.CURSOR_EXISTS)
        await statement.close_cursor()
        self._end(Status.LAST_ROW_SENT)

    async def _send_rows(self, cursor: Cursor, wanted: int) -> bool:
        """Whether there were as many as were wanted."""
        for number in range(wanted):
            row = await cursor.next_row()
            if row is None:
                return False
            self._link.send(cursor.encode(row))
            if self._link.wants_flush:
                await self._link.flush()
            if number % PAGE_ROWS == PAGE_ROWS - 1:
                await asyncio.sleep(0)
        return True

    def _end(self, flag: Status) -> None:
        self._link.send(replies.end_of_rows(self._commands.capabilities, self._commands.status | flag, 0))

    async def send_long_data(self, body: bytes) -> None:
        """A piece of a parameter. There is no answer to it, so there is none to a bad one either."""
        reader = FieldReader(body)
        if reader.left < _LONG_DATA_HEADER_BYTES:
            return
        statement = self.statements.find(reader.number(4))
        if statement is not None:
            limit_bytes = self._session.variables.number("max_allowed_packet")
            statement.add_long_data(reader.number(2), reader.rest(), limit_bytes)

    async def close(self, body: bytes) -> None:
        """Forget a statement; never answered."""
        if len(body) >= 4:
            await self.statements.close(FieldReader(body).number(4))

    async def reset(self, body: bytes) -> None:
        """Forget a statement's long values, and its cursor."""
        statement = self.statements.get(FieldReader(body).number(4), "RESET")
        statement.reset()
        await statement.close_cursor()
        self._link.send(replies.ok(self._commands.status))

"""Prepared statements of one connection.

A statement is kept as its text; the session finds its plan again by its shape, so nothing here goes stale when a table
changes. What is kept besides are the parameters' types, which a client sends with the first EXECUTE only, and the long
values it sends ahead in pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rutile.errors import SqlError
from rutile.mysql.binary_protocol import UNSIGNED_PARAMETER, read_parameter, text_or_bytes
from rutile.mysql.constants import FieldType
from rutile.mysql.problems import malformed_packet, packet_too_large, too_many_prepared, unknown_statement
from rutile.mysql.wire import FieldReader
from rutile.parse.lexer import shape_of
from rutile.session.charsets import Charset
from rutile.session.prompt import PromptPlan
from rutile.session.result import ResultColumn

if TYPE_CHECKING:
    from rutile.mysql.cursors import Cursor

MAX_STATEMENTS = 16_382
"""MySQL's default max_prepared_stmt_count; here for each connection."""
_EXECUTE_ITERATIONS = 1
_CURSOR_READ_ONLY = 1
_BINARY_TYPES = (FieldType.TINY_BLOB, FieldType.MEDIUM_BLOB, FieldType.LONG_BLOB, FieldType.BLOB)


@dataclass
class PreparedStatement:
    """One statement, and what the client has said of its parameters."""

    id: int
    sql: str
    parameter_count: int
    columns: Sequence[ResultColumn]
    types: list[tuple[int, bool]] = field(default_factory=list)
    """(type, unsigned) of each parameter, once an EXECUTE has told."""
    long_data: dict[int, bytearray] = field(default_factory=dict)
    long_data_error: SqlError | None = None
    """Why a piece was refused: its command has no answer, so the next EXECUTE gives this one."""
    shape: str | None = None
    """The statement's shape, where its parameters are all the values there are; None where it has literals too."""
    prompt_plan: PromptPlan | None = None
    """How it was answered promptly the last time."""
    cursor: Cursor | None = None

    async def close_cursor(self) -> None:
        """Give up the rows that were not fetched."""
        cursor, self.cursor = self.cursor, None
        if cursor is not None:
            await cursor.close()

    def add_long_data(self, position: int, data: bytes, limit_bytes: int) -> None:
        """Keep a piece of parameter `position`'s value."""
        held = sum(map(len, self.long_data.values()))
        if position >= self.parameter_count:
            self.long_data_error = malformed_packet()
        elif held + len(data) > limit_bytes:
            self.long_data_error = packet_too_large(limit_bytes)
        else:
            self.long_data.setdefault(position, bytearray()).extend(data)

    def reset(self) -> None:
        """Forget the long values sent ahead."""
        self.long_data, self.long_data_error = {}, None

    def read_parameters(self, reader: FieldReader, charset: Charset) -> list[object]:
        """The values of an EXECUTE, its header already read; long values are used up. Raises 1835, 1153."""
        try:
            if self.long_data_error is not None:
                raise self.long_data_error
            return self._values(reader, charset) if self.parameter_count else []
        finally:
            self.reset()

    def _values(self, reader: FieldReader, charset: Charset) -> list[object]:
        nulls = reader.take((self.parameter_count + 7) // 8)
        if reader.number(1):
            self.types = [_type(reader.number(2)) for _ in range(self.parameter_count)]
        if not self.types:
            raise malformed_packet()
        return [self._value(reader, position, nulls, charset) for position in range(self.parameter_count)]

    def _value(self, reader: FieldReader, position: int, nulls: bytes, charset: Charset) -> object:
        kind, unsigned = self.types[position]
        if position in self.long_data:
            data = bytes(self.long_data[position])
            return data if kind in _BINARY_TYPES else text_or_bytes(data, charset)
        if nulls[position >> 3] & 1 << (position & 7) or kind == FieldType.NULL:
            return None
        return read_parameter(reader, kind, unsigned, charset)


def _type(code: int) -> tuple[int, bool]:
    return code & 0xFF, bool(code >> 8 & UNSIGNED_PARAMETER)


def read_execute_header(reader: FieldReader) -> tuple[int, bool]:
    """The statement's id, and whether a read-only cursor is asked for, the one kind there is. Raises 1835."""
    statement_id = reader.number(4)
    wants_cursor = bool(reader.number(1) & _CURSOR_READ_ONLY)
    if reader.number(4) != _EXECUTE_ITERATIONS:
        raise malformed_packet()
    return statement_id, wants_cursor


def _bare_shape(sql: str, parameter_count: int) -> str | None:
    """The shape of a statement without literals."""
    shape = shape_of(sql, [None] * parameter_count)
    return shape.text if shape is not None and len(shape.values) == parameter_count else None


class PreparedStatements:
    """The statements of one connection, by id."""

    def __init__(self) -> None:
        self._statements: dict[int, PreparedStatement] = {}
        self._last_id = 0

    def add(self, sql: str, parameter_count: int, columns: Sequence[ResultColumn]) -> PreparedStatement:
        """Keep a statement under a new id. Raises 1461 when there are too many."""
        if len(self._statements) >= MAX_STATEMENTS:
            raise too_many_prepared(MAX_STATEMENTS)
        self._last_id += 1
        statement = PreparedStatement(
            self._last_id, sql, parameter_count, columns, shape=_bare_shape(sql, parameter_count)
        )
        self._statements[statement.id] = statement
        return statement

    def get(self, statement_id: int, command: str) -> PreparedStatement:
        """The statement; `command` names who asks, for error 1243."""
        found = self._statements.get(statement_id)
        if found is None:
            raise unknown_statement(statement_id, command)
        return found

    def find(self, statement_id: int) -> PreparedStatement | None:
        """The statement, for commands that have no answer to put an error in."""
        return self._statements.get(statement_id)

    def __len__(self) -> int:
        return len(self._statements)

    @property
    def open_cursors(self) -> int:
        """How many of them have one."""
        return sum(each.cursor is not None for each in self._statements.values())

    async def close(self, statement_id: int) -> None:
        """Forget a statement; nothing if there is none, as MySQL has it."""
        statement = self._statements.pop(statement_id, None)
        if statement is not None:
            await statement.close_cursor()

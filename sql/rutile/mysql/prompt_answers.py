"""Answers given in the turn of the loop in which the command arrives, in one write.

The ordinary way wakes the connection's task, which reads, runs, and sends packet by packet. A prompt SELECT
(`rutile.session.prompt`) needs none of that: from the bytes of COM_QUERY or COM_STMT_EXECUTE to the bytes of the whole
answer without an await. What goes before the row (the column definitions) is the same for every answer of a plan, what
goes after it the same for every state of the session: both are made once. For anything else `answer` is None, and the
packet goes the ordinary way, which gives the same bytes. (Twin: tests/mysql/test_mysql_prompt.py.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rutile.errors import SqlError
from rutile.mysql import replies
from rutile.mysql.binary_protocol import binary_encoder
from rutile.mysql.columns import definition
from rutile.mysql.constants import MAX_FRAGMENT_BYTES, Capability, Command, Status
from rutile.mysql.packets import frame
from rutile.mysql.prepared import PreparedStatement, PreparedStatements, read_execute_header
from rutile.mysql.replies import status_of
from rutile.mysql.text_protocol import text_encoder
from rutile.mysql.wire import FieldReader, lenenc_int
from rutile.session.charsets import Charset
from rutile.session.prompt import PromptPlan
from rutile.session.result import ResultColumn, Row
from rutile.session.session import Session
from rutile.session.storage import NotNow
from rutile_proto.errors import RutileError

MAX_FORMS = 256
"""A connection keeps so many ready; beyond that it begins anew."""
_QUERY, _EXECUTE = bytes((Command.QUERY,)), bytes((Command.STMT_EXECUTE,))


@dataclass(frozen=True, slots=True)
class Form:
    """The answers of one plan to one client whose session stands in one way: all but the row."""

    head: bytes
    """The packets before the row."""
    row_number: bytes
    """Its packet's number."""
    encode: Callable[[Row], bytes]
    """Its packet's payload."""
    end: bytes
    """The packet after it."""
    end_of_nothing: bytes
    """The packet after the head where there is no row."""


class PromptAnswers:
    """Those of one connection, as long as its session is the same."""

    def __init__(self, session: Session, prepared: PreparedStatements, capabilities: Capability) -> None:
        self._session = session
        self._prepared = prepared
        self._capabilities = capabilities
        self._forms: dict[tuple[PromptPlan, Status, bool, Charset], Form] = {}

    def answer(self, packet: bytes) -> bytes | None:
        """The packets that answer a command, or None: it goes the ordinary way."""
        try:
            if packet.startswith(_EXECUTE):
                return self._execute(packet)
            return self._query(packet) if packet.startswith(_QUERY) else None
        except (NotNow, RutileError, SqlError):
            return None  # the ordinary way meets it again, and says what it is

    def _query(self, packet: bytes) -> bytes:
        try:
            sql = self._session.variables.client_charset.decode(packet[1:])
        except UnicodeDecodeError as error:
            raise NotNow from error
        plan, parameters = self._session.prompt.find_text(sql)
        return self._answer(plan, parameters, sql, is_binary=False)

    def _execute(self, packet: bytes) -> bytes:
        reader = FieldReader(packet[1:])
        statement_id, wants_cursor = read_execute_header(reader)
        statement = self._prepared.find(statement_id)
        if statement is None or wants_cursor or statement.cursor is not None:
            raise NotNow
        if statement.shape is None or statement.long_data or statement.long_data_error:
            raise NotNow
        plan = self._plan_of(statement)
        self._session.counters.commands["stmt_execute"] += 1
        return self._answer(
            plan,
            statement.read_parameters(reader, self._session.variables.client_charset),
            statement.sql,
            is_binary=True,
        )

    def _plan_of(self, statement: PreparedStatement) -> PromptPlan:
        plan, prompt = statement.prompt_plan, self._session.prompt
        if plan is None or not prompt.is_current(plan):
            assert statement.shape is not None
            plan = statement.prompt_plan = prompt.find_shape(statement.shape)
        return plan

    def _answer(self, plan: PromptPlan, parameters: Sequence[object], sql: str, *, is_binary: bool) -> bytes:
        status = status_of(self._session)
        form = self._form(plan, status, is_binary=is_binary)
        row = self._session.prompt.run(plan, parameters, sql)
        if row is None:
            return form.head + form.end_of_nothing
        body = form.encode(row)
        if len(body) >= MAX_FRAGMENT_BYTES:
            raise NotNow
        return b"".join((form.head, len(body).to_bytes(3, "little"), form.row_number, body, form.end))

    def _form(self, plan: PromptPlan, status: Status, *, is_binary: bool) -> Form:
        charset = self._session.variables.results_charset
        key = (plan, status, is_binary, charset)
        form = self._forms.get(key)
        if form is None:
            if len(self._forms) >= MAX_FORMS:
                self._forms.clear()
            make = binary_encoder if is_binary else text_encoder
            form = self._forms[key] = self._make_form(plan.columns, status, make(plan.columns, charset), charset)
        return form

    def _make_form(
        self, columns: Sequence[ResultColumn], status: Status, encode: Callable[[Row], bytes], charset: Charset
    ) -> Form:
        payloads = [lenenc_int(len(columns)), *(definition(column, charset) for column in columns)]
        if Capability.DEPRECATE_EOF not in self._capabilities:
            payloads.append(replies.eof(status))
        head, sequence = bytearray(), 1
        for payload in payloads:
            framed, sequence = frame(payload, sequence)
            head += framed
        end = replies.end_of_rows(self._capabilities, status, 0)
        after_row = (sequence + 1) & 0xFF
        return Form(bytes(head), bytes((sequence,)), encode, frame(end, after_row)[0], frame(end, sequence)[0])

"""Sending what a statement gave: OK, or columns and rows, a chunk at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from rutile.errors import SqlError
from rutile.mysql import replies
from rutile.mysql.columns import definition
from rutile.mysql.constants import Capability, Status
from rutile.mysql.link import Link
from rutile.mysql.session_track import changes_of
from rutile.mysql.wire import lenenc_int
from rutile.session.charsets import Charset
from rutile.session.result import Result, ResultColumn, Row
from rutile.session.session import Session

log = logging.getLogger(__name__)

PAGE_ROWS = 1_000
"""Rows made ready before other connections have their turn."""
MakeEncoder = Callable[[Sequence[ResultColumn], Charset], Callable[[Row], bytes]]


class ResultSender:
    """Sends results to one client, in the form its capabilities ask for."""

    def __init__(self, link: Link, capabilities: Capability) -> None:
        self._link = link
        self._capabilities = capabilities

    async def send(self, result: Result, status: Status, make_encoder: MakeEncoder, session: Session) -> None:
        """Send a statement's result; `make_encoder` is that of the text or the binary protocol."""
        if not result.has_rows:
            self._link.send(self._ok(result, status, changes_of(session, self._capabilities)))
            return
        charset = session.variables.results_charset
        self._link.send(lenenc_int(len(result.columns)))
        self.send_definitions(result.columns, status, charset)
        try:
            await self._send_rows(result, make_encoder(result.columns, charset))
        except SqlError as error:
            self._link.send(replies.error(error, charset=charset))
        except (TypeError, ValueError, ArithmeticError, AssertionError):
            log.exception("a row could not be sent as its columns %s say", result.columns)
            self._link.send(replies.error(SqlError(1105, "a value is not of its column's type")))
        else:
            self._link.send(replies.end_of_rows(self._capabilities, status, len(result.warnings)))

    def send_definitions(self, columns: Sequence[ResultColumn], status: Status, charset: Charset) -> None:
        """Send column definitions, and the EOF that older clients expect after them."""
        self.send_bare_definitions(columns, charset)
        if columns and Capability.DEPRECATE_EOF not in self._capabilities:
            self._link.send(replies.eof(status))

    def send_bare_definitions(self, columns: Sequence[ResultColumn], charset: Charset) -> None:
        """Without an EOF: where a cursor is opened there are no rows, and one end for both."""
        for column in columns:
            self._link.send(definition(column, charset))

    async def _send_rows(self, result: Result, encode: Callable[[Row], bytes]) -> None:
        link = self._link
        for number, page in enumerate(result.pages(PAGE_ROWS)):
            if number:
                await asyncio.sleep(0)
            for row in page:
                link.send(encode(row))
                if link.wants_flush:
                    await link.flush()

    def _ok(self, result: Result, status: Status, changes: bytes) -> bytes:
        found_rows = Capability.FOUND_ROWS in self._capabilities
        return replies.ok(
            status,
            affected_rows=max(result.affected_rows, result.matched_rows) if found_rows else result.affected_rows,
            last_insert_id=result.last_insert_id,
            warnings=len(result.warnings),
            info=result.info,
            changes=changes,
        )

"""Server-side cursors: a prepared SELECT whose rows the client fetches a few at a time (COM_STMT_FETCH).

A scan, filter or projection of one table is read region by region as its rows are fetched (`rutile.session.streams`):
neither side ever holds the result. Any other query is run when it is opened, and the front end keeps its result as an
Arrow table until it is fetched: for that there are at most MAX_CURSORS of one connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from rutile.mysql.binary_protocol import binary_encoder
from rutile.mysql.result_sets import PAGE_ROWS
from rutile.session.charsets import Charset
from rutile.session.result import Result, ResultColumn, Row, columns_from_schema, rows_of_table
from rutile.session.session import Session
from rutile.session.streams import ResultStream

MAX_CURSORS = 64
"""Open ones of one connection."""


class Cursor:
    """One open result, at the row that comes next."""

    def __init__(self, found: Result | ResultStream, session: Session, sql: str, charset: Charset) -> None:
        self.columns: list[ResultColumn] = (
            found.columns if isinstance(found, Result) else columns_from_schema(found.schema)
        )
        self.encode: Callable[[Row], bytes] = binary_encoder(self.columns, charset)
        self._session = session
        self._sql = sql
        self._stream = found if isinstance(found, ResultStream) else None
        self._pages: Iterator[list[Row]] = found.pages(PAGE_ROWS) if isinstance(found, Result) else iter(())
        self._page: list[Row] = []
        self._at = 0

    async def next_row(self) -> Row | None:
        """The next row; None at the end. Raises what reading raises: the cursor is at its end then."""
        while self._at >= len(self._page):
            page = await self._next_page()
            if page is None:
                return None
            self._page, self._at = page, 0
        self._at += 1
        return self._page[self._at - 1]

    async def close(self) -> None:
        """Give up what was not fetched."""
        self._pages, self._page, self._at = iter(()), [], 0
        if self._stream is not None:
            await self._stream.aclose()

    async def _next_page(self) -> list[Row] | None:
        page = next(self._pages, None)
        if page is not None or self._stream is None or self._stream.is_closed:
            return page
        batch = await self._session.next_batch(self._stream, self._sql)
        if batch is None:
            return None
        self._pages = _pages_of(pa.Table.from_batches([batch]))
        return next(self._pages, [])


def _pages_of(table: pa.Table) -> Iterator[list[Row]]:
    for start in range(0, table.num_rows, PAGE_ROWS):
        yield rows_of_table(table.slice(start, PAGE_ROWS))

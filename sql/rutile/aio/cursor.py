"""Cursors with await."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from rutile.aio.worker import Worker
from rutile.dbapi.cursor import ColumnDescription, Cursor, Row
from rutile.pep249 import Warning

if TYPE_CHECKING:
    import pandas
    import polars

PAGE_ROWS = 1_000
"""Rows made between two looks at the loop while iterating."""


class AsyncCursor:
    """A `rutile.Cursor` in its connection's thread."""

    def __init__(self, worker: Worker, cursor: Cursor) -> None:
        self._worker = worker
        self._cursor = cursor

    @property
    def description(self) -> list[ColumnDescription] | None:
        """PEP 249's seven facts a column; None after a statement without a result set."""
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        """Rows the last statement changed, or found; -1 before the first."""
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The first AUTO_INCREMENT value the last INSERT made, if it made one."""
        return self._cursor.lastrowid

    @property
    def arraysize(self) -> int:
        """How many rows `fetchmany` gives when it is not told."""
        return self._cursor.arraysize

    @arraysize.setter
    def arraysize(self, rows: int) -> None:
        self._cursor.arraysize = rows

    async def messages(self) -> list[tuple[type[Warning], Warning]]:
        """The warnings of the last statement."""
        return await self._worker.run(lambda: self._cursor.messages)

    async def execute(self, sql: str, params: Sequence[object] = ()) -> Self:
        """Run one statement with `?` placeholders; the cursor."""
        await self._worker.run(self._cursor.execute, sql, params)
        return self

    async def executemany(self, sql: str, sequence_of_params: Iterable[Sequence[object]]) -> Self:
        """Run `sql` once a parameter set, in one transaction unless one is open."""
        await self._worker.run(self._cursor.executemany, sql, sequence_of_params)
        return self

    async def fetchone(self) -> Row | None:
        """The next row, or None at the end."""
        return await self._worker.run(self._cursor.fetchone)

    async def fetchmany(self, size: int | None = None) -> list[Row]:
        """Up to `size` (default `arraysize`) further rows."""
        return await self._worker.run(self._cursor.fetchmany, size)

    async def fetchall(self) -> list[Row]:
        """All rows not fetched yet."""
        return await self._worker.run(self._cursor.fetchall)

    async def arrow(self) -> pa.Table:
        """The whole result as an Arrow table."""
        return await self._worker.run(self._cursor.arrow)

    async def df(self) -> pandas.DataFrame:
        """The whole result as a pandas DataFrame."""
        return await self._worker.run(self._cursor.df)

    async def pl(self) -> polars.DataFrame:
        """The whole result as a polars DataFrame."""
        return await self._worker.run(self._cursor.pl)

    async def __aiter__(self) -> AsyncIterator[Row]:
        while rows := await self.fetchmany(PAGE_ROWS):
            for row in rows:
                yield row

    async def close(self) -> None:
        """Forget the result; a further use raises InterfaceError."""
        self._cursor.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

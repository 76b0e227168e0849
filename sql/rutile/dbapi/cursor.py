"""Cursors: a statement at a time, and the rows of the last one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import pyarrow as pa

from rutile.dbapi.frames import to_pandas, to_polars
from rutile.nodes.local import StatementResult
from rutile.pep249 import InterfaceError, ProgrammingError, Warning

if TYPE_CHECKING:
    import pandas
    import polars

    from rutile.dbapi.connection import Connection

Row: TypeAlias = tuple[Any, ...]
ColumnDescription: TypeAlias = tuple[str, str, None, int | None, int | None, int | None, bool | None]
"""name, type name (compare with STRING, NUMBER, ...), display size, internal size, precision, scale, null_ok."""


class Cursor:
    """Runs statements and holds the rows of the last one."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.arraysize = 1
        """How many rows `fetchmany` gives when it is not told."""
        self.rowcount = -1
        """Rows the last statement changed, or found; -1 before the first."""
        self.lastrowid: int | None = None
        """The first AUTO_INCREMENT value the last INSERT made, if it made one."""
        self._result: StatementResult | None = None
        self._rows: list[Row] | None = None
        self._next = 0
        self._closed = False

    # --- what the last statement was ---

    @property
    def description(self) -> list[ColumnDescription] | None:
        """PEP 249's seven facts a column; None after a statement without a result set."""
        if self._result is None or not self._result.columns:
            return None
        return [
            (c.name, c.type.kind.value.lower(), None, None, c.type.precision, c.type.scale, None)
            for c in self._result.columns
        ]

    @property
    def rownumber(self) -> int | None:
        """The 0-based place of the next row; None without a result set."""
        return None if self.description is None else self._next

    @property
    def messages(self) -> list[tuple[type[Warning], Warning]]:
        """The warnings of the last statement. Of a server they are asked for now: before the session's next one."""
        if self._result is None:
            return []
        return [(Warning, Warning(each.level, each.code, each.message)) for each in self._result.warnings]

    # --- running ---

    def execute(self, sql: str, params: Sequence[object] = (), *, dialect: str = "mysql") -> Self:
        """Run one statement with `?` placeholders; returns the cursor, so that fetches can follow at once.

        `dialect="duckdb"` is for statements that are DuckDB's (see `rutile.session.duckdb_door`): also in its types.
        """
        self._check_open()
        _check_params(params)
        self._forget()
        result = self.connection._run(sql, params, dialect)
        self._result = result
        self.lastrowid = result.last_insert_id or None
        self.rowcount = result.row_count if result.columns else result.affected_rows
        return self

    def executemany(self, sql: str, sequence_of_params: Iterable[Sequence[object]]) -> Self:
        """Run `sql` once a parameter set, in one transaction unless one is open; `rowcount` is the sum."""
        self._check_open()
        total = 0
        with self.connection._transaction_if_none():
            for params in sequence_of_params:
                total += max(0, self.execute(sql, params).rowcount)
        self.rowcount = total
        return self

    def setinputsizes(self, sizes: object) -> None:
        """PEP 249 wants it to exist; sizes are not needed here."""

    def setoutputsize(self, size: object, column: object = None) -> None:
        """PEP 249 wants it to exist; sizes are not needed here."""

    # --- rows ---

    def fetchone(self) -> Row | None:
        """The next row, or None at the end."""
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """Up to `size` (default `arraysize`) further rows."""
        rows = self._loaded()
        start = self._next
        self._next = min(len(rows), start + (self.arraysize if size is None else max(0, size)))
        return rows[start : self._next]

    def fetchall(self) -> list[Row]:
        """All rows not fetched yet."""
        rows = self._loaded()
        start, self._next = self._next, len(rows)
        return rows[start:] if start else list(rows)

    def scroll(self, value: int, mode: str = "relative") -> None:
        """Go to another row: `value` rows on, or ("absolute") to row `value`. Raises IndexError outside of the rows."""
        if mode not in ("relative", "absolute"):
            raise ProgrammingError(f"scroll mode {mode!r}: want 'relative' or 'absolute'")
        rows = self._loaded()
        wanted = value if mode == "absolute" else self._next + value
        if not 0 <= wanted < len(rows):
            raise IndexError(f"row {wanted} of {len(rows)}")
        self._next = wanted

    def __iter__(self) -> Iterator[Row]:
        self._loaded()
        return self

    def __next__(self) -> Row:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    # --- columns ---

    def arrow(self) -> pa.Table:
        """The whole result as an Arrow table, exact types kept, whatever was fetched already."""
        return self._need_result().arrow()

    def df(self) -> pandas.DataFrame:
        """The whole result as a pandas DataFrame. Raises InterfaceError when pandas is not installed."""
        return to_pandas(self.arrow())

    def pl(self) -> polars.DataFrame:
        """The whole result as a polars DataFrame. Raises InterfaceError when polars is not installed."""
        return to_polars(self.arrow())

    # --- the end ---

    def close(self) -> None:
        """Forget the result; a further use raises InterfaceError."""
        self._closed = True
        self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _forget(self) -> None:
        self._result, self._rows, self._next = None, None, 0
        self.rowcount, self.lastrowid = -1, None

    def _loaded(self) -> list[Row]:
        result = self._need_result()
        if self._rows is None:
            self._rows = result.rows()
        return self._rows

    def _need_result(self) -> StatementResult:
        self._check_open()
        if self._result is None or not self._result.columns:
            raise ProgrammingError("no result set: execute a SELECT (or SHOW, EXPLAIN, ...) first")
        return self._result

    def _check_open(self) -> None:
        if self._closed or self.connection.is_closed:
            raise InterfaceError("the cursor or its connection is closed")


def _check_params(params: Sequence[object]) -> None:
    if isinstance(params, str | bytes | Mapping):
        raise ProgrammingError("parameters are a sequence in the order of the `?` placeholders")

"""What `Connection.sql` gives: a result that shows itself, and goes wherever Arrow goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rutile.dbapi.frames import to_pandas, to_polars
from rutile.display import html_table, write_box
from rutile.nodes.local import StatementResult
from rutile.pep249 import ProgrammingError
from rutile.session.result import rows_of_table

if TYPE_CHECKING:
    import pandas
    import polars

SHOWN_ROWS = 20
SHOWN_WIDTH = 120
Row = tuple[Any, ...]


class QueryResult:
    """The whole result of one statement. It does not change, and outlives its connection.

    >>> connection.sql("SELECT id, name FROM item")
    ┌────┬───────┐
    │ id │ name  │
    ├────┼───────┤
    │  1 │ apple │
    └────┴───────┘
    1 row
    """

    def __init__(self, result: StatementResult) -> None:
        self._result = result

    @property
    def columns(self) -> list[str]:
        """The names of the columns; none for a statement without a result set."""
        return [column.name for column in self._result.columns]

    @property
    def types(self) -> list[str]:
        """The SQL types of the columns."""
        return [column.type.mysql_name() for column in self._result.columns]

    @property
    def affected_rows(self) -> int:
        """Rows an INSERT, UPDATE or DELETE changed."""
        return self._result.affected_rows

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table. Raises ProgrammingError when the statement gave no result set."""
        self._check_rows()
        return self._result.arrow()

    def df(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame. Raises InterfaceError when pandas is not installed."""
        return to_pandas(self.arrow())

    def pl(self) -> polars.DataFrame:
        """The rows as a polars DataFrame. Raises InterfaceError when polars is not installed."""
        return to_polars(self.arrow())

    def fetchall(self) -> list[Row]:
        """The rows as Python values."""
        self._check_rows()
        return list(self._result.rows())

    def fetchone(self) -> Row | None:
        """The first row; None when there is none."""
        self._check_rows()
        return next(iter(self._head(1)), None)

    def __iter__(self) -> Iterator[Row]:
        self._check_rows()
        return iter(self._result.rows())

    def __len__(self) -> int:
        return self._result.row_count if self._result.columns else 0

    def __bool__(self) -> bool:
        return True  # a result without rows is still one

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows for whoever reads Arrow: polars, DuckDB, pandas, `Connection.insert_arrow`."""
        return self.arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        if not self._result.columns:
            return f"<{self._said(self._result.affected_rows)} affected>"
        out = StringIO()
        write_box(self._heads(), self._head(SHOWN_ROWS), out, width=SHOWN_WIDTH)
        return out.getvalue() + self._footer()

    def _repr_html_(self) -> str:
        if not self._result.columns:
            return f"<p>{self._said(self._result.affected_rows)} affected</p>"
        return html_table(self._heads(), self._head(SHOWN_ROWS), self._footer())

    def _heads(self) -> Sequence[str]:
        return self.columns

    def _footer(self) -> str:
        total = len(self)
        return self._said(total) + (f", the first {SHOWN_ROWS} shown" if total > SHOWN_ROWS else "")

    def _head(self, count: int) -> list[Row]:
        """The first rows, without turning the others into Python values."""
        return rows_of_table(self._result.arrow().slice(0, count)) if len(self) else []

    @staticmethod
    def _said(rows: int) -> str:
        return f"{rows:,} row{'' if rows == 1 else 's'}"

    def _check_rows(self) -> None:
        if not self._result.columns:
            raise ProgrammingError("no result set: the statement was not a SELECT (or SHOW, EXPLAIN, ...)")

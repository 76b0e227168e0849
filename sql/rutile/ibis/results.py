"""Running expressions: results as Arrow and pandas, and plans to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import ibis.expr.schema as sch
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb.converter import DuckDBPandasData, DuckDBPyArrowData

from rutile.ibis.connected import Connected
from rutile.ibis.functions import answered_below, has_python_functions

if TYPE_CHECKING:
    import pandas as pd

Params = Mapping[ir.Scalar, Any] | None


class Results(Connected):
    """The part of the backend that answers."""

    def explain(self, expr: ir.Expr, *, analyze: bool = False, params: Params = None) -> str:
        """The plan as a tree to read: what runs in the stores (`cop[rutile]`) and what here (`root`).

        With `analyze` the expression is run, and each operator tells rows and time.
        """
        self._run_pre_execute_hooks(expr)
        sql = self.compile(expr.as_table(), params=params)
        rows = self.door(f"EXPLAIN {'ANALYZE ' if analyze else ''}{sql}").to_pylist()
        return "\n".join("  ".join(str(cell) for cell in row.values() if cell not in ("", "N/A")) for row in rows)

    def _arrow(self, expr: ir.Expr, params: Params, limit: int | str | None, **options: Any) -> pa.Table:
        """The rows of an expression, as the engine typed them."""
        if has_python_functions(expr):
            return answered_below(self, expr, params=params, limit=limit)
        self._run_pre_execute_hooks(expr)
        return self.door(self.compile(expr.as_table(), params=params, limit=limit, **options))

    def execute(
        self, expr: ir.Expr, /, *, params: Params = None, limit: int | str | None = None, **kwargs: Any
    ) -> pd.DataFrame | pd.Series | Any:
        """The expression's value as pandas has it."""
        import pandas as pd

        table = self._arrow(expr, params, limit, **kwargs)
        columns = {name: _pandas(column) for name, column in zip(table.column_names, table.columns, strict=True)}
        return expr.__pandas_result__(DuckDBPandasData.convert_table(pd.DataFrame(columns), expr.as_table().schema()))

    def to_pyarrow(
        self, expr: ir.Expr, /, *, params: Params = None, limit: int | str | None = None, **kwargs: Any
    ) -> pa.Table:
        """The expression's value as Arrow has it."""
        return expr.__pyarrow_result__(self._arrow(expr, params, limit, **kwargs), data_mapper=DuckDBPyArrowData)

    def to_pyarrow_batches(
        self,
        expr: ir.Expr,
        /,
        *,
        params: Params = None,
        limit: int | str | None = None,
        chunk_size: int = 1_000_000,
        **_: Any,
    ) -> pa.RecordBatchReader:
        """A reader of batches of at most `chunk_size` rows, read when they are asked for (`Connection.stream`).

        It ends when it is forgotten, or with the connection. Expressions with Python functions are answered first.
        """
        schema = expr.as_table().schema()
        if has_python_functions(expr):
            table = self._arrow(expr, params, limit)
            return self._reader(schema, iter(table.to_batches()), chunk_size)
        self._run_pre_execute_hooks(expr)
        sql = self.compile(expr.as_table(), params=params, limit=limit)
        return self._reader(schema, self.con.stream(sql, dialect="duckdb"), chunk_size)

    @staticmethod
    def _reader(schema: sch.Schema, batches: Iterator[pa.RecordBatch], chunk_size: int) -> pa.RecordBatchReader:
        """The batches with the names and types that Ibis promises."""
        promised = schema.to_pyarrow()

        def converted() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                table = pa.Table.from_batches([batch]).rename_columns(promised.names)
                yield from DuckDBPyArrowData.convert_table(table, schema).to_batches(chunk_size)

        return pa.RecordBatchReader.from_batches(promised, converted())


def _pandas(column: pa.ChunkedArray) -> Any:
    """A column for a DataFrame: integers with NULLs, nested values and categories as Python objects."""
    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or column.null_count:
        return column.to_pylist()
    return column.to_pandas()

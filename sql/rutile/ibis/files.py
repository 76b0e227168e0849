"""Files on the client's disk: read into temporary tables of the connection, written from results.

They are opened here, by a DuckDB that may open files, and their rows go to the front end as Arrow. So a path means the
same whether Rutile runs in this process or on another machine, and no server ever opens a file somebody names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import util

from rutile.ibis.results import Params, Results


class Files(Results):
    """The part of the backend that reads and writes files. `kwargs` are those of Ibis' DuckDB backend."""

    def read_parquet(self, paths: Any, /, *, table_name: str | None = None, **kwargs: Any) -> ir.Table:
        """A temporary table of one or more Parquet files."""
        return self._read("read_parquet", paths, table_name, kwargs)

    def read_csv(self, paths: Any, /, *, table_name: str | None = None, **kwargs: Any) -> ir.Table:
        """A temporary table of one or more CSV files."""
        return self._read("read_csv", paths, table_name, kwargs)

    def read_json(self, paths: Any, /, *, table_name: str | None = None, **kwargs: Any) -> ir.Table:
        """A temporary table of one or more JSON files."""
        return self._read("read_json", paths, table_name, kwargs)

    def read_delta(self, path: str | Path, /, *, table_name: str | None = None, **kwargs: Any) -> ir.Table:
        """A temporary table of a Delta Lake table."""
        return self._read("read_delta", path, table_name, kwargs)

    def _read(self, method: str, paths: Any, table_name: str | None, options: Mapping[str, Any]) -> ir.Table:
        reader = ibis.duckdb.connect()
        try:
            found = getattr(reader, method)(paths, **options)
            name = table_name or util.gen_name(method)
            self.hold(name, found.schema(), found.to_pyarrow())
        finally:
            reader.disconnect()
        return self.table(name)

    def to_parquet(self, expr: ir.Expr, /, path: str | Path, *, params: Params = None, **kwargs: Any) -> None:
        """Write an expression's rows to a Parquet file, or to a directory of them (`partition_by`)."""
        self._write("to_parquet", expr, path, params, kwargs)

    def to_csv(self, expr: ir.Expr, /, path: str | Path, *, params: Params = None, **kwargs: Any) -> None:
        """Write an expression's rows to a CSV file."""
        self._write("to_csv", expr, path, params, kwargs)

    def to_json(self, expr: ir.Expr, /, path: str | Path, **kwargs: Any) -> None:
        """Write an expression's rows to a JSON file: an array of objects."""
        self._write("to_json", expr, path, None, kwargs)

    def _write(self, method: str, expr: ir.Expr, path: str | Path, params: Params, options: Mapping[str, Any]) -> None:
        rows = self.to_pyarrow(expr.as_table(), params=params)
        writer = ibis.duckdb.connect()
        try:
            writer.con.register("rows", rows)
            getattr(writer, method)(writer.table("rows"), path, **options)
        finally:
            writer.disconnect()

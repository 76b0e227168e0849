"""Ibis' types as columns of a stored table.

MySQL has no lists, structs, maps, UUIDs, intervals and time zones. Columns of such types are stored as what is nearest
and say in their comment what they are (`rutile.planner.duckdb_columns`), so they come back as they went.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis.common.exceptions as exc
import ibis.expr.datatypes as dt
from ibis.backends.sql.datatypes import DuckDBType

from rutile.planner.duckdb_columns import COMMENT

MAX_PRECISION = 38
DEFAULT_SCALE = 9
_SIMPLE: Mapping[type[dt.DataType], str] = {
    dt.Boolean: "BOOL", dt.Int8: "TINYINT", dt.Int16: "SMALLINT", dt.Int32: "INT", dt.Int64: "BIGINT",
    dt.UInt8: "TINYINT UNSIGNED", dt.UInt16: "SMALLINT UNSIGNED", dt.UInt32: "INT UNSIGNED",
    dt.UInt64: "BIGINT UNSIGNED", dt.Float16: "FLOAT", dt.Float32: "FLOAT", dt.Float64: "DOUBLE",
    dt.Binary: "LONGBLOB", dt.Date: "DATE", dt.Time: "TIME(6)", dt.JSON: "JSON",
}  # fmt: skip
_COMMENTED: Mapping[type[dt.DataType], tuple[str, str]] = {
    dt.UUID: ("CHAR(36)", "UUID"), dt.Interval: ("BIGINT", "INTERVAL"),
}  # fmt: skip
_KEY_TEXT = "VARCHAR(255)"


def column_definition(name: str, kind: dt.DataType, *, in_key: bool) -> str:
    """A column as CREATE TABLE has it. Raises IbisTypeError for a type that no column can have."""
    sql, meant = stored_type(kind)
    if in_key and sql == "LONGTEXT":
        sql = _KEY_TEXT
    required = " NOT NULL" if in_key or not kind.nullable else ""
    comment = f" COMMENT '{COMMENT}{meant.replace(chr(39), chr(39) * 2)}'" if meant else ""
    return f"`{name.replace('`', '``')}` {sql}{required}{comment}"


def stored_type(kind: dt.DataType) -> tuple[str, str]:
    """(MySQL's type, DuckDB's type for the comment or "")."""
    if type(kind) in _SIMPLE:
        return _SIMPLE[type(kind)], ""
    if type(kind) in _COMMENTED:
        return _COMMENTED[type(kind)]
    if kind.is_string():
        return (f"VARCHAR({kind.length})", "") if kind.length else ("LONGTEXT", "")
    if kind.is_decimal():
        precision = min(kind.precision or MAX_PRECISION, MAX_PRECISION)
        return f"DECIMAL({precision},{DEFAULT_SCALE if kind.scale is None else kind.scale})", ""
    if kind.is_timestamp():
        return "DATETIME(6)", "TIMESTAMPTZ" if kind.timezone else ""
    if kind.is_nested():
        return "JSON", DuckDBType.to_string(kind)
    if kind.is_null():
        raise exc.IbisTypeError("a table cannot have a column of type NULL: cast it to the type that is meant")
    raise exc.IbisTypeError(f"no column of a Rutile table can hold {kind}: cast it, or leave it out")

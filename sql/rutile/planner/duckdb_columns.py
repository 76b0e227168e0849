"""How a stored column reads, and is written, in DuckDB's dialect.

A store's rows have MySQL's types, which lack some of DuckDB's. A column that stands for such a type says so in its
comment, and is stored as the nearest type MySQL has:

| in DuckDB                 | stored as                        | comment                   |
|---------------------------|----------------------------------|---------------------------|
| BOOLEAN                   | BOOL (a TINYINT)                 | none needed               |
| TIME                      | TIME (a length of time)          | none needed               |
| JSON                      | JSON                             | none needed               |
| UUID                      | CHAR(36)                         | `duckdb type: UUID`       |
| INTERVAL                  | BIGINT of microseconds           | `duckdb type: INTERVAL`   |
| TIMESTAMP WITH TIME ZONE  | DATETIME(6), in UTC              | `duckdb type: TIMESTAMPTZ` |
| lists, structs, maps      | JSON                             | `duckdb type: INTEGER[]`  |

So a table made through the DataFrame API comes back with the types it was made with, and a MySQL client sees text.
"""

from __future__ import annotations

from sqlglot import exp

from rutile_coprocessor.schema import Column, Kind, TableSchema

COMMENT = "duckdb type: "
_BY_KIND = {Kind.BOOL: "BOOLEAN", Kind.TIME: "TIME", Kind.JSON: "JSON"}


def duckdb_type(column: Column) -> str | None:
    """The type the column has in DuckDB's dialect, where that is not the one its rows come in."""
    if column.comment.startswith(COMMENT):
        return column.comment.removeprefix(COMMENT)
    return _BY_KIND.get(column.type.kind)


def has_own_types(schema: TableSchema) -> bool:
    """Whether any column has to be converted when it is read."""
    return any(duckdb_type(column) is not None for column in schema.columns)


def reading(column: Column) -> exp.Expr:
    """The column, unqualified, as it reads; under its own name."""
    node = exp.column(column.name, quoted=True)
    kind = duckdb_type(column)
    if kind is None:
        return node
    if kind == "INTERVAL":
        converted: exp.Expr = exp.func("to_microseconds", node)
    elif kind == "TIME":  # a length of time, as the time of day so long after midnight
        converted = exp.Add(this=_cast(exp.Literal.string("00:00:00"), "TIME"), expression=node)
    elif kind == "TIMESTAMPTZ":
        converted = exp.AtTimeZone(this=node, zone=exp.Literal.string("UTC"))
    elif column.type.kind is Kind.JSON and kind != "JSON":
        converted = _cast(_cast(node, "JSON"), kind)
    else:
        converted = _cast(node, kind)
    return exp.alias_(converted, column.name, quoted=True)


def writing(column: Column, value: exp.Expr) -> exp.Expr:
    """`value`, of the type the column reads as, as it is stored."""
    kind = duckdb_type(column)
    if kind == "INTERVAL":
        return exp.func("epoch_us", value)
    if kind == "TIME":
        return exp.func("to_microseconds", exp.func("epoch_us", _cast(value, "TIME")))
    if kind == "TIMESTAMPTZ":
        return exp.AtTimeZone(this=_cast(value, kind), zone=exp.Literal.string("UTC"))
    if kind == "JSON":
        return _cast(value, "VARCHAR")
    if kind is not None and column.type.kind is Kind.JSON:
        text = _cast(exp.func("to_json", _cast(value, kind)), "VARCHAR")
        return exp.Case(ifs=[exp.If(this=exp.Is(this=value.copy(), expression=exp.Null()), true=exp.Null())]).else_(
            text
        )
    return value


def _cast(node: exp.Expr, kind: str) -> exp.Cast:
    return exp.Cast(this=node.copy(), to=exp.DataType.build(kind, dialect="duckdb"))

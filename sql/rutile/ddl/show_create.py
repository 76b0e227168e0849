"""A schema as the CREATE TABLE that makes it, in the layout MySQL prints (tools parse it)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from rutile.catalog.indexes import IndexInfo
from rutile.catalog.model import TableInfo
from rutile.catalog.rules import GeneratedColumn
from rutile.ddl.foreign_keys import definition_text
from rutile.ddl.partition_text import partitioning_text
from rutile.rows.temporal import format_datetime, format_time
from rutile_coprocessor.schema import Column, Kind, Scalar, TableSchema


def quote_name(name: str) -> str:
    """An identifier in backticks."""
    return "`" + name.replace("`", "``") + "`"


_ESCAPED = {"\\": "\\\\", "'": "''", "\n": "\\n", "\r": "\\r", "\0": "\\0"}
"""In string literals, as MySQL shows them."""


def quote_string(text: str) -> str:
    """A string literal."""
    return "'" + "".join(_ESCAPED.get(letter, letter) for letter in text) + "'"


def show_create_table(info: TableInfo) -> str:
    """The statement that would make this table."""
    schema = info.schema
    generated = {each.column_id: each for each in info.rules.generated}
    lines = [f"  {_column_line(column, generated.get(column.id))}" for column in schema.columns]
    if info.auto_random is not None:
        at = schema.columns.index(schema.primary_key_columns[0])
        lines[at] += f" /*T![auto_rand] {info.auto_random} */"
    if schema.primary_key:
        key = ",".join(quote_name(column.name) for column in schema.primary_key_columns)
        lines.append(f"  PRIMARY KEY ({key})")
    lines += [f"  {_index_line(schema, index)}" for index in info.public_indexes]
    lines += [f"  {definition_text(info, each)}" for each in info.foreign_keys]
    lines += [f"  CONSTRAINT {quote_name(each.name)} CHECK (({each.sql}))" for each in info.rules.checks]
    comment = f" COMMENT={quote_string(info.comment)}" if info.comment else ""
    body = ",\n".join(lines)
    options = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
    kind = "TEMPORARY TABLE" if info.is_temporary else "TABLE"
    partitioned = f"\n{partitioning_text(info.partitioning, schema)}" if info.partitioning is not None else ""
    return f"CREATE {kind} {quote_name(schema.name)} (\n{body}\n) {options}{comment}{partitioned}"


def _index_line(schema: TableSchema, index: IndexInfo) -> str:
    names = {column.id: column.name for column in schema.columns}
    parts = [
        quote_name(names[part.column_id]) + (f"({part.length})" if part.length is not None else "")
        for part in index.columns
    ]
    kind = "UNIQUE KEY" if index.unique else "KEY"
    comment = f" COMMENT {quote_string(index.comment)}" if index.comment else ""
    return f"{kind} {quote_name(index.name)} ({','.join(parts)}){comment}"


def _column_line(column: Column, generated: GeneratedColumn | None) -> str:
    parts = [quote_name(column.name), column.type.mysql_name()]
    if generated is not None:
        parts.append(f"GENERATED ALWAYS AS ({generated.sql}) {'STORED' if generated.stored else 'VIRTUAL'}")
    if not column.nullable:
        parts.append("NOT NULL")
    elif column.type.kind is Kind.TIMESTAMP:
        parts.append("NULL")
    if column.auto_increment:
        parts.append("AUTO_INCREMENT")
    default = default_text(column) if generated is None else None
    if default is not None:
        parts.append(f"DEFAULT {default}")
    if column.on_update_sql:
        parts.append(f"ON UPDATE {column.on_update_sql}")
    if column.comment:
        parts.append(f"COMMENT {quote_string(column.comment)}")
    return " ".join(parts)


def default_text(column: Column) -> str | None:
    """The DEFAULT clause's value; None when there is none to print."""
    if column.default_sql:
        return column.default_sql
    if isinstance(column.default, int) and column.type.kind is Kind.BIT:
        return f"b'{column.default:b}'"
    if column.default is not None:
        return quote_string(value_text(column.default))
    no_default = column.type.kind in (Kind.TEXT, Kind.BLOB, Kind.JSON)
    return "NULL" if column.nullable and not no_default else None


def value_text(value: Scalar) -> str:
    """A value as text, as defaults are shown."""
    match value:
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case datetime():
            return format_datetime(value)
        case date():
            return value.isoformat()
        case timedelta():
            return format_time(value)
        case Decimal():
            return format(value, "f")
    return str(value)

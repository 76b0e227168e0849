"""information_schema: what ORMs and tools ask of it, made from the catalogue when a query names its tables."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.ddl.keys import column_extra, column_key, key_parts
from rutile.ddl.show_create import value_text
from rutile.show.information_schema_fixed import FIXED_TABLES
from rutile.show.sizes import TableSize, size_of
from rutile.statistics.known import KnownStatistics
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema

_TEXT = ColumnType(Kind.VARCHAR, length=2048)
_NUMBER = ColumnType(Kind.BIGINT, unsigned=True)
_SIGNED = ColumnType(Kind.BIGINT)
_CATALOG = "def"

_Rows = list[tuple[object, ...]]


def _schema(name: str, columns: dict[str, ColumnType]) -> TableSchema:
    parts = tuple(Column(at, column, kind) for at, (column, kind) in enumerate(columns.items(), start=1))
    return TableSchema(0, name, parts, database="information_schema")


def plain_columns(names: str) -> dict[str, ColumnType]:
    """Columns by name; those that end with `#` are numbers, with `-#` numbers that may be negative."""
    kinds = {"": _TEXT, "#": _NUMBER, "-#": _SIGNED}
    return {name.rstrip("-#"): kinds[name[len(name.rstrip("-#")) :]] for name in names.split()}


_SIZE_COLUMN = 7
"""TABLE_ROWS in TABLES; AVG_ROW_LENGTH and DATA_LENGTH follow."""


def visible_databases(catalog: CatalogSnapshot) -> list[str]:
    """The databases a session may see, `catalog` being what it sees, by name."""
    return sorted(["information_schema", *(info.name for info in catalog.databases.values())])


def _schemata(catalog: CatalogSnapshot) -> _Rows:
    return [(_CATALOG, name, "utf8mb4", "utf8mb4_bin", None) for name in visible_databases(catalog)]


def _all_tables(catalog: CatalogSnapshot) -> list[TableInfo]:
    return [table for database in sorted(catalog.databases) for table in catalog.tables_of(database)]


def _tables(catalog: CatalogSnapshot) -> _Rows:
    stored: _Rows = [
        (_CATALOG, info.schema.database, info.schema.name, "BASE TABLE", "InnoDB", 10, "Compact", *[None] * 10,
         "utf8mb4_bin", None, info.create_options, info.comment, info.table_id)
        for info in _all_tables(catalog)
    ]  # fmt: skip
    stored += [
        (_CATALOG, view.schema.database, view.schema.name, "VIEW", *[None] * 13, None, None, None, "VIEW", None)
        for database in sorted(catalog.databases)
        for view in catalog.views_of(database)
    ]
    stored += [
        (
            _CATALOG,
            each.database,
            each.name,
            "SEQUENCE",
            "InnoDB",
            *[None] * 13,
            None,
            "",
            each.comment,
            each.sequence_id,
        )
        for database in sorted(catalog.databases)
        for each in catalog.sequences_of(database)
    ]
    virtual: _Rows = [
        (_CATALOG, "information_schema", name.upper(), "SYSTEM VIEW", *[None] * 13, "utf8mb4_bin", None, "", "", None)
        for name in TABLES
    ]
    return stored + virtual


def _columns(catalog: CatalogSnapshot) -> _Rows:
    return [
        _column_row(info, position, column)
        for info in [*_all_tables(catalog), *_views_as_tables(catalog)]
        for position, column in enumerate(info.schema.columns, start=1)
    ]


def _views_as_tables(catalog: CatalogSnapshot) -> list[TableInfo]:
    return [TableInfo(view.schema) for database in sorted(catalog.databases) for view in catalog.views_of(database)]


def _column_row(info: TableInfo, position: int, column: Column) -> tuple[object, ...]:
    kind = column.type
    text_length = (
        kind.length if kind.kind in (Kind.CHAR, Kind.VARCHAR) else kind.max_bytes if kind.is_variable else None
    )
    is_decimal = kind.kind is Kind.DECIMAL
    default = column.default_sql or (None if column.default is None else value_text(column.default))
    return (
        _CATALOG, info.schema.database, info.schema.name, column.name, position, default,
        "YES" if column.nullable else "NO", kind.mysql_name().split("(")[0].split(" ")[0],
        text_length, kind.precision if is_decimal else None, kind.scale if is_decimal else None,
        kind.mysql_name(), column_key(info, column),
        column_extra(info, column), column.comment,
    )  # fmt: skip


def _key_columns(catalog: CatalogSnapshot) -> _Rows:
    return [
        (_CATALOG, info.schema.database, part.key_name, _CATALOG, info.schema.database, info.schema.name,
         part.column.name, part.position, None, None, None, None)
        for info in _all_tables(catalog)
        for part in key_parts(info)
        if part.unique
    ] + [
        (_CATALOG, info.schema.database, each.name, _CATALOG, info.schema.database, info.schema.name,
         names[column_id], position, position, *each.parent, parent_column)
        for info in _all_tables(catalog)
        for names in [{column.id: column.name for column in info.schema.columns}]
        for each in info.foreign_keys
        for position, (column_id, parent_column) in enumerate(zip(each.column_ids, each.parent_columns, strict=True), 1)
    ]  # fmt: skip


def _constraints(catalog: CatalogSnapshot) -> _Rows:
    found: _Rows = [
        (_CATALOG, info.schema.database, part.key_name, info.schema.database, info.schema.name,
         "PRIMARY KEY" if part.key_name == "PRIMARY" else "UNIQUE")
        for info in _all_tables(catalog)
        for part in key_parts(info)
        if part.unique and part.position == 1
    ]  # fmt: skip
    return found + [
        (_CATALOG, info.schema.database, each.name, info.schema.database, info.schema.name, "FOREIGN KEY")
        for info in _all_tables(catalog)
        for each in info.foreign_keys
    ]


def _statistics(catalog: CatalogSnapshot) -> _Rows:
    return [
        (_CATALOG, info.schema.database, info.schema.name, int(not part.unique), info.schema.database, part.key_name,
         part.position, part.column.name, "A", None, part.length, "YES" if part.column.nullable else "", "BTREE",
         part.comment)
        for info in _all_tables(catalog)
        for part in key_parts(info)
    ]  # fmt: skip


TABLES: dict[str, tuple[TableSchema, Callable[[CatalogSnapshot], _Rows]]] = {
    "schemata": (_schema("schemata", {
        "CATALOG_NAME": _TEXT, "SCHEMA_NAME": _TEXT, "DEFAULT_CHARACTER_SET_NAME": _TEXT,
        "DEFAULT_COLLATION_NAME": _TEXT, "SQL_PATH": _TEXT,
    }), _schemata),
    "tables": (_schema("tables", {
        "TABLE_CATALOG": _TEXT, "TABLE_SCHEMA": _TEXT, "TABLE_NAME": _TEXT, "TABLE_TYPE": _TEXT, "ENGINE": _TEXT,
        "VERSION": _NUMBER, "ROW_FORMAT": _TEXT, "TABLE_ROWS": _NUMBER, "AVG_ROW_LENGTH": _NUMBER,
        "DATA_LENGTH": _NUMBER, "MAX_DATA_LENGTH": _NUMBER, "INDEX_LENGTH": _NUMBER, "DATA_FREE": _NUMBER,
        "AUTO_INCREMENT": _NUMBER, "CREATE_TIME": _TEXT, "UPDATE_TIME": _TEXT, "CHECK_TIME": _TEXT,
        "TABLE_COLLATION": _TEXT, "CHECKSUM": _NUMBER, "CREATE_OPTIONS": _TEXT, "TABLE_COMMENT": _TEXT,
        "TIDB_TABLE_ID": _NUMBER,
    }), _tables),
    "columns": (_schema("columns", {
        "TABLE_CATALOG": _TEXT, "TABLE_SCHEMA": _TEXT, "TABLE_NAME": _TEXT, "COLUMN_NAME": _TEXT,
        "ORDINAL_POSITION": _NUMBER, "COLUMN_DEFAULT": _TEXT, "IS_NULLABLE": _TEXT, "DATA_TYPE": _TEXT,
        "CHARACTER_MAXIMUM_LENGTH": _NUMBER, "NUMERIC_PRECISION": _NUMBER, "NUMERIC_SCALE": _NUMBER,
        "COLUMN_TYPE": _TEXT, "COLUMN_KEY": _TEXT, "EXTRA": _TEXT, "COLUMN_COMMENT": _TEXT,
    }), _columns),
    "key_column_usage": (_schema("key_column_usage", {
        "CONSTRAINT_CATALOG": _TEXT, "CONSTRAINT_SCHEMA": _TEXT, "CONSTRAINT_NAME": _TEXT, "TABLE_CATALOG": _TEXT,
        "TABLE_SCHEMA": _TEXT, "TABLE_NAME": _TEXT, "COLUMN_NAME": _TEXT, "ORDINAL_POSITION": _NUMBER,
        "POSITION_IN_UNIQUE_CONSTRAINT": _NUMBER, "REFERENCED_TABLE_SCHEMA": _TEXT, "REFERENCED_TABLE_NAME": _TEXT,
        "REFERENCED_COLUMN_NAME": _TEXT,
    }), _key_columns),
    "table_constraints": (_schema("table_constraints", {
        "CONSTRAINT_CATALOG": _TEXT, "CONSTRAINT_SCHEMA": _TEXT, "CONSTRAINT_NAME": _TEXT, "TABLE_SCHEMA": _TEXT,
        "TABLE_NAME": _TEXT, "CONSTRAINT_TYPE": _TEXT,
    }), _constraints),
    "statistics": (_schema("statistics", {
        "TABLE_CATALOG": _TEXT, "TABLE_SCHEMA": _TEXT, "TABLE_NAME": _TEXT, "NON_UNIQUE": _NUMBER,
        "INDEX_SCHEMA": _TEXT, "INDEX_NAME": _TEXT, "SEQ_IN_INDEX": _NUMBER, "COLUMN_NAME": _TEXT, "COLLATION": _TEXT,
        "CARDINALITY": _NUMBER, "SUB_PART": _NUMBER, "NULLABLE": _TEXT, "INDEX_TYPE": _TEXT, "INDEX_COMMENT": _TEXT,
    }), _statistics),
    **{name: (_schema(name, plain_columns(columns)), rows) for name, (columns, rows) in FIXED_TABLES.items()},
}  # fmt: skip
"""Table name to its schema and what makes its rows."""


def _sized(row: tuple[object, ...], statistics: KnownStatistics) -> tuple[object, ...]:
    """A row of TABLES with what statistics say, found by its last column, the table's id."""
    table_id = row[-1]
    size = size_of(statistics, table_id) if isinstance(table_id, int) else TableSize()
    at = _SIZE_COLUMN
    return (*row[:at], size.rows, size.row_bytes, size.data_bytes, *row[at + 3 :])


def virtual_schema(name: str) -> TableSchema | None:
    """The schema of an information_schema table."""
    found = TABLES.get(name.lower())
    return found[0] if found else None


def virtual_rows(name: str, catalog: CatalogSnapshot, statistics: KnownStatistics) -> pa.RecordBatch:
    """The rows of an information_schema table."""
    schema, rows_of = TABLES[name.lower()]
    rows = rows_of(catalog)
    if name.lower() == "tables":
        rows = [_sized(row, statistics) for row in rows]
    wanted = schema.arrow_schema()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(wanted)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, wanted, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=wanted)

"""What the catalogue holds, as Flight SQL's tables. There is one catalog, `def`; a database is a schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from google.protobuf.message import Message

from rutile.catalog.model import CatalogSnapshot, DatabaseInfo
from rutile.flight.sql_info import sql_info, type_info
from rutile.flight.wire import text_or_none
from rutile.session.result import field_of
from rutile.show.information_schema import TABLES as VIRTUAL_TABLES
from rutile.show.like import like_matcher
from rutile.show.virtual import virtual_schema
from rutile_coprocessor.schema import TableSchema
from rutile_proto import flightsqlpb_pb2 as flightsqlpb

CATALOG = "def"
INFORMATION_SCHEMA = "information_schema"
TABLE_TYPES = ("BASE TABLE", "SYSTEM VIEW")

_TEXT, _NUMBER = pa.string(), pa.int32()
CATALOGS = pa.schema([pa.field("catalog_name", _TEXT, False)])
DB_SCHEMAS = pa.schema([pa.field("catalog_name", _TEXT), pa.field("db_schema_name", _TEXT, False)])
TABLES = pa.schema([
    pa.field("catalog_name", _TEXT), pa.field("db_schema_name", _TEXT), pa.field("table_name", _TEXT, False),
    pa.field("table_type", _TEXT, False),
])  # fmt: skip
TABLES_WITH_SCHEMA = TABLES.append(pa.field("table_schema", pa.binary(), False))
TYPES_OF_TABLES = pa.schema([pa.field("table_type", _TEXT, False)])
PRIMARY_KEYS = pa.schema([
    pa.field("catalog_name", _TEXT), pa.field("db_schema_name", _TEXT), pa.field("table_name", _TEXT, False),
    pa.field("column_name", _TEXT, False), pa.field("key_name", _TEXT), pa.field("key_sequence", _NUMBER, False),
])  # fmt: skip
FOREIGN_KEYS = pa.schema([
    pa.field("pk_catalog_name", _TEXT), pa.field("pk_db_schema_name", _TEXT), pa.field("pk_table_name", _TEXT, False),
    pa.field("pk_column_name", _TEXT, False), pa.field("fk_catalog_name", _TEXT), pa.field("fk_db_schema_name", _TEXT),
    pa.field("fk_table_name", _TEXT, False), pa.field("fk_column_name", _TEXT, False),
    pa.field("key_sequence", _NUMBER, False), pa.field("fk_key_name", _TEXT), pa.field("pk_key_name", _TEXT),
    pa.field("update_rule", pa.uint8(), False), pa.field("delete_rule", pa.uint8(), False),
])  # fmt: skip


def answer(command: Message, catalog: CatalogSnapshot) -> pa.Table | None:
    """The table that answers a command about metadata; None for a command about something else."""
    match command:
        case flightsqlpb.CommandGetCatalogs():
            return pa.table([[CATALOG]], schema=CATALOGS)
        case flightsqlpb.CommandGetDbSchemas():
            return _db_schemas(command, catalog)
        case flightsqlpb.CommandGetTables():
            return _tables(command, catalog)
        case flightsqlpb.CommandGetTableTypes():
            return pa.table([list(TABLE_TYPES)], schema=TYPES_OF_TABLES)
        case flightsqlpb.CommandGetPrimaryKeys():
            return _primary_keys(command, catalog)
        case (
            flightsqlpb.CommandGetExportedKeys()
            | flightsqlpb.CommandGetImportedKeys()
            | flightsqlpb.CommandGetCrossReference()
        ):
            return FOREIGN_KEYS.empty_table()  # there are no foreign keys
        case flightsqlpb.CommandGetSqlInfo():
            return sql_info(list(command.info))
        case flightsqlpb.CommandGetXdbcTypeInfo():
            return type_info(command.data_type if command.HasField("data_type") else None)
    return None


def table_schema(schema: TableSchema) -> pa.Schema:
    """A table's columns as Arrow fields with their MySQL types and nullability."""
    return pa.schema([
        field_of(column.name, column.type).with_nullable(column.nullable) for column in schema.columns
    ])  # fmt: skip


def _db_schemas(command: flightsqlpb.CommandGetDbSchemas, catalog: CatalogSnapshot) -> pa.Table:
    names = list(_databases(command, catalog))
    return pa.table([[CATALOG] * len(names), names], schema=DB_SCHEMAS)


def _databases(
    command: flightsqlpb.CommandGetDbSchemas | flightsqlpb.CommandGetTables, catalog: CatalogSnapshot
) -> Iterator[str]:
    """The names of the databases a command asks about, in order."""
    if text_or_none(command, "catalog") not in (None, "", CATALOG):
        return
    matches = like_matcher(text_or_none(command, "db_schema_filter_pattern")).match
    yield from sorted(name for name in (INFORMATION_SCHEMA, *map(_name, catalog.databases.values())) if matches(name))


def _name(database: DatabaseInfo) -> str:
    return database.name


def _tables(command: flightsqlpb.CommandGetTables, catalog: CatalogSnapshot) -> pa.Table:
    matches = like_matcher(text_or_none(command, "table_name_filter_pattern")).match
    rows = [
        (CATALOG, database, schema.name, kind, table_schema(schema).serialize().to_pybytes())
        for database in _databases(command, catalog)
        for schema, kind in _tables_of(database, catalog)
        if matches(schema.name) and (not command.table_types or kind in command.table_types)
    ]
    wanted = TABLES_WITH_SCHEMA if command.include_schema else TABLES
    return _table_of_rows(rows, wanted)


def _tables_of(database: str, catalog: CatalogSnapshot) -> Iterator[tuple[TableSchema, str]]:
    if database == INFORMATION_SCHEMA:
        for name in VIRTUAL_TABLES:
            schema = virtual_schema((INFORMATION_SCHEMA, name))
            if schema is not None:
                yield schema, "SYSTEM VIEW"
    else:
        for info in catalog.tables_of(database):
            yield info.schema, "BASE TABLE"


def _primary_keys(command: flightsqlpb.CommandGetPrimaryKeys, catalog: CatalogSnapshot) -> pa.Table:
    wanted = text_or_none(command, "db_schema")
    rows = [
        (CATALOG, info.schema.database, info.schema.name, column.name, "PRIMARY", place)
        for database in sorted(map(_name, catalog.databases.values()))
        if wanted is None or wanted.lower() == database.lower()
        for info in catalog.tables_of(database)
        if info.schema.name.lower() == command.table.lower()
        for place, column in enumerate(info.schema.primary_key_columns, start=1)
    ]
    return _table_of_rows(rows, PRIMARY_KEYS)


def _table_of_rows(rows: Iterable[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    """Rows as a table; values beyond the schema's columns are left out."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, schema, strict=False)], schema)

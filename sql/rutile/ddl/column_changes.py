"""ALTER TABLE on columns, as functions from a table's definition to the next one. No row is rewritten here.

ADD and DROP COLUMN raise the layout: older rows read as the default a column had when it was added, and skip what was
dropped. MODIFY may widen what is stored the same way (a longer VARCHAR, more digits before the point), change defaults,
comments, places and names, and allow NULL. A type whose values are others is a job's (`column_rewrites.py`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from rutile import errors
from rutile.catalog.model import TableInfo
from rutile.catalog.sequence_info import names_sequence
from rutile.ddl.columns import ColumnFacts, ColumnKey, read_column, with_default
from rutile.ddl.create_table import ER_AUTO_RANDOM, check_column_name
from rutile.errors import SqlError, not_supported
from rutile.parse import alterations as alter
from rutile.rows.conversion import converter_for
from rutile.rows.row_rules import columns_of_rules
from rutile_coprocessor.column_types import MAX_INT64_PRECISION
from rutile_coprocessor.schema import Column, ColumnType, Kind, Scalar, TableSchema

ER_CANT_REMOVE_ALL_FIELDS = 1090
ER_CANT_DROP_FIELD_OR_KEY = 1091


def add_column(info: TableInfo, change: alter.AddColumn, now: datetime) -> TableInfo:
    """The table with one more column. `now` is what CURRENT_TIMESTAMP gives the rows there are. Raises 1060, 1235."""
    schema = info.schema
    next_id = max(column.id for column in (*schema.columns, *schema.dropped)) + 1
    column, facts = read_column(change.definition, next_id)
    if column.default_sql is not None and names_sequence(column.default_sql):
        raise not_supported("ADD COLUMN whose default is a sequence: rows would have to be given values")
    check_column_name(column.name)
    _refuse_rules(facts)
    if facts.key is not ColumnKey.NONE or column.auto_increment:
        raise not_supported("ADD COLUMN with a key or AUTO_INCREMENT: add the column first, then the index")
    if schema.has_column(column.name):
        raise SqlError(errors.ER_DUP_FIELDNAME, f"Duplicate column name '{column.name}'")
    origin = converter_for(column)(now, 1) if column.default_sql else column.default
    if origin is None and not column.nullable:
        origin = _implicit_default(column.type)
    wider = schema.add_column(column, _position(schema, change.place))
    added = replace(wider.column(column.name), origin_default=origin)
    columns = tuple(added if each.id == added.id else each for each in wider.columns)
    return replace(info, schema=replace(wider, columns=columns))


def drop_column(info: TableInfo, name: str) -> TableInfo:
    """The table without a column. Raises 1090, 1091, 1235 for columns of keys."""
    column = find(info.schema, name, ER_CANT_DROP_FIELD_OR_KEY)
    if len(info.schema.columns) == 1:
        message = "You can't delete all columns with ALTER TABLE; use DROP TABLE instead"
        raise SqlError(ER_CANT_REMOVE_ALL_FIELDS, message, sqlstate="42000")
    if column.id in info.schema.primary_key:
        raise not_supported("DROP COLUMN of a column of the primary key")
    refuse_mentioned(info, column, "DROP COLUMN")
    if any(column.id in index.column_ids for index in info.indexes):
        raise not_supported(f"DROP COLUMN of a column of an index: drop the indexes on {name} first")
    return replace(info, schema=info.schema.drop_column(name))


def rename_column(info: TableInfo, old: str, new: str) -> TableInfo:
    """The table with a column called otherwise. Raises 1054, 1060."""
    column = find(info.schema, old)
    check_column_name(new)
    refuse_mentioned(info, column, "RENAME COLUMN")
    return _with_column(info, column, replace(column, name=new))


def forbids_null(info: TableInfo, change: alter.ModifyColumn) -> bool:
    """Whether the change takes NULL from a column that has it. Raises 1054."""
    old = find(info.schema, change.name)
    return old.nullable and not read_column(change.definition, old.id)[0].nullable


def rewrites_rows(info: TableInfo, change: alter.ModifyColumn) -> bool:
    """Whether the change is to a type whose values are others, or other bytes. Raises 1054."""
    old = find(info.schema, change.name)
    return not _stored_alike(old.type, read_column(change.definition, old.id)[0].type)


def modify_column(info: TableInfo, change: alter.ModifyColumn, *, nulls_checked: bool = False) -> TableInfo:
    """The table with a column defined anew. Raises 1054, 1060, 1235 for what would touch rows.

    `nulls_checked` if it is known that no row has NULL in it.
    """
    old = find(info.schema, change.name)
    refuse_mentioned(info, old, "MODIFY COLUMN")
    wanted = modified_column(info, old, change)
    if old.nullable and not wanted.nullable and not nulls_checked:
        raise not_supported("MODIFY COLUMN from NULL to NOT NULL")
    kept = replace(wanted, added_in=old.added_in, dropped_in=old.dropped_in, origin_default=old.origin_default)
    kept = replace(kept, in_every_row=old.in_every_row)
    return _moved(_with_column(info, old, kept), kept, change.place)


def modified_column(info: TableInfo, old: Column, change: alter.ModifyColumn) -> Column:
    """The column as the change defines it, under the old one's id. Raises 1060, 8200 and what definitions raise."""
    wanted, facts = read_column(change.definition, old.id)
    check_column_name(wanted.name)
    _refuse_rules(facts)
    if facts.key is not ColumnKey.NONE:
        raise not_supported("MODIFY COLUMN with a key: add the index by itself")
    if old.id in info.schema.primary_key:
        wanted = replace(wanted, nullable=False)
    if wanted.auto_increment != old.auto_increment:
        raise not_supported("MODIFY COLUMN that adds or takes AUTO_INCREMENT")
    if wanted.name.lower() != old.name.lower() and info.schema.has_column(wanted.name):
        raise SqlError(errors.ER_DUP_FIELDNAME, f"Duplicate column name '{wanted.name}'")
    return wanted


def set_default(info: TableInfo, change: alter.SetDefault) -> TableInfo:
    """The table with another default for new rows. Raises 1054, 1067, 1101."""
    column = find(info.schema, change.column)
    bare = replace(column, default=None, default_sql=None)
    return _with_column(info, column, with_default(bare, change.default))


def _refuse_rules(facts: ColumnFacts) -> None:
    if facts.auto_random is not None:
        message = "Invalid auto random: adding/dropping/modifying auto_random is not supported"
        raise SqlError(ER_AUTO_RANDOM, message)
    if facts.references:
        raise not_supported("ALTER TABLE of a column with REFERENCES: ADD FOREIGN KEY by itself")
    if facts.generated is not None or facts.checks:
        raise not_supported("ALTER TABLE with a generated column or CHECK: rows would have to be looked at")


def refuse_mentioned(info: TableInfo, column: Column, what: str) -> None:
    """Raises 1235."""
    if column.name.lower() in columns_of_rules(info):
        raise not_supported(f"{what} of a column that a generated column or a CHECK mentions ({column.name})")


def find(schema: TableSchema, name: str, code: int = errors.ER_BAD_FIELD) -> Column:
    """The column of that name. Raises 1054, or `code`."""
    if schema.has_column(name):
        return schema.column(name)
    if code == ER_CANT_DROP_FIELD_OR_KEY:
        raise SqlError(code, f"Can't DROP '{name}'; check that column/key exists", sqlstate="42000")
    raise SqlError(code, f"Unknown column '{name}' in '{schema.name}'")


def _with_column(info: TableInfo, old: Column, new: Column) -> TableInfo:
    schema = info.schema
    if new.name.lower() != old.name.lower() and schema.has_column(new.name):
        raise SqlError(errors.ER_DUP_FIELDNAME, f"Duplicate column name '{new.name}'")
    columns = tuple(new if column.id == old.id else column for column in schema.columns)
    return replace(info, schema=replace(schema, columns=columns))


def _moved(info: TableInfo, column: Column, place: alter.Place) -> TableInfo:
    if place == alter.Place():
        return info
    others = tuple(each for each in info.schema.columns if each.id != column.id)
    at = _position(replace(info.schema, columns=others), place) if _holds_key(info, others) else None
    if at is None:
        raise not_supported("MODIFY COLUMN of a key column to another place")
    columns = (*others[:at], column, *others[at:])
    return replace(info, schema=replace(info.schema, columns=columns))


def _holds_key(info: TableInfo, columns: tuple[Column, ...]) -> bool:
    return set(info.schema.primary_key) <= {column.id for column in columns}


def _position(schema: TableSchema, place: alter.Place) -> int:
    if place.first:
        return 0
    if place.after is None:
        return len(schema.columns)
    find(schema, place.after)
    return schema.index_of(place.after) + 1


def _stored_alike(old: ColumnType, new: ColumnType) -> bool:
    """Whether every value of the old type is one of the new type, in the same bytes."""
    if old.kind is not new.kind or old.unsigned != new.unsigned:
        return False
    if old.kind is Kind.DECIMAL:
        narrow = old.precision <= MAX_INT64_PRECISION, new.precision <= MAX_INT64_PRECISION
        return old.scale == new.scale and old.precision <= new.precision and narrow[0] == narrow[1]
    if old.is_enumerated:
        return new.members[: len(old.members)] == old.members
    return old.length <= new.length and old.scale <= new.scale


def _implicit_default(kind: ColumnType) -> Scalar:
    """What MySQL gives existing rows in a new NOT NULL column without a default."""
    if kind.is_enumerated:
        return kind.members[0] if kind.kind is Kind.ENUM else ""
    if kind.is_character:
        return "" if kind.kind is not Kind.JSON else "null"
    if kind.is_binary:
        return b""
    zeros: dict[Kind, Scalar] = {
        Kind.DECIMAL: Decimal(0).scaleb(-kind.scale), Kind.FLOAT: 0.0, Kind.DOUBLE: 0.0, Kind.TIME: timedelta(0),
    }  # fmt: skip
    if kind.kind in (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP):
        raise not_supported(
            f"ADD COLUMN {kind.mysql_name()} NOT NULL without a default: the zero date is no value here"
        )
    return zeros.get(kind.kind, 0)

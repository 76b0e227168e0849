"""PARTITION BY as the catalogue keeps it: what MySQL and TiDB refuse is refused here, with their codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise

from rutile.catalog.indexes import IndexInfo
from rutile.catalog.partitions import Bound, Partition, Partitioning
from rutile.errors import ER_BAD_FIELD, SqlError
from rutile.parse.partition_clause import PartitionClause, PartitionDefinition, Term
from rutile.parse.partition_terms import ER_BAD_EXPRESSION, OF_DATES, constant
from rutile.rows.partitions import Partitions, bound_value
from rutile_coprocessor.schema import Column, Kind, TableSchema

MAX_PARTITIONS = 8_192
ER_WRONG_VALUES = 1480
ER_NO_VALUES = 1479
ER_MAXVALUE_NOT_LAST = 1481
ER_FIELD_NOT_FOUND = 1488
ER_WRONG_EXPRESSION_TYPE = 1491
ER_MUST_BE_DEFINED = 1492
ER_NOT_INCREASING = 1493
ER_LISTED_TWICE = 1495
ER_TOO_MANY_PARTITIONS = 1499
ER_KEY_NEEDS_COLUMNS = 1503
ER_SAME_NAME = 1517
ER_TEMPORARY = 1562
ER_COLUMN_COUNT = 1653
ER_WRONG_COLUMN_VALUE = 1654
ER_TYPE_NOT_ALLOWED = 1659
ER_NULL_IN_LESS_THAN = 1566
ER_NOT_INTEGER = 1697
_MOMENTS = (Kind.DATE, Kind.DATETIME)


def build_partitioning(clause: PartitionClause, schema: TableSchema) -> Partitioning:
    """The partitions a clause describes, without ids yet. Raises 1479 to 1499, 1517, 1564, 1653 to 1659, 1697."""
    columns = _columns(clause, schema)
    expression = clause.term.text() if clause.term is not None else ""
    empty = Partitioning(clause.kind, expression, tuple(column.id for column in columns), ())
    if clause.kind == "HASH":
        return _hashed(empty, clause)
    if not clause.definitions:
        message = f"For {clause.kind.split()[0]} partitions each partition must be defined"
        raise SqlError(ER_MUST_BE_DEFINED, message)
    if clause.count is not None and clause.count != len(clause.definitions):
        raise SqlError(1484, "Wrong number of partitions defined, mismatch with previous setting")
    return with_partitions(empty, clause.definitions, schema)


def _hashed(empty: Partitioning, clause: PartitionClause) -> Partitioning:
    names = [each.name for each in clause.definitions]
    if any(each.less_than or each.is_last or each.values for each in clause.definitions):
        raise SqlError(ER_WRONG_VALUES, "Only RANGE PARTITIONING can use VALUES LESS THAN in partition definition")
    count = clause.count or len(names) or 1
    if names and len(names) != count:
        raise SqlError(1484, "Wrong number of partitions defined, mismatch with previous setting")
    parts = [Partition(0, names[number] if names else f"p{number}") for number in range(min(count, MAX_PARTITIONS + 1))]
    _check_names(parts)
    return replace(empty, partitions=tuple(parts))


def with_partitions(
    before: Partitioning, definitions: Sequence[PartitionDefinition], schema: TableSchema
) -> Partitioning:
    """The partitioning with more partitions at its end. Raises what `build_partitioning` does."""
    added = tuple(_partition(before, each, schema) for each in definitions)
    after = replace(before, partitions=(*before.partitions, *added))
    _check_names(after.partitions)
    if before.kind.startswith("RANGE"):
        _check_ranges(after, schema)
    else:
        _check_lists(after, schema)
    return after


# --- columns and expressions ------------------------------------------------------------------------------------------


def _columns(clause: PartitionClause, schema: TableSchema) -> list[Column]:
    """The columns that choose the partition, each once."""
    names = clause.columns if clause.term is None else tuple(dict.fromkeys(clause.term.columns()))
    for name in names:
        if not schema.has_column(name):
            if clause.term is not None:
                raise SqlError(ER_BAD_FIELD, f"Unknown column '{name}' in 'partition function'")
            raise SqlError(ER_FIELD_NOT_FOUND, "Field in list of fields for partition function not found in table")
    columns = [schema.column(name) for name in names]
    if len({column.id for column in columns}) < len(columns):
        raise SqlError(1652, "Duplicate partition field name")
    if clause.term is None:
        for column in columns:
            _check_column(column)
    else:
        _check_term(clause.term, schema)
    return columns


def _check_column(column: Column) -> None:
    kind = column.type
    if not (kind.is_integer or kind.kind in _MOMENTS or (kind.is_character and kind.kind is not Kind.TEXT)):
        message = f"Field '{column.name}' is of a not allowed type for this type of partitioning"
        raise SqlError(ER_TYPE_NOT_ALLOWED, message)


def _check_term(term: Term, schema: TableSchema) -> None:
    """Raises 1486, 1491, 1659 for what gives no integer, or not always the same."""
    if next(term.columns(), None) is None:
        raise _bad_expression()
    if term.is_column and not schema.column(str(term.value)).type.is_integer:
        message = f"Field '{term.value}' is of a not allowed type for this type of partitioning"
        raise SqlError(ER_TYPE_NOT_ALLOWED, message)
    _check_types(term, schema)


def _check_types(term: Term, schema: TableSchema) -> None:
    if term.kind == "text":
        raise SqlError(ER_WRONG_EXPRESSION_TYPE, "The PARTITION function returns the wrong type")
    if term.kind == "column" and not schema.column(str(term.value)).type.is_integer:
        raise SqlError(ER_WRONG_EXPRESSION_TYPE, "The PARTITION function returns the wrong type")
    if term.kind == "call" and term.value in OF_DATES:
        inner = term.parts[0]
        kind = schema.column(str(inner.value)).type.kind if inner.is_column else None
        if kind is not Kind.TIMESTAMP and kind not in _MOMENTS:
            raise SqlError(ER_WRONG_EXPRESSION_TYPE, "The PARTITION function returns the wrong type")
        if (kind is Kind.TIMESTAMP) != (term.value == "UNIX_TIMESTAMP"):
            raise _bad_expression()
        return
    for part in term.parts:
        _check_types(part, schema)


def _bad_expression() -> SqlError:
    message = "Constant, random or timezone-dependent expressions in (sub)partitioning function are not allowed"
    return SqlError(ER_BAD_EXPRESSION, message)


# --- values -----------------------------------------------------------------------------------------------------------


def _partition(before: Partitioning, definition: PartitionDefinition, schema: TableSchema) -> Partition:
    is_range = before.kind.startswith("RANGE")
    wrong, right = ("IN", "LIST") if is_range else ("LESS THAN", "RANGE")
    if definition.values if is_range else definition.less_than or definition.is_last:
        raise SqlError(ER_WRONG_VALUES, f"Only {right} PARTITIONING can use VALUES {wrong} in partition definition")
    if not (definition.values or definition.less_than or definition.is_last):
        kind, form = ("RANGE", "LESS THAN") if is_range else ("LIST", "IN")
        message = f"Syntax : {kind} PARTITIONING requires definition of VALUES {form} for each partition"
        raise SqlError(ER_NO_VALUES, message)
    bounded = is_range and not definition.is_last
    less_than = _bounds(before, definition.less_than, schema, definition.name) if bounded else ()
    if None in less_than:
        raise SqlError(ER_NULL_IN_LESS_THAN, "Not allowed to use NULL value in VALUES LESS THAN")
    values = tuple(_bounds(before, each, schema, definition.name) for each in definition.values)
    return Partition(0, definition.name, less_than, definition.is_last, values, definition.comment)


def _bounds(
    partitioning: Partitioning, terms: Sequence[Term | None], schema: TableSchema, name: str
) -> tuple[Bound, ...]:
    width = len(partitioning.column_ids) if partitioning.is_by_columns else 1
    if len(terms) != width:
        raise SqlError(ER_COLUMN_COUNT, "Inconsistency in usage of column lists for partitioning")
    if not partitioning.is_by_columns:
        return tuple(None if term is None else _integer(term, name) for term in terms)
    by_id = {column.id: column for column in schema.columns}
    pairs = zip((by_id[each] for each in partitioning.column_ids), terms, strict=True)
    return tuple(_column_bound(column, term) for column, term in pairs)


def _integer(term: Term, name: str) -> int | None:
    if term.kind == "text":
        raise SqlError(ER_NOT_INTEGER, f"VALUES value for partition '{name}' must have type INT")
    return constant(term)


def _column_bound(column: Column, term: Term | None) -> Bound:
    """The value as it is kept: of a date its text, in the form SHOW CREATE TABLE has."""
    if term is None:
        return None
    value = str(term.value) if term.kind == "text" else constant(term)
    try:
        stored = bound_value(replace(column, nullable=True), value)
    except SqlError as error:
        raise _wrong_value() from error
    if (isinstance(value, str) and column.type.is_integer) or (isinstance(value, int) and not column.type.is_integer):
        raise _wrong_value()
    if isinstance(stored, date):
        return str(stored)
    assert stored is None or isinstance(stored, int | str)
    return stored


def _wrong_value() -> SqlError:
    return SqlError(ER_WRONG_COLUMN_VALUE, "Partition column values of incorrect type")


# --- what must hold of them together ----------------------------------------------------------------------------------


def _check_names(parts: Sequence[Partition]) -> None:
    seen = set[str]()
    if len(parts) > MAX_PARTITIONS:
        raise SqlError(ER_TOO_MANY_PARTITIONS, "Too many partitions (including subpartitions) were defined")
    for each in parts:
        if each.name.lower() in seen:
            raise SqlError(ER_SAME_NAME, f"Duplicate partition name {each.name}")
        seen.add(each.name.lower())


def _check_ranges(partitioning: Partitioning, schema: TableSchema) -> None:
    if any(each.is_last for each in partitioning.partitions[:-1]):
        raise SqlError(ER_MAXVALUE_NOT_LAST, "MAXVALUE can only be used in last partition definition")
    if any(low >= high for low, high in pairwise(Partitions(partitioning, schema).bounds)):
        raise SqlError(ER_NOT_INCREASING, "VALUES LESS THAN value must be strictly increasing for each partition")


def _check_lists(partitioning: Partitioning, schema: TableSchema) -> None:
    listed = sum(len(each.values) for each in partitioning.partitions)
    if len(Partitions(partitioning, schema).listed) < listed:
        raise SqlError(ER_LISTED_TWICE, "Multiple definition of same constant in list partitioning")


def check_keys(partitioning: Partitioning, schema: TableSchema, indexes: Sequence[IndexInfo]) -> None:
    """A row's partition must follow from each of its unique keys. Raises 1503."""
    needed = set(partitioning.column_ids)
    if schema.primary_key and not needed <= set(schema.primary_key):
        raise _needs_columns("PRIMARY KEY")
    for index in indexes:
        whole = {part.column_id for part in index.columns if part.length is None}
        if index.unique and not needed <= whole:
            raise _needs_columns("UNIQUE INDEX")


def _needs_columns(what: str) -> SqlError:
    message = f"A {what} must include all columns in the table's partitioning function"
    return SqlError(ER_KEY_NEEDS_COLUMNS, message)


def refuse_temporary() -> SqlError:
    """1562."""
    return SqlError(ER_TEMPORARY, "Cannot create temporary table with partitions")

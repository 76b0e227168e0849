"""CREATE TABLE to a table schema."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from rutile import errors
from rutile.catalog.auto_random import MAX_SHARD_BITS, MIN_RANGE_BITS, RANGE_BITS, AutoRandom
from rutile.catalog.foreign_keys import ForeignKey
from rutile.catalog.indexes import IndexInfo
from rutile.catalog.model import TableInfo
from rutile.catalog.partitions import Partitioning
from rutile.catalog.rules import NO_RULES, CheckConstraint, GeneratedColumn, RuleSet
from rutile.ddl.columns import ColumnKey, check_character_set, read_column
from rutile.ddl.foreign_keys import (
    ForeignKeyDefinition,
    build_foreign_keys,
    foreign_keys_refused,
    needs_index,
    read_foreign_key,
    read_reference,
)
from rutile.ddl.indexes import IndexDefinition, build_indexes, read_index
from rutile.ddl.partitions import build_partitioning, check_keys
from rutile.errors import SqlError, not_supported
from rutile.parse.mysql_text import mysql_text
from rutile.parse.partition_clause import PartitionClause
from rutile.rows.row_rules import compile_rule
from rutile_coprocessor.schema import Column, Handle, Kind, TableSchema
from rutile_proto.errors import InvalidRequest

MAX_COLUMNS = 1_017
MAX_NAME_CHARACTERS = 64
ER_TOO_LONG_IDENT = 1059
ER_TOO_MANY_FIELDS = 1117
ER_BLOB_KEY_WITHOUT_LENGTH = 1170
ER_CHECK_DUP_NAME = 3822
ER_AUTO_RANDOM = 8216
_NEEDS_PREFIX = (Kind.TEXT, Kind.BLOB, Kind.JSON)


@dataclass(frozen=True)
class TableDefinition:
    """What CREATE TABLE asks for; the schema has no id yet."""

    schema: TableSchema
    comment: str = ""
    auto_increment: int = 1
    indexes: tuple[IndexInfo, ...] = ()
    rules: RuleSet = NO_RULES
    foreign_keys: tuple[ForeignKey, ...] = ()
    auto_random: AutoRandom | None = None
    partitioning: Partitioning | None = None


@dataclass
class _Parts:
    columns: list[Column] = field(default_factory=list)
    key: tuple[str, ...] | None = None
    indexes: list[IndexDefinition] = field(default_factory=list)
    generated: list[GeneratedColumn] = field(default_factory=list)
    checks: list[tuple[str | None, exp.Expr]] = field(default_factory=list)
    foreign_keys: list[ForeignKeyDefinition] = field(default_factory=list)
    auto_random: tuple[Column, AutoRandom] | None = None


def read_definition(
    definition: exp.Create, database: str, name: str, clause: PartitionClause | None = None
) -> TableDefinition:
    """The schema CREATE TABLE describes, with its PARTITION BY. Raises 1235 naming what Rutile lacks."""
    if not isinstance(definition.this, exp.Schema):
        raise not_supported("CREATE TABLE ... LIKE and CREATE TABLE ... AS SELECT")
    if definition.expression is not None and definition.args.get("expression"):
        raise not_supported("CREATE TABLE ... AS SELECT")
    parts = _Parts()
    for element in definition.this.expressions:
        _read_element(element, parts)
    _check_names(name, parts.columns)
    options = definition.args.get("properties")
    comment, auto_increment = _read_options(options.expressions if options else [])
    schema = _build(database, name, parts)
    indexes = build_indexes(schema, parts.indexes, (), 0)
    _check_auto_increment(schema, indexes)
    rules = _rules(schema, parts)
    table = TableInfo(schema, indexes=indexes, rules=rules)
    foreign_keys = build_foreign_keys(table, parts.foreign_keys)
    indexes = with_own_indexes(table, foreign_keys)
    random = check_auto_random(schema, *parts.auto_random) if parts.auto_random is not None else None
    partitioning = None
    if clause is not None:
        partitioning = build_partitioning(clause, schema)
        check_keys(partitioning, schema, indexes)
        if foreign_keys:
            raise foreign_keys_refused()
    return TableDefinition(schema, comment, auto_increment, indexes, rules, foreign_keys, random, partitioning)


def with_own_indexes(info: TableInfo, foreign_keys: Sequence[ForeignKey]) -> tuple[IndexInfo, ...]:
    """The indexes of `info`, and one of its name for each foreign key that has none to find its rows by."""
    for foreign in foreign_keys:
        if needs_index(info, foreign.column_ids):
            definition = own_index(info, foreign)
            made = build_indexes(info.schema, [definition], info.indexes, info.last_index_id or len(info.indexes))
            info = replace(info, indexes=(*info.indexes, *made), last_index_id=made[0].id)
    return info.indexes


def own_index(info: TableInfo, foreign: ForeignKey) -> IndexDefinition:
    """The index a foreign key brings along; as in MySQL it has its name."""
    names = {column.id: column.name for column in info.schema.columns}
    return IndexDefinition(foreign.name, tuple((names[each], None) for each in foreign.column_ids), unique=False)


def _rules(schema: TableSchema, parts: _Parts) -> RuleSet:
    """The generated columns and CHECKs, each compiled once to see that it can be. Raises 1054, 1235, 3763, 3822."""
    given = {name.lower() for name, _ in parts.checks if name}
    numbers = (f"{schema.name}_chk_{number}" for number in itertools.count(1))
    checks: list[CheckConstraint] = []
    for name, condition in parts.checks:
        chosen = name or next(each for each in numbers if each.lower() not in given)
        if chosen.lower() in (each.name.lower() for each in checks):
            raise SqlError(ER_CHECK_DUP_NAME, f"Duplicate check constraint name '{chosen}'.")
        checks.append(CheckConstraint(chosen, mysql_text(condition.unnest())))
    rules = RuleSet(tuple(parts.generated), tuple(checks))
    for sql in rules.expressions:
        compile_rule(TableInfo(schema), sql)
    keys = set(schema.primary_key) & {each.column_id for each in rules.generated}
    if keys:
        raise not_supported("a generated column in the primary key")
    return rules


def _read_element(element: exp.Expr, parts: _Parts, constraint: str | None = None) -> None:
    match element:
        case exp.ColumnDef():
            _read_column(element, parts)
        case exp.PrimaryKey():
            _set_key(parts, tuple(_key_column(part) for part in element.expressions))
        case exp.Constraint():
            for inner in element.expressions:
                _read_element(inner, parts, element.this.name if element.this is not None else None)
        case exp.CheckColumnConstraint():
            parts.checks.append((constraint, element.this))
        case exp.UniqueColumnConstraint() | exp.IndexColumnConstraint():
            parts.indexes.append(read_index(element, constraint))
        case exp.ForeignKey():
            parts.foreign_keys.append(read_foreign_key(element, constraint))
        case _:
            raise not_supported(mysql_text(element))


def _read_column(element: exp.ColumnDef, parts: _Parts) -> None:
    column, facts = read_column(element, len(parts.columns) + 1)
    parts.columns.append(column)
    parts.checks += facts.checks
    if facts.auto_random is not None:
        parts.auto_random = column, facts.auto_random
    parts.foreign_keys += [read_reference(each, (column.name,), None) for each in facts.references]
    if facts.key is ColumnKey.PRIMARY:
        _set_key(parts, (column.name,))
    elif facts.key is ColumnKey.UNIQUE:
        parts.indexes.append(IndexDefinition(None, ((column.name, None),), unique=True))
    if facts.generated is not None:
        if column.auto_increment or facts.default is not None or facts.key is ColumnKey.PRIMARY:
            raise not_supported(f"a generated column with AUTO_INCREMENT, DEFAULT or PRIMARY KEY ({column.name})")
        stored = bool(facts.generated.args.get("persisted"))
        parts.generated.append(GeneratedColumn(column.id, mysql_text(facts.generated.this.unnest()), stored))


def _key_column(part: exp.Expr) -> str:
    if isinstance(part, exp.ColumnPrefix):
        raise not_supported("a key on a prefix of a column")
    return part.name


def _set_key(parts: _Parts, names: tuple[str, ...]) -> None:
    if parts.key is not None:
        raise SqlError(errors.ER_MULTIPLE_PRI_KEY, "Multiple primary key defined")
    parts.key = names


def _check_names(name: str, columns: Sequence[Column]) -> None:
    check_name(name)
    seen = set[str]()
    for column in columns:
        check_column_name(column.name)
        if column.name.lower() in seen:
            raise SqlError(errors.ER_DUP_FIELDNAME, f"Duplicate column name '{column.name}'")
        seen.add(column.name.lower())
    if not columns:
        raise SqlError(1113, "A table must have at least 1 column", sqlstate="42000")
    if len(columns) > MAX_COLUMNS:
        raise SqlError(ER_TOO_MANY_FIELDS, f"Too many columns: the limit is {MAX_COLUMNS}")


def check_name(identifier: str) -> None:
    """Raises 1059."""
    if len(identifier) > MAX_NAME_CHARACTERS:
        raise SqlError(ER_TOO_LONG_IDENT, f"Identifier name '{identifier}' is too long", sqlstate="42000")


def check_column_name(name: str) -> None:
    """Raises 1059, 1166."""
    check_name(name)
    if name.lower().startswith("_rutile_"):
        raise SqlError(1166, f"Incorrect column name '{name}': _rutile_ is reserved", sqlstate="42000")


def _build(database: str, name: str, parts: _Parts) -> TableSchema:
    by_name = {column.name.lower(): column for column in parts.columns}
    key = [_find_key_column(by_name, part) for part in parts.key or ()]
    for column in key:
        if column.type.kind in _NEEDS_PREFIX:
            message = f"BLOB/TEXT column '{column.name}' used in key specification without a key length"
            raise SqlError(ER_BLOB_KEY_WITHOUT_LENGTH, message, sqlstate="42000")
    key_ids = tuple(column.id for column in key)
    if len(set(key_ids)) < len(key_ids):
        raise SqlError(errors.ER_DUP_FIELDNAME, "Duplicate column name in the primary key")
    columns = tuple(replace(column, nullable=False) if column.id in key_ids else column for column in parts.columns)
    try:
        return TableSchema(0, name, columns, primary_key=key_ids, handle=_handle_of(key), database=database)
    except InvalidRequest as error:
        raise SqlError(errors.ER_UNKNOWN, str(error)) from error


def _find_key_column(by_name: dict[str, Column], name: str) -> Column:
    found = by_name.get(name.lower())
    if found is None:
        raise SqlError(errors.ER_KEY_COLUMN_MISSING, f"Key column '{name}' doesn't exist in table")
    return found


def _handle_of(key: Sequence[Column]) -> Handle:
    if not key:
        return "hidden"
    return "int" if len(key) == 1 and key[0].type.is_integer else "common"


def check_auto_random(schema: TableSchema, column: Column, random: AutoRandom) -> AutoRandom:
    """The same, if the column can have it. Raises 8216."""
    kind = column.type
    if kind.kind is not Kind.BIGINT:
        name = kind.mysql_name().partition(" ")[0]
        raise _bad_random(f"auto_random option must be defined on `bigint` column, but not on `{name}` column")
    if schema.primary_key != (column.id,):
        detail = "is not the integer primary key, or table is created with nonclustered primary key"
        raise _bad_random(f"column {column.name} {detail}")
    if column.auto_increment:
        raise _bad_random("auto_random is incompatible with auto_increment")
    if column.default is not None or column.default_sql:
        raise _bad_random("auto_random is incompatible with default")
    if random.shard_bits > MAX_SHARD_BITS:
        message = f"max allowed auto_random shard bits is {MAX_SHARD_BITS}, but got {random.shard_bits}"
        raise _bad_random(f"{message} on column `{column.name}`")
    if random.shard_bits < 1:
        raise _bad_random("the value of auto_random should be positive")
    if not MIN_RANGE_BITS <= random.range_bits <= RANGE_BITS:
        raise _bad_random(f"auto_random range bits must be between {MIN_RANGE_BITS} and {RANGE_BITS}")
    return random


def _bad_random(detail: str) -> SqlError:
    return SqlError(ER_AUTO_RANDOM, f"Invalid auto random: {detail}")


def _check_auto_increment(schema: TableSchema, indexes: Sequence[IndexInfo]) -> None:
    automatic = [column for column in schema.columns if column.auto_increment]
    if not automatic:
        return
    first_columns = {schema.primary_key[:1], *(index.column_ids[:1] for index in indexes)}
    if len(automatic) > 1 or (automatic[0].id,) not in first_columns:
        message = "Incorrect table definition; there can be only one auto column and it must be defined as a key"
        raise SqlError(errors.ER_WRONG_AUTO_KEY, message)
    if not automatic[0].type.is_integer:
        raise SqlError(1063, f"Incorrect column specifier for column '{automatic[0].name}'", sqlstate="42000")


def _read_options(options: Sequence[exp.Expr]) -> tuple[str, int]:
    """(comment, first AUTO_INCREMENT). ENGINE, ROW_FORMAT and such mean nothing here and are accepted, as in TiDB."""
    comment, auto_increment = "", 1
    for option in options:
        match option:
            case exp.SchemaCommentProperty():
                comment = option.this.name
            case exp.AutoIncrementProperty():
                auto_increment = max(1, int(option.this.name))
            case exp.CharacterSetProperty() | exp.CollateProperty():
                check_character_set(option.this.name)
            case exp.LikeProperty():
                raise not_supported("CREATE TABLE ... LIKE")
            case exp.TemporaryProperty() | exp.PartitionedByProperty():
                raise not_supported(mysql_text(option) or type(option).__name__)
    return comment, auto_increment

"""Index definitions, as CREATE TABLE, CREATE INDEX and ALTER TABLE write them, to what the catalogue keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from rutile import errors
from rutile.catalog.indexes import IndexColumn, IndexInfo, IndexState
from rutile.errors import SqlError, not_supported
from rutile.parse.mysql_text import mysql_text
from rutile_coprocessor.schema import Column, Kind, TableSchema

MAX_KEY_PARTS = 16
MAX_INDEXES = 64
MAX_NAME_CHARACTERS = 64
ER_DUP_KEYNAME = 1061
ER_TOO_MANY_KEYS = 1069
ER_TOO_MANY_KEY_PARTS = 1070
ER_WRONG_SUB_KEY = 1089
ER_BLOB_KEY_WITHOUT_LENGTH = 1170
ER_WRONG_NAME_FOR_INDEX = 1280
ER_JSON_USED_AS_KEY = 3152
PRIMARY = "PRIMARY"
_PREFIXABLE = (Kind.CHAR, Kind.VARCHAR, Kind.TEXT, Kind.BINARY, Kind.VARBINARY, Kind.BLOB)


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """An index as written; columns are still names. `name` None: it is called after its first column."""

    name: str | None
    parts: tuple[tuple[str, int | None], ...]
    unique: bool
    comment: str = ""


def read_index(node: exp.Expr, name: str | None = None) -> IndexDefinition:
    """KEY, INDEX or UNIQUE as an element of CREATE TABLE; `name` is a CONSTRAINT's. Raises 1235 for other kinds."""
    if isinstance(node, exp.UniqueColumnConstraint):
        schema = node.this
        inner = schema.this.name if schema.this is not None else None
        return IndexDefinition(inner or name, read_parts(schema.expressions), unique=True, comment=_comment(node))
    assert isinstance(node, exp.IndexColumnConstraint)
    kind = node.args.get("kind")
    if kind and str(kind).upper() != "UNIQUE":
        raise not_supported(f"{kind} index")
    named = node.this.name if node.this is not None else name
    return IndexDefinition(named, read_parts(node.expressions), unique=bool(kind), comment=_comment(node))


def read_parts(nodes: Iterable[exp.Expr]) -> tuple[tuple[str, int | None], ...]:
    """The columns of a key: `a, b(10), c DESC`. DESC is accepted and kept ascending: an index is read both ways."""
    return tuple(_part(node.this if isinstance(node, exp.Ordered) else node) for node in nodes)


def _part(node: exp.Expr) -> tuple[str, int | None]:
    match node:
        case exp.ColumnPrefix():
            return node.this.name, int(node.expression.name)
        case exp.Column() | exp.Identifier():
            return node.name, None
        case exp.Anonymous() if len(node.expressions) == 1 and node.expressions[0].name.isdigit():
            return node.name, int(node.expressions[0].name)
    raise not_supported(f"an index on an expression: {mysql_text(node)}")


def _comment(node: exp.Expr) -> str:
    for option in node.args.get("options") or []:
        if isinstance(option, exp.IndexConstraintOption) and option.args.get("comment"):
            return str(option.args["comment"].name)
    return ""


def build_indexes(
    schema: TableSchema, definitions: Sequence[IndexDefinition], existing: Sequence[IndexInfo], last_id: int
) -> tuple[IndexInfo, ...]:
    """The indexes with ids after `last_id`, public. Raises 1061, 1069, 1072, 1089, 1170, ..."""
    made: list[IndexInfo] = []
    for definition in definitions:
        names = {index.name.lower() for index in (*existing, *made)}
        made.append(_build(schema, definition, names, last_id + 1 + len(made)))
    if len(existing) + len(made) > MAX_INDEXES:
        raise SqlError(ER_TOO_MANY_KEYS, f"Too many keys specified; max {MAX_INDEXES} keys allowed", sqlstate="42000")
    return tuple(made)


def _build(schema: TableSchema, definition: IndexDefinition, taken: set[str], index_id: int) -> IndexInfo:
    columns = tuple(_column(schema, name, length) for name, length in definition.parts)
    if len(columns) > MAX_KEY_PARTS:
        message = f"Too many key parts specified; max {MAX_KEY_PARTS} parts allowed"
        raise SqlError(ER_TOO_MANY_KEY_PARTS, message, sqlstate="42000")
    ids = [column.column_id for column in columns]
    for (name, _), column in zip(definition.parts, columns, strict=True):
        if ids.count(column.column_id) > 1:
            raise SqlError(errors.ER_DUP_FIELDNAME, f"Duplicate column name '{name}'")
    name = _name(definition, taken)
    return IndexInfo(index_id, name, columns, definition.unique, IndexState.PUBLIC, definition.comment)


def _name(definition: IndexDefinition, taken: set[str]) -> str:
    if definition.name is None:
        base = definition.parts[0][0]
        base = base if base.lower() != "primary" else f"{base}_2"
        candidates = [base, *(f"{base}_{number}" for number in range(2, MAX_INDEXES + 3))]
        return next(name for name in candidates if name.lower() not in taken)
    name = definition.name
    if name.lower() == "primary":
        raise SqlError(ER_WRONG_NAME_FOR_INDEX, f"Incorrect index name '{name}'", sqlstate="42000")
    if len(name) > MAX_NAME_CHARACTERS:
        raise SqlError(1059, f"Identifier name '{name}' is too long", sqlstate="42000")
    if name.lower() in taken:
        raise SqlError(ER_DUP_KEYNAME, f"Duplicate key name '{name}'", sqlstate="42000")
    return name


def _column(schema: TableSchema, name: str, length: int | None) -> IndexColumn:
    if not schema.has_column(name):
        raise SqlError(errors.ER_KEY_COLUMN_MISSING, f"Key column '{name}' doesn't exist in table", sqlstate="42000")
    column = schema.column(name)
    _check_part(column, length)
    whole = length is not None and column.type.kind in (Kind.CHAR, Kind.VARCHAR, Kind.BINARY, Kind.VARBINARY)
    return IndexColumn(column.id, None if whole and length == column.type.length else length)


def _check_part(column: Column, length: int | None) -> None:
    kind = column.type.kind
    if kind is Kind.JSON:
        message = f"JSON column '{column.name}' cannot be used in key specification"
        raise SqlError(ER_JSON_USED_AS_KEY, message, sqlstate="42000")
    if length is None:
        if kind in (Kind.TEXT, Kind.BLOB):
            message = f"BLOB/TEXT column '{column.name}' used in key specification without a key length"
            raise SqlError(ER_BLOB_KEY_WITHOUT_LENGTH, message, sqlstate="42000")
        return
    limited = kind in (Kind.CHAR, Kind.VARCHAR, Kind.BINARY, Kind.VARBINARY)
    if kind not in _PREFIXABLE or length < 1 or (limited and length > column.type.length):
        message = (
            "Incorrect prefix key; the used key part isn't a string, the used length is longer than the key part, or"
            " the storage engine doesn't support unique prefix keys"
        )
        raise SqlError(ER_WRONG_SUB_KEY, message)

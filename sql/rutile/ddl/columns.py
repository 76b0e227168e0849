"""One column definition of CREATE TABLE: its type, defaults and constraints."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from sqlglot import exp

from rutile.catalog.auto_random import AutoRandom
from rutile.ddl.types import column_type
from rutile.errors import ER_INVALID_DEFAULT, SqlError, not_supported
from rutile.expressions.compile import Environment, NotCompilable, constant_value
from rutile.expressions.functions import moment_function
from rutile.parse.sequences import sequence_call, sequence_default
from rutile.rows.conversion import converter_for
from rutile_coprocessor.schema import Column, ColumnType, Kind, Scalar

ER_BLOB_CANT_HAVE_DEFAULT = 1101
_NO_DEFAULT_KINDS = (Kind.TEXT, Kind.BLOB, Kind.JSON)
_BINARY_OR_UTF8 = ("utf8mb4", "utf8", "utf8mb3", "binary", "ascii", "utf8mb4_bin", "utf8_bin", "utf8mb3_bin")


class ColumnKey(Enum):
    """Which key a column definition makes of its column alone."""

    NONE = auto()
    PRIMARY = auto()
    UNIQUE = auto()


@dataclass
class ColumnFacts:
    """What the constraints of a definition say, as they are read."""

    nullable: bool | None = None
    """None when the definition does not say."""
    key: ColumnKey = ColumnKey.NONE
    auto_increment: bool = False
    default: exp.Expr | None = None
    on_update: exp.Expr | None = None
    comment: str = ""
    generated: exp.ComputedColumnConstraint | None = None
    auto_random: AutoRandom | None = None
    checks: list[tuple[str | None, exp.Expr]] = field(default_factory=list)
    """Name and condition of each CHECK."""
    references: list[exp.Reference] = field(default_factory=list)
    """Foreign keys of this column alone; they are enforced, as MySQL does from 9.0 on."""


def read_column(definition: exp.ColumnDef, column_id: int) -> tuple[Column, ColumnFacts]:
    """The column, and what else its definition says. Raises 1067, 1101, 1235 and what the type raises."""
    if definition.args.get("kind") is None:
        raise not_supported(f"a column without a type: {definition.name}")
    kind = column_type(definition.args["kind"])
    facts = ColumnFacts()
    for constraint in definition.args.get("constraints") or []:
        name = constraint.this.name if constraint.this is not None else None
        if isinstance(constraint.kind, exp.CheckColumnConstraint):
            facts.checks.append((name, constraint.kind.this))
        else:
            _read_constraint(definition.name, constraint.kind, facts)
    nullable = facts.key is not ColumnKey.PRIMARY and facts.nullable is not False
    bare = Column(
        id=column_id,
        name=definition.name,
        type=kind,
        nullable=nullable and not facts.auto_increment and facts.auto_random is None,
        auto_increment=facts.auto_increment,
        comment=facts.comment,
        on_update_sql=_moment_sql(definition.name, kind, facts.on_update),
    )
    return with_default(bare, facts.default), facts


def _read_constraint(name: str, kind: exp.Expr, facts: ColumnFacts) -> None:
    match kind:
        case exp.NotNullColumnConstraint():
            facts.nullable = bool(kind.args.get("allow_null"))
        case exp.PrimaryKeyColumnConstraint():
            facts.key = ColumnKey.PRIMARY
        case exp.UniqueColumnConstraint():
            facts.key = facts.key if facts.key is ColumnKey.PRIMARY else ColumnKey.UNIQUE
        case exp.AutoIncrementColumnConstraint():
            facts.auto_increment = True
        case exp.DefaultColumnConstraint():
            facts.default = kind.this
        case exp.OnUpdateColumnConstraint():
            facts.on_update = kind.this
        case exp.CommentColumnConstraint():
            facts.comment = kind.this.name
        case exp.EncodeColumnConstraint() if kind.name.startswith("auto_random"):
            facts.auto_random = AutoRandom(*map(int, kind.name.split("_")[2:]))
        case exp.Reference():
            facts.references.append(kind)
        case exp.ComputedColumnConstraint():
            facts.generated = kind
        case exp.GeneratedAsIdentityColumnConstraint() if kind.expression is not None:  # without VIRTUAL or STORED
            facts.generated = exp.ComputedColumnConstraint(this=exp.paren(kind.expression.copy()), persisted=False)
        case exp.CharacterSetColumnConstraint() | exp.CollateColumnConstraint():
            check_character_set(kind.this.name)
        case _:
            raise not_supported(f"{_FEATURES.get(type(kind), type(kind).__name__)} (column {name})")


_FEATURES: dict[type[exp.Expr], str] = {
    exp.GeneratedAsIdentityColumnConstraint: "generated column",
    exp.ZeroFillColumnConstraint: "ZEROFILL", exp.InvisibleColumnConstraint: "INVISIBLE column",
}  # fmt: skip


def check_character_set(name: str) -> None:
    """Texts are UTF-8 and compare by bytes. Raises 1235 for what would compare otherwise."""
    if name.lower() not in _BINARY_OR_UTF8:
        raise not_supported(f"character set or collation {name}: texts are utf8mb4 and compare as utf8mb4_bin")


def with_default(column: Column, default: exp.Expr | None) -> Column:
    """The column with this DEFAULT. Raises 1067, 1101, 1235."""
    if default is None or isinstance(default, exp.Null):
        if default is not None and not column.nullable:
            raise _invalid_default(column.name)
        return column
    if column.type.kind in _NO_DEFAULT_KINDS:
        raise SqlError(
            ER_BLOB_CANT_HAVE_DEFAULT, f"BLOB, TEXT or JSON column '{column.name}' can't have a default value"
        )
    if sequence_call(default) is not None:
        return replace(column, default_sql=sequence_default(default))
    if moment_function(default) is not None:
        return replace(column, default_sql=_moment_sql(column.name, column.type, default))
    if isinstance(default, exp.Paren):
        raise not_supported(f"DEFAULT with an expression (column {column.name})")
    return replace(column, default=_constant_default(column, default))


def _constant_default(column: Column, default: exp.Expr) -> Scalar:
    try:
        value = constant_value(default, Environment())
        return converter_for(column)(value, 1)
    except (NotCompilable, SqlError) as error:
        raise _invalid_default(column.name) from error


def _moment_sql(name: str, kind: ColumnType, node: exp.Expr | None) -> str | None:
    """CURRENT_TIMESTAMP for a DATETIME or TIMESTAMP column, with the column's digits. Raises 1067 for others."""
    if node is None:
        return None
    if kind.kind not in (Kind.DATETIME, Kind.TIMESTAMP) or moment_function(node) is None:
        raise _invalid_default(name)
    return f"CURRENT_TIMESTAMP({kind.scale})" if kind.scale else "CURRENT_TIMESTAMP"


def _invalid_default(name: str) -> SqlError:
    return SqlError(ER_INVALID_DEFAULT, f"Invalid default value for '{name}'")

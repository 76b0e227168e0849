"""What the conditions of a WHERE say of single columns: the values one can have, or from where to where it goes.

Read are the conjuncts that compare a column with constants: =, IN, OR of equalities, IS NULL, <, <=, >, >=, BETWEEN,
and LIKE by what its pattern begins with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from rutile.expressions.compile import Environment, NotCompilable, constant_value
from rutile.planner.key_values import NotExact, key_value
from rutile.planner.like_prefix import like_prefix, text_after
from rutile_coprocessor.schema import Column, Scalar


@dataclass(slots=True)
class Bounds:
    """What conditions say of one column."""

    equal: list[Scalar] | None = None
    """The values it can have; None when not limited to some."""
    low: Scalar = None
    low_open: bool = False
    high: Scalar = None
    high_open: bool = False
    conditions: int = 0
    """How many conditions are wholly told by this."""

    @property
    def is_bounded(self) -> bool:
        return self.low is not None or self.high is not None


@dataclass(slots=True)
class Conditions:
    """What conditions say of some columns, as far as it was read."""

    columns: tuple[Column, ...]
    with_nulls: bool
    """Whether IS NULL is one of the values that a column can be limited to."""
    environment: Environment = field(default_factory=Environment)
    by_column: dict[int, Bounds] = field(default_factory=dict)

    def read(self, condition: exp.Expr) -> bool:
        """Take in what `condition` says; whether it says no more than that."""
        column = _read(condition, self)
        if column is not None:
            self.of(column).conditions += 1
        return column is not None

    def of(self, column: Column) -> Bounds:
        return self.by_column.setdefault(column.id, Bounds())

    def column(self, node: exp.Expr) -> Column | None:
        """The key column that `node` is."""
        if not isinstance(node, exp.Column):
            return None
        name = node.name.lower()
        return next((column for column in self.columns if column.name.lower() == name), None)


def conjuncts(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    """The conditions that must all hold."""
    if condition is None:
        return
    if isinstance(condition, exp.And):
        yield from conjuncts(condition.this)
        yield from conjuncts(condition.expression)
    elif isinstance(condition, exp.Paren):
        yield from conjuncts(condition.this)
    else:
        yield condition


def column_bounds(
    columns: Sequence[Column], conditions: Iterable[exp.Expr]
) -> tuple[dict[int, Bounds], list[exp.Expr]]:
    """What `conditions` say of each of the columns, by id, and those that say something else, or more."""
    found = Conditions(tuple(columns), with_nulls=True)
    rest = [condition for condition in conditions if not found.read(condition)]
    return found.by_column, rest


def _read(condition: exp.Expr, found: Conditions) -> Column | None:
    """Take in what `condition` says; the column if it says no more than that."""
    if isinstance(condition, exp.Between):
        low = _bound(exp.GTE, condition.this, condition.args["low"], found)
        high = _bound(exp.LTE, condition.this, condition.args["high"], found)
        return low if low is not None and high is not None else None
    if isinstance(condition, exp.In):
        return _read_in(condition, found)
    if isinstance(condition, exp.Or):
        return _read_or(condition, found)
    if isinstance(condition, exp.Like | exp.Escape):
        return _read_like(condition, found)
    if isinstance(condition, exp.Is) and isinstance(condition.expression, exp.Null):
        return _read_null(condition, found)
    if type(condition) in _MIRRORED:
        left, right = condition.this, condition.expression
        if isinstance(left, exp.Column):
            return _bound(type(condition), left, right, found)
        if isinstance(right, exp.Column):
            return _bound(_MIRRORED[type(condition)], right, left, found)
    return None


def _read_or(condition: exp.Or, found: Conditions) -> Column | None:
    """a = 1 OR a = 2 OR ... as a IN (1, 2, ...)."""
    parts = [part.unnest() for part in condition.flatten()]
    columns = {
        part.this.name.lower() for part in parts if isinstance(part, exp.EQ) and isinstance(part.this, exp.Column)
    }
    if len(columns) == 1 and all(isinstance(part, exp.EQ) and isinstance(part.this, exp.Column) for part in parts):
        choices = [part.expression.copy() for part in parts]
        return _read_in(exp.In(this=parts[0].this.copy(), expressions=choices), found)
    return None


def _read_null(condition: exp.Is, found: Conditions) -> Column | None:
    column = found.column(condition.this)
    if column is None or not found.with_nulls:
        return None
    _limit_to(found.of(column), [None])
    return column


_MIRRORED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.EQ, exp.LT: exp.GT, exp.LTE: exp.GTE, exp.GT: exp.LT, exp.GTE: exp.LTE,
}  # fmt: skip


def _constant(column: Column, node: exp.Expr, environment: Environment) -> Scalar:
    """The value of a constant expression as a value of `column`. Raises NotExact if it is not exactly one."""
    if node.find(exp.Column):
        raise NotExact
    try:
        return key_value(column, constant_value(node, environment))
    except NotCompilable as error:
        raise NotExact from error


def _bound(comparison: type[exp.Expr], left: exp.Expr, right: exp.Expr, found: Conditions) -> Column | None:
    column = found.column(left)
    if column is None:
        return None
    try:
        value = _constant(column, right, found.environment)
    except NotExact:
        return None
    if column.type.is_enumerated and comparison is not exp.EQ:
        return None  # compared as texts, kept by number
    bounds = found.of(column)
    if comparison is exp.EQ:
        _limit_to(bounds, [value])
    elif comparison in (exp.GT, exp.GTE):
        if bounds.low is None or value >= bounds.low:  # type: ignore[operator]
            bounds.low_open = comparison is exp.GT or (bounds.low_open and value == bounds.low)
            bounds.low = value
    elif bounds.high is None or value <= bounds.high:  # type: ignore[operator]
        bounds.high_open = comparison is exp.LT or (bounds.high_open and value == bounds.high)
        bounds.high = value
    return column


def _read_like(condition: exp.Expr, found: Conditions) -> Column | None:
    """LIKE 'text%': from the text to before the first text that begins otherwise. Texts are in the order of their
    characters, which is that of their bytes, as LIKE compares them here."""
    escape = condition.expression if isinstance(condition, exp.Escape) else exp.Literal.string("\\")
    like = condition.this if isinstance(condition, exp.Escape) else condition
    column = found.column(like.this) if isinstance(like, exp.Like) else None
    if column is None or not column.type.is_character or column.type.is_enumerated or like.args.get("negate"):
        return None
    try:
        values = [constant_value(part, found.environment) for part in (like.expression, escape)]
    except NotCompilable:
        return None
    prefix = like_prefix(*values)
    if prefix is None or not prefix.text:
        return None
    if prefix.is_whole:
        _bound(exp.EQ, like.this, exp.Literal.string(prefix.text), found)
        return None  # what = says of spaces at the end is not what LIKE says
    low = _bound(exp.GTE, like.this, exp.Literal.string(prefix.text), found)
    after = text_after(prefix.text)
    high = _bound(exp.LT, like.this, exp.Literal.string(after), found) if after else None
    return column if prefix.is_all and low is not None and high is not None else None


def _read_in(condition: exp.In, found: Conditions) -> Column | None:
    column = found.column(condition.this)
    if column is None or condition.args.get("query") or not condition.expressions:
        return None
    try:
        values = [_constant(column, choice, found.environment) for choice in condition.expressions]
    except NotExact:
        return None
    _limit_to(found.of(column), values)
    return column


def _limit_to(bounds: Bounds, values: list[Scalar]) -> None:
    bounds.equal = values if bounds.equal is None else [value for value in bounds.equal if value in values]

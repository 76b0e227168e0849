"""Partial forms of aggregates, and how they merge.

| aggregate                | partial, per store and group | merge                                              |
|--------------------------|------------------------------|----------------------------------------------------|
| COUNT                    | itself                       | SUM, 0 for none, as BIGINT                         |
| COUNT_IF                 | itself                       | SUM as HUGEINT: NULL for none, as DuckDB has it    |
| SUM                      | SUM                          | SUM: exact, decimals stay DECIMAL(38, s)           |
| AVG                      | SUM and COUNT                | SUM / SUM, as DOUBLE (as DuckDB's AVG is)          |
| MIN, MAX, BIT_AND, ...   | itself                       | itself                                             |
| VARIANCE, STDDEV and kin | COUNT, AVG, COUNT * VAR_POP  | the moments of two parts at a time (Chan et al.)   |
| APPROX_PERCENTILE        | COUNT, up to 512 values      | the value with that share of the weights below it  |
| any with DISTINCT        | its arguments, as group keys | itself: other partials are just grouped finer      |
| APPROX_COUNT_DISTINCT    | its argument, as a group key | itself: the sketch of a set, however it was cut    |
| GROUP_CONCAT(DISTINCT)   | its argument, as a group key | itself, ordered by what it joins                   |

A part's values for a percentile are all it has, or those at 512 equal distances, each with the weight of as many: so
the exact answer's rank is missed by one in 512 of the values in such parts at most, and by none where all are small.

Moments, not sums of squares: those of large numbers close to each other cancel. Everything else (medians, quantiles,
GROUP_CONCAT of all values, lists and objects, correlations, ...) has no partial form that is smaller than its rows,
exact, and free of their order; such a query takes another plan, and is computed from the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sqlglot import exp

SOURCES = ("with_", "from_", "joins", "where")
"""The clauses of a SELECT that say which rows there are."""
Partial = Callable[[exp.Expr], exp.Column]
"""Adds a partial expression to the fragment, and gives the column that will hold it."""

_SELF_MERGING = (
    exp.Min, exp.Max, exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.BitwiseXorAgg, exp.LogicalAnd, exp.LogicalOr,
    exp.AnyValue,
)  # fmt: skip
APPROXIMATE = "approximate"
"""In a quantile's `meta`: one merged from points will do."""
POINTS = 512
"""Values a part sends for such a quantile, at most."""
_SPREADS: dict[type[exp.Expr], str] = {
    exp.Variance: "rutile_var_samp",
    exp.VariancePop: "rutile_var_pop",
    exp.Stddev: "rutile_stddev_samp",
    exp.StddevSamp: "rutile_stddev_samp",
    exp.StddevPop: "rutile_stddev_pop",
}
"""The macro of the prelude that makes each out of the parts' moments."""
_MERGED_ONCE_MORE: tuple[type[exp.Expr], ...] = (exp.Count, exp.CountIf, exp.Sum, exp.Avg, *_SELF_MERGING, *_SPREADS)


def split_grouping(select: exp.Select) -> tuple[exp.Select, exp.Select] | None:
    """(fragment, merge without its FROM) of an aggregation, or None if it is none or cannot be split."""
    keys = _group_keys(select)
    if keys is None or not (keys or any(part.find(exp.AggFunc) for part in computed(select))):
        return None
    split = _Grouping(keys)
    merge = exp.Select(expressions=[split.merged_projection(projection) for projection in select.expressions])
    for part in ("having", "order"):
        clause = select.args.get(part)
        merge.set(part, None if clause is None else split.merged(clause))
    for part in ("distinct", "limit", "offset"):
        clause = select.args.get(part)
        merge.set(part, None if clause is None else clause.copy())
    aliases = {projection.alias for projection in select.expressions if isinstance(projection, exp.Alias)}
    if split.refused or _foreign_columns(merge, split, aliases):
        return None
    if keys:
        merge.set("group", exp.Group(expressions=[split.key_column(place) for place in range(len(keys))]))
    return split.fragment(select), merge


def computed(select: exp.Select) -> list[exp.Expr]:
    """What a SELECT computes of the rows that its sources leave; subqueries of those are not part of it."""
    clauses = [select.args.get(part) for part in ("group", "having", "qualify", "order")]
    return [*select.expressions, *(clause for clause in clauses if clause is not None)]


def _group_keys(select: exp.Select) -> list[exp.Expr] | None:
    """The GROUP BY expressions, ordinals and aliases resolved; None for ROLLUP and its kin."""
    group = select.args.get("group")
    if group is None:
        return []
    if group.find(exp.Rollup, exp.Cube, exp.GroupingSets) or group.args.get("all"):
        return None
    aliased = {item.alias: item.this for item in select.expressions if isinstance(item, exp.Alias)}
    keys = []
    for key in group.expressions:
        if isinstance(key, exp.Literal) and key.is_int and 0 < int(key.name) <= len(select.expressions):
            key = select.expressions[int(key.name) - 1].unalias()
        elif isinstance(key, exp.Column) and not key.table and key.name in aliased:
            shadowed = any(column.name == key.name for column in aliased[key.name].find_all(exp.Column))
            key = key if shadowed else aliased[key.name]
        keys.append(key)
    return keys


def _foreign_columns(merge: exp.Select, split: _Grouping, aliases: set[str]) -> bool:
    """Whether the merge mentions columns that the fragment does not give (a column that is not grouped, a star)."""
    known = split.names | aliases
    for column in merge.find_all(exp.Column):
        if column.name not in known or column.table:
            return True
    return any(projection.is_star for projection in merge.expressions)


def output_name(projection: exp.Expr) -> str:
    """The name of a result column: its alias, or the column's own, or the text of the expression."""
    if isinstance(projection, exp.Alias | exp.Column):
        return projection.alias_or_name
    return projection.sql(dialect="duckdb")


class _Grouping:
    """Collects what the fragment computes, while the clauses of the query are rewritten for the merge."""

    def __init__(self, keys: list[exp.Expr]) -> None:
        self._keys = keys
        self._distinct: list[exp.Expr] = []
        self._partials: list[exp.Expr] = []
        self.refused = False

    @property
    def names(self) -> set[str]:
        counts = (("k", self._keys), ("d", self._distinct), ("p", self._partials))
        return {f"rutile_{letter}{place}" for letter, items in counts for place in range(len(items))}

    def key_column(self, place: int) -> exp.Column:
        return exp.column(f"rutile_k{place}", quoted=True)

    def merged_projection(self, projection: exp.Expr) -> exp.Expr:
        return exp.alias_(self.merged(projection.unalias()), output_name(projection), quoted=True)

    def merged(self, clause: exp.Expr) -> exp.Expr:
        """The clause over the fragment's columns."""
        return clause.copy().transform(self._merged_node, copy=False)

    def _merged_node(self, node: exp.Expr) -> exp.Expr:
        if node in self._keys:
            return self.key_column(self._keys.index(node))
        if isinstance(node, exp.Filter):
            return self._merged_aggregate(node.this, node.expression)
        if isinstance(node, exp.AggFunc | exp.AnonymousAggFunc):
            return self._merged_aggregate(node, None)
        return node

    def _merged_aggregate(self, aggregate: exp.Expr, condition: exp.Expr | None) -> exp.Expr:
        argument = aggregate.args.get("this")
        if condition is None and isinstance(aggregate, exp.ApproxDistinct):
            return self._merged_of_set(aggregate, [aggregate.this])
        if condition is None and isinstance(aggregate, exp.Quantile) and aggregate.meta.get(APPROXIMATE):
            return self._merged_percentile(aggregate)
        if condition is None and isinstance(aggregate, exp.GroupConcat) and _joined_set(aggregate):
            return self._merged_of_set(aggregate, _joined_set(aggregate))
        plain = isinstance(aggregate, _MERGED_ONCE_MORE) and not isinstance(argument, exp.Order | exp.HavingMax)
        if not plain or len(list(_arguments(aggregate))) > 1 or (condition and isinstance(argument, exp.Distinct)):
            self.refused = True
            return aggregate
        if isinstance(argument, exp.Distinct):
            return self._merged_distinct(aggregate, argument)

        def partial(expression: exp.Expr) -> exp.Column:
            filtered = exp.Filter(this=expression, expression=condition.copy()) if condition else expression
            return _placed(self._partials, filtered, "p")

        return _merge_of(aggregate, partial)

    def _merged_percentile(self, aggregate: exp.Quantile) -> exp.Expr:
        count = _placed(self._partials, _count_of(aggregate.this), "p")
        points = _placed(self._partials, _points_of(aggregate.this), "p")
        parts = _gathered({"n": count, "points": points}, count)
        return exp.func("rutile_merged_percentile", parts, aggregate.args["quantile"].copy())

    def _merged_distinct(self, aggregate: exp.Expr, argument: exp.Distinct) -> exp.Expr:
        columns = [_placed(self._distinct, value, "d") for value in argument.expressions]
        merged = aggregate.copy()
        merged.set("this", exp.Distinct(expressions=columns))
        return merged

    def _merged_of_set(self, aggregate: exp.Expr, values: list[exp.Expr]) -> exp.Expr:
        """An aggregate that depends on nothing but which values there are, over those the fragments found."""
        found = [(value.copy(), _placed(self._distinct, value, "d")) for value in values]

        def placed(node: exp.Expr) -> exp.Expr:
            return next((column.copy() for value, column in found if node == value), node)

        return aggregate.copy().transform(placed)

    def fragment(self, select: exp.Select) -> exp.Select:
        groups = [*self._keys, *self._distinct]
        names = [f"rutile_k{place}" for place in range(len(self._keys))]
        names += [f"rutile_d{place}" for place in range(len(self._distinct))]
        names += [f"rutile_p{place}" for place in range(len(self._partials))]
        values = [value.copy() for value in (*groups, *self._partials)]
        pairs = zip(values, names, strict=True)
        fragment = exp.Select(expressions=[exp.alias_(value, name, quoted=True) for value, name in pairs])
        sources = select.copy()
        for part in SOURCES:
            fragment.set(part, sources.args.get(part))
        if groups:
            places = [exp.Literal.number(place + 1) for place in range(len(groups))]
            fragment.set("group", exp.Group(expressions=places))
        return fragment


def _joined_set(aggregate: exp.GroupConcat) -> list[exp.Expr]:
    """The one value of GROUP_CONCAT(DISTINCT value ORDER BY value); none where it asks for anything else."""
    ordered = aggregate.this
    if not isinstance(ordered, exp.Order) or not isinstance(ordered.this, exp.Distinct):
        return []
    values: list[exp.Expr] = ordered.this.expressions
    is_own_order = len(values) == 1 and [item.this for item in ordered.expressions] == values
    return values if is_own_order and not isinstance(values[0], exp.Literal) else []


def _arguments(aggregate: exp.Expr) -> Iterable[exp.Expr]:
    for part in ("this", "expressions", "expression"):
        value = aggregate.args.get(part)
        yield from value if isinstance(value, list) else [value] if isinstance(value, exp.Expr) else []


def _placed(items: list[exp.Expr], value: exp.Expr, letter: str) -> exp.Column:
    """The column of `value` in `items`, added if it is new."""
    if value not in items:
        items.append(value.copy())
    return exp.column(f"rutile_{letter}{items.index(value)}", quoted=True)


def _merge_of(aggregate: exp.Expr, partial: Partial) -> exp.Expr:
    if type(aggregate) in _SPREADS:
        return _merged_spread(aggregate, partial)
    if isinstance(aggregate, exp.CountIf):
        return exp.cast(exp.Sum(this=partial(aggregate)), "hugeint", dialect="duckdb")
    if isinstance(aggregate, exp.Count):
        counts = exp.Coalesce(this=exp.Sum(this=partial(aggregate)), expressions=[exp.Literal.number(0)])
        return exp.cast(counts, "bigint", dialect="duckdb")
    if isinstance(aggregate, exp.Avg):
        total = exp.cast(exp.Sum(this=partial(exp.Sum(this=aggregate.this.copy()))), "double", dialect="duckdb")
        count = exp.Sum(this=partial(exp.Count(this=aggregate.this.copy(), big_int=True)))
        return exp.paren(exp.Div(this=total, expression=count))
    merged = aggregate.copy()
    merged.set("this", partial(aggregate))
    return merged


def _merged_spread(aggregate: exp.Expr, partial: Partial) -> exp.Expr:
    value = aggregate.this
    count = partial(exp.Count(this=value.copy(), big_int=True))
    mean = partial(exp.Avg(this=exp.cast(value.copy(), "double", dialect="duckdb")))
    spread = partial(exp.VariancePop(this=value.copy()))
    moments = {"n": count, "mean": mean, "spread": exp.Mul(this=spread, expression=count.copy())}
    return exp.func(_SPREADS[type(aggregate)], _gathered(moments, count))


def _count_of(value: exp.Expr) -> exp.Expr:
    return exp.Count(this=value.copy(), big_int=True)


def _points_of(value: exp.Expr) -> exp.Expr:
    """All values of few, in order; else those at equal distances."""
    limit = exp.Literal.number(POINTS)
    shares = exp.Array(expressions=[exp.Literal.number(str(place / POINTS)) for place in range(1, POINTS + 1)])
    few = exp.LTE(this=_count_of(value), expression=limit)
    return (
        exp.case()
        .when(few, exp.Min(this=value.copy(), expressions=[limit.copy()]))
        .else_(exp.Quantile(this=value.copy(), quantile=shares))
    )


def _gathered(state: Mapping[str, exp.Expr], count: exp.Expr) -> exp.Expr:
    """The list of the parts' states, without those of no rows."""
    part = exp.Struct(
        expressions=[exp.PropertyEQ(this=exp.to_identifier(name), expression=each) for name, each in state.items()]
    )
    has_rows = exp.Where(this=exp.GT(this=count.copy(), expression=exp.Literal.number(0)))
    return exp.Filter(this=exp.ArrayAgg(this=part), expression=has_rows)

"""Bounds on what lambdas make: `list_transform(range(n), x -> range(m))` makes n times m elements in one step.

DuckDB runs a lambda over all elements of a vector's lists at once, outside its memory limit, and cannot be interrupted
meanwhile. Three things grow there:

* what the body makes by a number (`size_bounds`): its bound is shared among the elements of the lists gone through;
* a captured value that the body gives back once for each element: a list may not be given back, a text only if all
  copies together keep the bound of a text;
* the accumulator of a fold that is doubled in each step: it may stand in the body's result once.

Captured values that are only compared, counted or looked into do not grow and are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from rutile_proto.errors import FragmentRefused

MAX_NESTED = 3
"""Lambdas within lambdas: each repeats the text of the lists it goes through."""
MAX_COPIED = 1 << 18
"""Bytes that all copies of a captured text may have."""

LAMBDA_MACROS = (
    "rutile_captured(c, n) AS CASE WHEN contains(typeof(c), '[') THEN error('a lambda may not give back a list from"
    " outside of it for each element') WHEN typeof(c) IN ('VARCHAR', 'JSON', 'BLOB') AND"
    f" CAST(strlen(CAST(c AS VARCHAR)) AS DOUBLE) * n > {MAX_COPIED} THEN error('a lambda would make copies of more"
    f" than {MAX_COPIED} bytes') ELSE c END",
)

_SHRINKING = (
    exp.Predicate, exp.Not, exp.And, exp.Or, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.ArrayContains,
    exp.ArrayContainsAll, exp.ArrayOverlaps, exp.ArraySize, exp.ArrayPosition, exp.ArrayMin, exp.ArrayMax, exp.ArraySum,
    exp.Length, exp.StrPosition, exp.StartsWith, exp.EndsWith, exp.Contains, exp.RegexpLike,
)  # fmt: skip
_FOLDS = frozenset({"list_reduce", "array_reduce", "reduce"})


def lists_gone_through(node: exp.Expr) -> list[exp.Expr]:
    """The lists of the lambdas in whose bodies `node` stands, inner ones first. Raises FragmentRefused."""
    found, below = [], node
    while below.parent is not None:
        above = below.parent
        if isinstance(above, exp.Lambda) and above.this is below:
            found.append(_list_of(above))
        below = above
    if len(found) > MAX_NESTED:
        raise FragmentRefused(f"lambdas are nested deeper than {MAX_NESTED} in a fragment")
    return found


def shared_among(most: int, lists: Sequence[exp.Expr]) -> exp.Expr:
    """`most`, divided by the number of times a body runs for one row that goes through `lists`."""
    bound: exp.Expr = exp.Literal.number(most)
    for each in lists:
        bound = exp.func("divide", bound, exp.func("greatest", exp.func("len", each.copy()), exp.Literal.number(1)))
    return bound


def check_lambdas(query: exp.Expr) -> None:
    """Wraps captured values that bodies give back; refuses folds that double. Raises FragmentRefused."""
    bodies = [each for each in query.find_all(exp.Lambda) if each.parent is not None]
    for each in bodies:
        if _is_fold(each):
            _check_fold(each)
    captured = [column for each in bodies for column in each.this.find_all(exp.Column) if _is_given_back(column)]
    for column in {id(each): each for each in captured}.values():
        counts = [exp.func("len", gone.copy()) for gone in lists_gone_through(column)]
        times: exp.Expr = counts[0]
        for other in counts[1:]:
            times = exp.Mul(this=times, expression=other)
        column.replace(exp.func("rutile_captured", column.copy(), times))


def _list_of(body: exp.Lambda) -> exp.Expr:
    """The list a lambda goes through."""
    function = body.parent
    given = None if function is None else function.args.get("this")
    first = given if isinstance(given, exp.Expr) else next(iter(function.expressions if function else ()), None)
    if first is None or first is body:
        raise FragmentRefused("a lambda stands where none is allowed in a fragment")
    return first


def _is_given_back(node: exp.Expr) -> bool:
    """Whether the value becomes part of the result of the lambda it stands in."""
    return not any(isinstance(above, _SHRINKING) for above in _above(node))


def _above(node: exp.Expr) -> Iterator[exp.Expr]:
    above = node.parent
    while above is not None and not isinstance(above, exp.Lambda):
        yield above
        above = above.parent


def _is_fold(body: exp.Lambda) -> bool:
    function = body.parent
    return isinstance(function, exp.Reduce) or (isinstance(function, exp.Anonymous) and function.name.lower() in _FOLDS)


def _check_fold(body: exp.Lambda) -> None:
    accumulator = body.expressions[0].name.lower()
    places = [each for each in body.this.find_all(exp.Identifier, exp.Column) if each.name.lower() == accumulator]
    if sum(_is_given_back(each) and not isinstance(each.parent, exp.Column) for each in places) > 1:
        raise FragmentRefused(f"a fold may use {accumulator} once in what it gives back: it would double in each step")

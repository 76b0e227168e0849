"""Bounds on values whose size is only a number in the text: REPEAT('x', 1e9), LPAD, RANGE, PRINTF('%2000000000d').

DuckDB makes such a value outside its memory limit, and cannot be interrupted while it makes a vector of them. So the
number is wrapped: where it would make too many bytes or elements the query ends with an error that says so. What is
made of constants is made once, and may have MAX_MADE of them. What depends on a row is made two thousand times in a
vector, so a value of it may have less (`MAX_LIST`, `MAX_TEXT`), and within a lambda so much less that all that the
lambda makes of one list keeps that bound (`lambda_bounds`). What several vectors make is caught by the watch on the
process's memory (`watchdog`), between them.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from rutile_coprocessor.lambda_bounds import LAMBDA_MACROS, check_lambdas, lists_gone_through, shared_among
from rutile_proto.errors import FragmentRefused

MAX_MADE = 1 << 20
"""Bytes of a text, or elements of a list, that a function may make of little."""
MAX_LIST = 1 << 15
"""Elements of a list made for one row."""
MAX_TEXT = 1 << 18
"""Bytes of a text made for one row."""
MAX_MAKERS = 100
"""Places in a fragment where something large may be made."""
MAX_COMPARED = 1000
"""Bytes of a text in functions that take the product of two lengths in time."""
MAX_NESTED_REPEATS = 3
"""Each mentions its text twice once it is bounded."""

_TOO_LARGE = "error('a function would make a value of more than ' || m || ' bytes or elements')"
MACROS = (
    f"rutile_bounded(n, m) AS CASE WHEN n > m THEN {_TOO_LARGE} ELSE n END",
    f"rutile_bounded_times(s, n, m) AS CASE WHEN n > m OR strlen(CAST(s AS VARCHAR)) * CAST(n AS DOUBLE) >"
    f" m THEN {_TOO_LARGE} ELSE n END",
    "rutile_bounded_text(s, t, m) AS CASE WHEN strlen(t) > 16 AND CAST(strlen(t) AS DOUBLE) * strlen(s) > m"
    f" THEN {_TOO_LARGE} ELSE t END",
    f"rutile_short(s) AS CASE WHEN strlen(s) > {MAX_COMPARED} THEN error('texts of more than {MAX_COMPARED} bytes are"
    " not compared letter by letter') ELSE s END",
    # A step of zero makes nothing, whatever its ends are.
    "rutile_bounded_end(a, b, s, m) AS CASE WHEN s <> 0 AND abs(CAST(b AS DOUBLE) - CAST(a AS DOUBLE)) > m *"
    f" abs(CAST(s AS DOUBLE)) THEN {_TOO_LARGE} ELSE b END",
    "rutile_bounded_time(a, b, s, m) AS CASE WHEN epoch_us(s) <> 0 AND abs(CAST(epoch_us(b) AS DOUBLE) - epoch_us(a)) >"
    f" m * abs(CAST(epoch_us(s) AS DOUBLE)) THEN {_TOO_LARGE} ELSE b END",
    "rutile_bounded_format(f) AS CASE WHEN regexp_matches(f, '[0-9]{5,}|[*]|[{][^}]*[{]') THEN"
    " error('a format would make a value of many bytes') ELSE f END",
    *LAMBDA_MACROS,
)

_SIZE_PLACES = {"list_resize": 1, "array_resize": 1, "to_base": 2, "bar": 3, "equi_width_bins": 2, "lpad": 1, "rpad": 1}
"""The argument of a function that says how much it makes."""


_PRODUCTS = frozenset({
    "levenshtein", "damerau_levenshtein", "editdist3", "jaro_similarity", "jaro_winkler_similarity", "jaccard",
})  # fmt: skip


def bound_sizes(query: exp.Expr) -> None:
    """Wraps, in the tree, every number that says how large a value becomes. Raises FragmentRefused."""
    makers = [(node, rule) for node in query.walk() if (rule := _rule_of(node)) is not None]
    if len(makers) > MAX_MAKERS:
        raise FragmentRefused(f"{len(makers)} functions that make texts or lists; a fragment may have {MAX_MAKERS}")
    check_lambdas(query)
    limits = [_limit(node) for node, _ in makers]
    for (node, rule), limit in zip(makers, limits, strict=True):
        rule(node, limit)


def _rule_of(node: exp.Expr) -> Callable[[exp.Expr, exp.Expr], None] | None:
    if isinstance(node, exp.Anonymous) and not (_SIZES | _PRODUCTS).intersection([node.name.lower()]):
        return None
    return _RULES.get(type(node))


def _limit(node: exp.Expr) -> exp.Expr:
    """How much the function may make; of the tree as it came."""
    lists = lists_gone_through(node)
    if not lists and node.find(exp.Column) is None:
        return exp.Literal.number(MAX_MADE)
    is_list = isinstance(node, exp.GenerateSeries) or node.name.lower() in _LIST_NAMES
    return shared_among(MAX_LIST if is_list else MAX_TEXT, lists)


def _bound_repeat(node: exp.Expr, limit: exp.Expr) -> None:
    depth, above = 0, node.parent
    while above is not None:
        depth += isinstance(above, exp.Repeat)
        above = above.parent
    if depth >= MAX_NESTED_REPEATS:
        raise FragmentRefused(f"REPEAT is nested deeper than {MAX_NESTED_REPEATS} in a fragment")
    node.set("times", exp.func("rutile_bounded_times", node.this.copy(), node.args["times"], limit))


def _bound_replace(node: exp.Expr, limit: exp.Expr) -> None:
    """Each letter may become a long text."""
    replacement = node.args.get("replacement")
    if replacement is not None:
        node.set("replacement", exp.func("rutile_bounded_text", node.this.copy(), replacement, limit))


def _bound_compared(node: exp.Expr, limit: exp.Expr) -> None:
    for part in ("this", "expression"):
        node.set(part, exp.func("rutile_short", node.args[part]))


def _bound_pad(node: exp.Expr, limit: exp.Expr) -> None:
    node.set("expression", exp.func("rutile_bounded", node.expression, limit))


def _bound_series(node: exp.Expr, limit: exp.Expr) -> None:
    step = node.args.get("step")
    is_time = step is not None and (isinstance(step, exp.Interval) or step.find(exp.Interval) is not None)
    name = "rutile_bounded_time" if is_time else "rutile_bounded_end"
    start = node.args.get("start") or exp.Literal.number(0)
    node.set("end", exp.func(name, start.copy(), node.args["end"], (step or exp.Literal.number(1)).copy(), limit))


def _bound_format(node: exp.Expr, limit: exp.Expr) -> None:
    node.set("this", exp.func("rutile_bounded_format", node.this))


def _bound_named(node: exp.Expr, limit: exp.Expr) -> None:
    name, arguments = node.name.lower(), node.expressions
    place = _SIZE_PLACES.get(name)
    if place is not None and place < len(arguments):
        arguments[place].replace(exp.func("rutile_bounded", arguments[place].copy(), limit))
    elif name in _PRODUCTS:
        for argument in arguments:
            argument.replace(exp.func("rutile_short", argument.copy()))
    elif name in ("printf", "format") and arguments:
        arguments[0].replace(exp.func("rutile_bounded_format", arguments[0].copy()))


_SIZES = frozenset((*_SIZE_PLACES, "printf", "format"))
_LIST_NAMES = frozenset({"list_resize", "array_resize", "equi_width_bins"})

_RULES: dict[type[exp.Expr], Callable[[exp.Expr, exp.Expr], None]] = {
    exp.Repeat: _bound_repeat,
    exp.Pad: _bound_pad,
    exp.Replace: _bound_replace,
    exp.RegexpReplace: _bound_replace,
    exp.Levenshtein: _bound_compared,
    exp.JarowinklerSimilarity: _bound_compared,
    exp.GenerateSeries: _bound_series,
    exp.Format: _bound_format,
    exp.Anonymous: _bound_named,
}

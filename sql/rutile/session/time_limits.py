"""How long a query may run: MAX_EXECUTION_TIME(n) in its hints, or the variable of that name. In ms; 0: no limit.

As in MySQL it is a matter of SELECTs alone; the hint goes before the variable, and one that makes no sense is ignored.
"""

from __future__ import annotations

from sqlglot import exp

from rutile.session.variables import SessionVariables

HINT = "max_execution_time"


def limit_ms(query: exp.Expr, variables: SessionVariables) -> int:
    """What limits this query."""
    hinted = _hinted(query)
    return variables.number(HINT) if hinted is None else hinted


def _hinted(query: exp.Expr) -> int | None:
    hints = query.args.get("hint")
    for hint in hints.expressions if hints is not None else []:
        values = hint.expressions if isinstance(hint, exp.Anonymous) and hint.name.lower() == HINT else []
        if len(values) == 1 and isinstance(values[0], exp.Literal) and values[0].name.isdigit():
            return int(values[0].name)
    return None

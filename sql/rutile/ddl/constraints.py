"""CHECKs that come to a table with rows, and go.

A CHECK is in the table's definition first, so that no front end writes a row that fails it; then the rows there are are
looked at, and if one fails the CHECK is taken away again. Whatever happens in between (the front end that does it may
die), no row is written that fails a CHECK the definition has. MODIFY ... NOT NULL goes the same way: a CHECK that the
column is not NULL stands in for it while the rows are looked at.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from sqlglot import exp

from rutile.catalog.model import TableInfo
from rutile.catalog.rules import CheckConstraint
from rutile.errors import SqlError
from rutile.expressions import semantics
from rutile.expressions.compile import Environment
from rutile.parse.mysql_text import mysql_text
from rutile.rows.access import TableAccess
from rutile.rows.row_rules import ER_CHECK_VIOLATED, compile_rule
from rutile.session.storage import KvSnapshot

ER_CHECK_DUP_NAME = 3822
ER_CHECK_NOT_FOUND = 3821
PAGE = 2_048


def new_check(info: TableInfo, name: str | None, condition: exp.Expr) -> CheckConstraint:
    """The constraint, named if it has no name. Raises 1054, 1235, 3763, 3822."""
    taken = {each.name.lower() for each in info.rules.checks}
    numbered = (f"{info.schema.name}_chk_{number}" for number in itertools.count(1))
    chosen = name or next(each for each in numbered if each.lower() not in taken)
    if chosen.lower() in taken:
        raise SqlError(ER_CHECK_DUP_NAME, f"Duplicate check constraint name '{chosen}'.")
    check = CheckConstraint(chosen, mysql_text(condition.unnest()))
    compile_rule(info, check.sql)
    return check


def with_check(info: TableInfo, check: CheckConstraint) -> TableInfo:
    """The table with one CHECK more."""
    return replace(info, rules=replace(info.rules, checks=(*info.rules.checks, check)))


def without_check(info: TableInfo, name: str) -> TableInfo:
    """The table with one CHECK less. Raises 3821."""
    kept = tuple(each for each in info.rules.checks if each.name.lower() != name.lower())
    if len(kept) == len(info.rules.checks):
        raise SqlError(ER_CHECK_NOT_FOUND, f"Check constraint '{name}' is not found in the table.")
    return replace(info, rules=replace(info.rules, checks=kept))


async def check_rows(info: TableInfo, check: CheckConstraint, snapshot: KvSnapshot) -> None:
    """Look at every row. Raises 3819 at the first that fails."""
    table, holds, environment = TableAccess(info), compile_rule(info, check.sql), Environment()
    start, end = table.range
    while page := await snapshot.scan(start, end, PAGE):
        for _, value in page:
            found = holds(table.rows.decode_row(value), environment)
            if found is not None and not semantics.truth(found):
                raise SqlError(ER_CHECK_VIOLATED, f"Check constraint '{check.name}' is violated.")
        start = page[-1][0] + b"\0"

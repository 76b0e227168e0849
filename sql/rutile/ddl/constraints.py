"""CHECKs and foreign keys that come to a table with rows, and go.

A CHECK is in the table's definition first, so that no front end writes a row that fails it; then the rows there are are
looked at, and if one fails the CHECK is taken away again. Whatever happens in between (the front end that does it may
die), no row is written that fails a CHECK the definition has. MODIFY ... NOT NULL goes the same way: a CHECK that the
column is not NULL stands in for it while the rows are looked at. A foreign key goes the same way, once the index is
there by which its rows are found.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from sqlglot import exp

from rutile.catalog.foreign_keys import ForeignKey
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.catalog.rules import CheckConstraint
from rutile.ddl.foreign_keys import ER_FK_DUP_NAME, check_links
from rutile.errors import SqlError
from rutile.execution.foreign_keys import require_parents
from rutile.expressions import semantics
from rutile.expressions.compile import Environment
from rutile.parse.mysql_text import mysql_text
from rutile.rows.access import TableAccess, TableAccesses
from rutile.rows.row_rules import ER_CHECK_VIOLATED, compile_rule
from rutile.session.storage import KvClient, KvSnapshot

ER_CANT_DROP_FIELD_OR_KEY = 1091
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
    for start, end in table.ranges:
        while page := await snapshot.scan(start, end, PAGE):
            for _, value in page:
                found = holds(table.rows.decode_row(value), environment)
                if found is not None and not semantics.truth(found):
                    raise SqlError(ER_CHECK_VIOLATED, f"Check constraint '{check.name}' is violated.")
            start = page[-1][0] + b"\0"


# --- foreign keys -----------------------------------------------------------------------------------------------------


def with_foreign_key(info: TableInfo, seen: CatalogSnapshot, foreign: ForeignKey, *, checked: bool) -> TableInfo:
    """The table with one foreign key more. Raises 1822, 1824, 1826, 3734, 3780."""
    if foreign.name.lower() in (each.name.lower() for each in info.foreign_keys):
        raise SqlError(ER_FK_DUP_NAME, f"Duplicate foreign key constraint name '{foreign.name}'")
    check_links(info, seen, [foreign], checked=checked)
    return replace(info, foreign_keys=(*info.foreign_keys, foreign))


def without_foreign_key(info: TableInfo, name: str) -> TableInfo:
    """The table with one foreign key less; its index stays. Raises 1091."""
    kept = tuple(each for each in info.foreign_keys if each.name.lower() != name.lower())
    if len(kept) == len(info.foreign_keys):
        message = f"Can't DROP '{name}'; check that column/key exists"
        raise SqlError(ER_CANT_DROP_FIELD_OR_KEY, message, sqlstate="42000")
    return replace(info, foreign_keys=kept)


async def check_children(
    info: TableInfo, foreign: ForeignKey, seen: CatalogSnapshot, client: KvClient, ts: int
) -> None:
    """Look for the parent of every row as of `ts`. Raises 1452 at the first that has none."""
    accesses = TableAccesses()
    table = accesses.of(info, seen)
    assert table.links is not None
    link = next(link for link in table.links.parents if link.foreign.name == foreign.name)
    snapshot = client.snapshot(ts)
    start, end = table.range
    while page := await snapshot.scan(start, end, PAGE):
        rows = [table.rows.decode_row(value) for _, value in page]
        await require_parents(link, rows, snapshot, ts)
        start = page[-1][0] + b"\0"

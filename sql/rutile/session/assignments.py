"""SET: of user variables, of the session's, and of the cluster's (SET GLOBAL, kept in the catalogue).

The values of one statement are all evaluated and looked at before the first is set, as in MySQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.catalog import meta
from rutile.catalog.model import CatalogSnapshot
from rutile.expressions.compile import Environment, NotCompilable, constant_value
from rutile.parse import statements as st
from rutile.session.storage import KvTransaction
from rutile.session.variables import SessionVariables, Value, checked_global

if TYPE_CHECKING:
    from rutile.session.session import Session


async def run_set(session: Session, statement: st.SetVariables, environment: Environment) -> None:
    """Raises 1193, 1227, 1228, 1229, 1231, 1235, 1238."""
    values = [(each, await _value(session, each.value, environment)) for each in statement.assignments]
    kept = [checked_global(each.name, value) for each, value in values if each.scope == "global"]
    _check(session.variables, values)
    if kept:
        await _keep(session, kept)
    for each, value in values:
        if each.scope == "user":
            session.user_variables[each.name] = value
        elif each.scope == "session":
            session.variables.set(each.name, value)
            session.tracked.changed(each.name)
            if each.name == "autocommit" and session.autocommit:
                await session.transaction.commit()


def _check(variables: SessionVariables, values: list[tuple[st.Assignment, object]]) -> None:
    """Try the session's on a copy: they raise there what they would raise half-way."""
    trial = SessionVariables(variables.cluster)
    for each, value in values:
        if each.scope == "session":
            trial.set(each.name, value)


async def _value(session: Session, expression: exp.Expr, environment: Environment) -> object:
    """An expression's value: by closures, or as a query."""
    try:
        return constant_value(expression, environment)
    except NotCompilable:
        return (await session.queries.constant(expression, environment)).rows()[0][0]


async def _keep(session: Session, values: list[tuple[str, Value | None]]) -> None:
    async def change(txn: KvTransaction, seen: CatalogSnapshot) -> None:
        for name, value in values:
            if value is None:
                txn.delete(meta.variable_key(name))
            else:
                txn.put(meta.variable_key(name), meta.variable_bytes(name, value))

    await session.shared.catalog.change(change)
    session.variables.cluster = (await session.shared.catalog.current()).variables

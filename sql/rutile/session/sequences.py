"""Sequences in a session's statements: NEXTVAL, LASTVAL and SETVAL are asked before one runs, and become numbers.

So a call must stand where it is asked once: in VALUES, or in a SELECT that reads no table. Over rows it is refused; a
DEFAULT asks for every row.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.catalog.sequence_info import MAX_VALUE, SequenceInfo
from rutile.catalog.sequences import (
    ER_UNKNOWN_SEQUENCE,
    alter_sequence,
    create_sequence,
    drop_sequence,
    find_sequence,
)
from rutile.errors import ER_TABLE_EXISTS, SqlError, not_supported
from rutile.expressions.compile import Environment, NotCompilable, constant_value
from rutile.parse import statements as st
from rutile.parse.mysql_text import mysql_text
from rutile.parse.sequences import CALLS, sequence_call, sequence_of_default
from rutile.session.definitions import database_of
from rutile.session.result import Result, SqlWarning

if TYPE_CHECKING:
    from rutile.session.session import Session

Asking = st.Query | st.Insert | st.Update | st.Delete
_MAY_CALL = re.compile("|".join((*CALLS, r"next\s+value")), re.IGNORECASE)


def may_call(sql: str) -> bool:
    """Whether the text could ask a sequence."""
    return _MAY_CALL.search(sql) is not None


class SessionSequences:
    """What one session asks of sequences."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._last: dict[int, int] = {}
        """The last value this session got, by sequence id."""

    async def default_values(self, default_sql: str, database: str, count: int) -> Sequence[int]:
        """The values of a DEFAULT, one a row. `database` is the table's."""
        name = sequence_of_default(default_sql)
        return await self._next(await self._find(st.TableName(name.name, name.database or database)), count)

    async def resolved(self, statement: Asking, environment: Environment) -> Asking:
        """The statement with a number for each call. Raises 1347, 4135, 4139; 1235 for a call over rows."""
        expression = statement.expression.copy()
        for node in list(expression.find_all(exp.Anonymous)):
            called = sequence_call(node)
            if called is None:
                continue
            if called[0] != "lastval" and not _is_asked_once(node):
                raise not_supported(f"{mysql_text(node)} for every row of a query")
            value = await self._value(called[0], await self._find(called[1]), node, environment)
            literal: exp.Expr = exp.Null() if value is None else exp.Literal.number(abs(value))
            node.replace(exp.Neg(this=literal) if value is not None and value < 0 else literal)
        return replace(statement, expression=expression)  # type: ignore[arg-type]  # of the same kind

    async def _value(self, call: str, info: SequenceInfo, node: exp.Anonymous, environment: Environment) -> int | None:
        if call == "lastval":
            return self._last.get(info.sequence_id)
        if call == "nextval":
            return (await self._next(info, 1))[0]
        try:
            wanted = constant_value(node.expressions[1], environment)
        except NotCompilable as error:
            raise not_supported(f"SETVAL with {error}") from error
        if not isinstance(wanted, int):
            raise not_supported(f"SETVAL with {wanted!r}")
        return await self._session.shared.catalog.sequences.set(info, wanted)

    async def _next(self, info: SequenceInfo, count: int) -> list[int]:
        values = await self._session.shared.catalog.sequences.next(info, count)
        self._last[info.sequence_id] = values[-1]
        return values

    async def _find(self, name: st.TableName) -> SequenceInfo:
        catalog, owner = self._session.shared.catalog, database_of(name, self._session.database)
        known = (await catalog.current()).sequence(owner, name.name)
        return known or find_sequence(await catalog.refresh(), owner, name.name)


def _is_asked_once(node: exp.Expr) -> bool:
    """In VALUES, or in a SELECT without FROM that is no part of another."""
    inner = node.find_ancestor(exp.Select, exp.Values, exp.Update, exp.Delete, exp.OnConflict)
    if isinstance(inner, exp.Values):
        return True
    return isinstance(inner, exp.Select) and not inner.args.get("from_") and inner.parent_select is None


def without_calls(expression: exp.Expr) -> exp.Expr:
    """The expression with 0 for each call: what a statement gives can be told without asking."""

    def plain(node: exp.Expr) -> exp.Expr:
        called = isinstance(node, exp.Anonymous) and node.name.lower() in CALLS
        return exp.cast(exp.Literal.number(0), "bigint") if called else node

    return expression.transform(plain)


# --- definitions ------------------------------------------------------------------------------------------------------


async def run_sequence_definition(
    session: Session, statement: st.CreateSequence | st.AlterSequence | st.DropSequence
) -> Result:
    """CREATE, ALTER, DROP SEQUENCE. Raises 1049, 1050, 1347, 4136, 4139."""
    catalog = session.shared.catalog
    match statement:
        case st.CreateSequence(name, options, lenient):
            wanted = _defined(SequenceInfo(0, database_of(name, session.database), name.name), options)
            return await _leniently(catalog.change(create_sequence(wanted)), ER_TABLE_EXISTS, lenient)
        case st.AlterSequence(name, options, lenient):
            restart = options.get("restart", False)
            assert not isinstance(restart, str)
            change = alter_sequence(
                database_of(name, session.database),
                name.name,
                lambda old: _with(old, options),
                True if restart is None else restart,
            )
            return await _leniently(catalog.change(change), ER_UNKNOWN_SEQUENCE, lenient)
    warnings: list[SqlWarning] = []
    for name in statement.names:
        change = drop_sequence(database_of(name, session.database), name.name)
        warnings += (await _leniently(catalog.change(change), ER_UNKNOWN_SEQUENCE, statement.if_exists)).warnings
    return Result(warnings=warnings)


async def _leniently(change: Awaitable[object], code: int, lenient: bool) -> Result:
    """IF [NOT] EXISTS makes a note of the error."""
    try:
        await change
    except SqlError as error:
        if error.code != code or not lenient:
            raise
        return Result(warnings=[SqlWarning("Note", error.code, error.message)])
    return Result()


def _defined(bare: SequenceInfo, options: Mapping[str, int | str | None]) -> SequenceInfo:
    """A new sequence: what is not said follows from its direction."""
    increment = options.get("increment", 1)
    assert isinstance(increment, int)
    if increment < 0:
        bare = replace(bare, increment=increment, low=-MAX_VALUE - 1, high=-1)
    made = _with(bare, options)
    if options.get("start") is None:
        made = replace(made, start=made.again)
    return made.checked()


def _with(info: SequenceInfo, options: Mapping[str, int | str | None]) -> SequenceInfo:
    given = {name: value for name, value in options.items() if value is not None and name != "restart"}
    return replace(info, **given)  # type: ignore[arg-type]

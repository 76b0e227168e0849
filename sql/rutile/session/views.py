"""CREATE VIEW and DROP VIEW."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from rutile import errors
from rutile.catalog.view_info import ViewInfo
from rutile.catalog.views import create_view, drop_view
from rutile.errors import SqlError
from rutile.parse import statements as st
from rutile.parse.mysql_text import mysql_text
from rutile.planner.views import in_database
from rutile.session.definitions import database_of
from rutile.session.result import Result, SqlWarning
from rutile_coprocessor.schema import Column, TableSchema

if TYPE_CHECKING:
    from rutile.session.session import Session

ER_VIEW_WRONG_LIST = 1353


async def run_create_view(session: Session, statement: st.CreateView) -> Result:
    """Make a view. Its query is planned, and run for no rows, so one that cannot run is refused here."""
    owner = database_of(statement.name, session.database)
    query = statement.query.copy()
    assert isinstance(query, exp.Query)
    if query.find(exp.Placeholder, exp.Parameter, exp.SessionParameter) is not None:
        raise errors.not_supported("a view of a statement with parameters or variables")
    in_database(query, session.database or owner)
    found = await session.queries.columns_of(query)
    names = list(statement.columns) or [name for name, _ in found]
    if len(names) != len(found):
        raise SqlError(ER_VIEW_WRONG_LIST, "View's SELECT and view's field list have different column counts")
    if len({name.lower() for name in names}) < len(names):
        twice = next(name for at, name in enumerate(names) if name.lower() in {each.lower() for each in names[:at]})
        raise SqlError(errors.ER_DUP_FIELDNAME, f"Duplicate column name '{twice}'")
    text = await _spelled_out(session, query)
    columns = tuple(Column(at, name, kind) for at, (name, (_, kind)) in enumerate(zip(names, found, strict=True), 1))
    view = ViewInfo(TableSchema(0, statement.name.name, columns, database=owner), text)
    await session.shared.catalog.change(create_view(view, or_replace=statement.or_replace))
    return Result()


async def _spelled_out(session: Session, query: exp.Query) -> str:
    """The query's text; with its stars replaced by the columns they mean today."""
    if any(item.is_star for item in query.selects):
        query = await session.queries.qualified(query)
    return mysql_text(query)


async def run_drop_view(session: Session, statement: st.DropView) -> Result:
    """Drop those that exist; then complain of the others."""
    missing: list[str] = []
    for view in statement.views:
        owner = database_of(view, session.database)
        try:
            await session.shared.catalog.change(drop_view(owner, view.name))
        except SqlError as error:
            if error.code != errors.ER_BAD_TABLE:
                raise
            missing.append(f"{owner}.{view.name}")
    if missing and not statement.if_exists:
        raise SqlError(errors.ER_BAD_TABLE, f"Unknown table '{','.join(missing)}'")
    return Result(warnings=[SqlWarning("Note", errors.ER_BAD_TABLE, f"Unknown table '{name}'") for name in missing])


def show_create_view(view: ViewInfo) -> str:
    """The statement that makes the view."""
    names = ", ".join(f"`{column.name}`" for column in view.schema.columns)
    head = "CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`%` SQL SECURITY DEFINER VIEW"
    return f"{head} `{view.schema.name}` ({names}) AS {view.sql}"

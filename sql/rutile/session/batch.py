"""BATCH ... LIMIT n: a data change too large for one transaction, as many small ones, each of its own.

The rows that the change would take are sorted by one column, the primary key's first unless another is named, and cut
into jobs of about n rows; rows with the same value stay together. A job is the statement with one condition more, so a
row that has been changed meanwhile so that WHERE no longer takes it is left alone. Nothing undoes the jobs before one
that fails: its error says which of how many it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.errors import SqlError, not_supported, unknown_column
from rutile.expressions.compile import Environment
from rutile.parse import statements as st
from rutile.parse.mysql_text import mysql_text
from rutile.planner.literals import literal_node
from rutile.session.result import Result, ResultColumn
from rutile_coprocessor.schema import HIDDEN_HANDLE, ColumnType, Kind

if TYPE_CHECKING:
    from rutile.session.session import Session

ER_BATCH = 8143
"""TiDB's number for a change in batches that cannot be run."""
_TEXT = ColumnType(Kind.VARCHAR, length=4096)
_COUNT = ColumnType(Kind.BIGINT)


async def run_batch(session: Session, statement: st.Batch, environment: Environment) -> Result:
    """Run it, or show what would run. Raises 8143 within a transaction, 1235 for changes that cannot be cut."""
    if session.holds_locks:
        raise SqlError(ER_BATCH, "BATCH runs transactions of its own: not within one, and not without autocommit")
    split = await _Split.of(session, statement)
    if statement.dry_run == "query":
        return Result.of_rows([ResultColumn("query statement", _TEXT)], [(mysql_text(split.query),)])
    rows = (await session.queries.run(st.Query(split.query), "", environment)).rows()
    jobs = [split.job(first, last) for first, last in bounds([row[0] for row in rows], statement.rows)]
    if statement.dry_run == "statements":
        shown = jobs if len(jobs) < 2 else [jobs[0], jobs[-1]]
        texts = [(mysql_text(job.expression),) for job in shown]
        return Result.of_rows([ResultColumn("split statement examples", _TEXT)], list(texts))
    for number, job in enumerate(jobs, start=1):
        try:
            await session.queries.run(job, "", environment)
        except SqlError as error:
            done = f"job {number} of {len(jobs)} failed, those before it are committed, those after it did not run"
            raise SqlError(error.code, f"BATCH: {done}: {error.message}", sqlstate=error.sqlstate) from error
    columns = [ResultColumn("number of jobs", _COUNT), ResultColumn("job status", _TEXT)]
    return Result.of_rows(columns, [(len(jobs), "all succeeded")])


def bounds(values: Sequence[object], rows: int) -> Iterator[tuple[object, object]]:
    """(first, last) values of each job, of sorted values: `rows` of them, and what equals the last."""
    start = 0
    while start < len(values):
        end = min(start + rows, len(values)) - 1
        while end + 1 < len(values) and values[end + 1] == values[end]:
            end += 1
        yield values[start], values[end]
        start = end + 1


def _assigned(update: exp.Update) -> set[str]:
    return {node.this.name.lower() for node in update.expressions}


class _Split:
    """How a statement is cut."""

    def __init__(self, statement: st.Insert | st.Update | st.Delete, column: exp.Expr, source: exp.Expr) -> None:
        self._statement = statement
        self._column = column
        chosen = exp.select(exp.alias_(column.copy(), "value")).from_(source)
        where = self._chooser(statement.expression).args.get("where")
        if where is not None:
            chosen = chosen.where(where.this.copy())
        # As MySQL parses ORDER BY: NULLs first.
        self.query = chosen.order_by(exp.Ordered(this=column.copy(), nulls_first=True))
        """The values of the column in the rows to be changed, in order."""

    @classmethod
    async def of(cls, session: Session, batch: st.Batch) -> _Split:
        chooser = cls._chooser(batch.statement.expression)
        for clause in ("order", "limit", "joins", "using", "with_", "group", "distinct"):
            if chooser.args.get(clause):
                raise not_supported(f"BATCH with {clause.strip('_').upper()}")
        found = chooser.args.get("from_")
        source = chooser.this if found is None else found.this
        if not isinstance(source, exp.Table) or source.args.get("joins"):
            raise not_supported("BATCH of several tables")
        table = await session.planned(lambda find: find(st.TableName(source.name, source.db or None)))
        keys = table.schema.primary_key_columns
        name = batch.column or (HIDDEN_HANDLE if table.is_hidden else keys[0].name)
        if batch.column is not None and not table.schema.has_column(batch.column):
            raise unknown_column(batch.column)
        if isinstance(batch.statement, st.Update) and name.lower() in _assigned(batch.statement.expression):
            raise SqlError(ER_BATCH, f"BATCH ON {name} with an UPDATE of {name}: a row could be changed twice")
        alias = exp.to_identifier(source.alias_or_name, quoted=True)
        column = exp.column(exp.to_identifier(name, quoted=True), table=alias)
        return cls(batch.statement, column, source.copy())

    @staticmethod
    def _chooser(change: exp.Expr) -> exp.Expr:
        """The part with FROM and WHERE: the change itself, or the query it inserts."""
        if not isinstance(change, exp.Insert):
            return change
        if not isinstance(change.expression, exp.Select):
            raise not_supported("BATCH of an INSERT without a SELECT")
        return change.expression

    def job(self, first: object, last: object) -> st.Insert | st.Update | st.Delete:
        """The statement for the rows from `first` to `last`; NULLs come first, and are a condition of their own."""
        column = self._column
        condition: exp.Expr
        if first is None:
            condition = exp.Is(this=column.copy(), expression=exp.null())
            if last is not None:
                upto = exp.LTE(this=column.copy(), expression=literal_node(last))
                condition = exp.paren(exp.or_(condition, upto))
        else:
            condition = exp.Between(this=column.copy(), low=literal_node(first), high=literal_node(last))
        expression = self._statement.expression.copy()
        chooser = self._chooser(expression)
        where = chooser.args.get("where")
        both = condition if where is None else exp.and_(exp.paren(where.this.copy()), condition)
        chooser.set("where", exp.Where(this=both))
        return replace(self._statement, expression=expression)  # type: ignore[arg-type]  # a copy of its own kind

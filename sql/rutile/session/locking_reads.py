"""SELECT ... FOR UPDATE and FOR SHARE: which rows a query locks, found by a second query over the same tables.

Locked are the rows of the tables in FROM that meet WHERE and the joins: all that went into an aggregate, and of
ORDER BY ... LIMIT those that came out. Tables within subqueries are read, not locked. Rows that are not there are not
locked either, but for those a point statement names by its key.

There is one kind of lock: FOR SHARE (LOCK IN SHARE MODE) takes the same as FOR UPDATE, which is more than was asked for
and never less, as TiDB does under tidb_enable_shared_lock_promotion; with that variable off it is 1235.

SKIP LOCKED locks the rows one after the other, in the order of the query, without waiting; a row that somebody else
holds is as if it were not there, so LIMIT 1 gives each of several consumers a row of its own. The rows are then read
once more, those that were locked alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from rutile.errors import SqlError, lock_not_free, not_supported
from rutile.planner.literals import literal_node
from rutile.planner.local_time import stored_column
from rutile.planner.names import TableKey
from rutile.rows.access import Row, TableAccess
from rutile.session.current_reads import CurrentView
from rutile_coprocessor.schema import HIDDEN_HANDLE, Scalar
from rutile_proto.errors import LockWaitTimeout


@dataclass(frozen=True, slots=True)
class LockWish:
    """FOR UPDATE or FOR SHARE as written."""

    wait_s: float | None
    """WAIT n; 0 for NOWAIT; None leaves it to innodb_lock_wait_timeout."""
    tables: frozenset[str]
    """OF these aliases, in lower case; empty for all."""
    shared: bool = False
    skips: bool = False
    """SKIP LOCKED."""

    def explained(self, error: LockWaitTimeout) -> SqlError | LockWaitTimeout:
        """3572 under NOWAIT."""
        return lock_not_free() if self.wait_s == 0 else error


def take_locks(expression: exp.Expr) -> LockWish | None:
    """What the query asks to lock, taken out of it. Raises 1235 for locks in subqueries."""
    wish = None
    for select in list(expression.find_all(exp.Query)):
        for lock in select.args.get("locks") or []:
            if select is not expression:
                raise not_supported("FOR UPDATE in a subquery")
            wish = _read(lock)
        select.set("locks", None)
    return wish


def _read(lock: exp.Expr) -> LockWish:
    wait = lock.args.get("wait")
    seconds = 0.0 if isinstance(wait, bool) else float(wait.name) if wait is not None else None
    tables = frozenset(table.name.lower() for table in lock.expressions)
    return LockWish(seconds, tables, not lock.args.get("update"), wait is False)


@dataclass(frozen=True)
class KeyQuery:
    """The query for the keys of the rows to lock, and whose keys its columns are."""

    query: exp.Expr
    tables: tuple[tuple[TableAccess, int], ...]
    """Each table with how many of the columns are its key's."""

    def keys(self, rows: Sequence[Row]) -> dict[bytes, None]:
        """The row keys in what the query gave; NULLs are the missing side of an outer join."""
        found: dict[bytes, None] = {}
        for row in rows:
            at = 0
            for table, width in self.tables:
                values = row[at : at + width]
                at += width
                if values[0] is None or (None in values and not table.is_hidden):
                    continue
                found[_key(table, values)] = None
        return found


def _key(table: TableAccess, values: Sequence[Scalar]) -> bytes:
    if not table.is_hidden:
        return table.key_of(values)
    row_id, *chosen_by = values
    assert isinstance(row_id, int)
    row: list[Scalar] = [None] * len(table.schema.columns)
    for position, value in zip(_chooses_partition(table), chosen_by, strict=True):
        row[position] = value
    return table.key_of_row(row, row_id)


def _chooses_partition(table: TableAccess) -> Sequence[int]:
    """The columns without which a row id is no key."""
    return table.partitions.positions if table.partitions is not None else ()


def key_query(expression: exp.Expr, wish: LockWish, tables: Mapping[TableKey, TableAccess], database: str) -> KeyQuery:
    """The query for the keys that `expression` (its names not yet qualified) locks. Raises 1235 for UNION."""
    if not isinstance(expression, exp.Select):
        raise not_supported("FOR UPDATE of this kind of query")
    chosen: list[tuple[TableAccess, int]] = []
    columns: list[exp.Expr] = []
    for node in _sources(expression):
        table = tables.get(((node.db or database).lower(), node.name.lower()))
        if table is None or (wish.tables and node.alias_or_name.lower() not in wish.tables):
            continue
        names = [column.name for column in table.schema.primary_key_columns]
        if table.is_hidden:
            names = [HIDDEN_HANDLE, *(table.schema.columns[at].name for at in _chooses_partition(table))]
        chosen.append((table, len(names)))
        columns += [stored_column(name, node.alias_or_name) for name in names]
    query = expression.copy()
    query.set("expressions", [exp.alias_(column, f"_k{at}") for at, column in enumerate(columns)])
    grouped = query.args.get("group") or query.args.get("distinct") or expression.find(exp.AggFunc)
    for clause in ("group", "having", "distinct", *(("order", "limit", "offset") if grouped else ())):
        query.set(clause, None)
    return KeyQuery(query, tuple(chosen))


def _sources(select: exp.Select) -> list[exp.Table]:
    source = select.args.get("from_")
    nodes = [source.this] if source is not None else []
    nodes += [join.this for join in select.args.get("joins") or []]
    return [node for node in nodes if isinstance(node, exp.Table)]


class SkippingQuery:
    """A query with SKIP LOCKED: finds its rows in order, locks those that are free, and asks for these alone."""

    def __init__(self, expression: exp.Expr, keys: KeyQuery) -> None:
        """Raises 1235 for more than one table to lock, and for OFFSET."""
        if len(keys.tables) != 1:
            raise not_supported("SKIP LOCKED of several tables: name one with OF")
        if any(table.is_hidden and table.partitions is not None for table, _ in keys.tables):
            raise not_supported("SKIP LOCKED of a partitioned table without primary key")
        if expression.args.get("offset"):
            raise not_supported("SKIP LOCKED with OFFSET")
        self._expression = expression
        self._keys = keys
        limit = keys.query.args.get("limit")
        self._most = int(limit.expression.name) if limit is not None else None
        self.candidates = keys.query.copy()
        """The keys of all rows that could be locked, in order."""
        self.candidates.set("limit", None)

    async def lock_free(self, rows: Sequence[Row], view: CurrentView) -> exp.Expr:
        """Lock the first rows that nobody holds; the query of them. Raises WriteConflict: run the statement again."""
        found = self._keys.keys(rows)
        values = dict(zip(found, [row for row in rows if None not in row], strict=True))
        locked: list[Row] = []
        for key in found:
            if self._most is not None and len(locked) >= self._most:
                break
            if await view.try_lock(key):
                locked.append(values[key])
        return self._restricted(locked)

    def _restricted(self, locked: Sequence[Row]) -> exp.Expr:
        columns = [item.unalias() for item in self._keys.query.expressions]
        chosen = [
            exp.and_(*(exp.EQ(this=column.copy(), expression=literal_node(value)) for column, value in pairs))
            for pairs in (zip(columns, row, strict=True) for row in locked)
        ]
        condition = exp.paren(exp.or_(*chosen)) if chosen else exp.false()
        query = self._expression.copy()
        assert isinstance(query, exp.Select)
        return query.where(condition)

"""Foreign keys at work: what a statement did to rows is settled at its end.

A row that came or got other values must have its parent (1452); the parent is locked, so that nobody deletes it before
this transaction has committed: in a pessimistic transaction at once, in an optimistic one the two commits conflict.
The children of a row that went, or changed the columns they go by, are looked for: they forbid it (1451), go or change
with it, or let it go. What happens to them is a change of rows again, with its own foreign keys, 15 levels deep.

So rows of one statement may refer to each other in any order, as in TiDB; nothing waits for the end of a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rutile.catalog.foreign_keys import Action
from rutile.ddl.foreign_keys import described
from rutile.errors import SqlError
from rutile.expressions.compile import Environment
from rutile.rows.access import Row
from rutile.rows.links import Link, TableLinks, Values
from rutile.session.storage import KvSnapshot, KvTransaction

if TYPE_CHECKING:
    from rutile.execution.write import RowWriter

ER_ROW_IS_REFERENCED = 1451
ER_NO_REFERENCED_ROW = 1452
ER_CASCADE_TOO_DEEP = 3008
MAX_DEPTH = 15
_FAILS = "a foreign key constraint fails"


def are_checked(environment: Environment) -> bool:
    """foreign_key_checks."""
    return environment.session_value is None or bool(environment.session_value("foreign_key_checks"))


async def require_parents(link: Link, rows: Iterable[Row], reader: KvSnapshot, ts: int) -> list[bytes]:
    """The keys of a parent of each row. Raises 1452 if one has none."""
    wanted = dict.fromkeys(values for row in rows if (values := link.wanted(row)) is not None)
    found = await link.to_parents.first_keys(reader, wanted, ts) if link.parent is not None and wanted else {}
    if len(found) < len(wanted):
        text = described(link.child.info, link.foreign)
        raise SqlError(ER_NO_REFERENCED_ROW, f"Cannot add or update a child row: {_FAILS} ({text})", sqlstate="23000")
    return list(dict.fromkeys(found.values()))


@dataclass(frozen=True, slots=True)
class _Cascade:
    """What is to become of one child; `new` None: it goes."""

    key: bytes
    old: Row
    new: Row | None


class LinkedChanges:
    """The changes of one statement to one table, as its foreign keys will ask about them."""

    def __init__(self, links: TableLinks, txn: KvTransaction, environment: Environment, depth: int) -> None:
        self._links = links
        self._txn = txn
        self._environment = environment
        self._depth = depth
        self._came: list[Row] = []
        self._went: list[tuple[Row, Row | None]] = []

    def changed(self, old: Row | None, new: Row | None) -> None:
        """A row came (`old` None), went (`new` None), or is another now."""
        if new is not None:
            self._came.append(new)
        if old is not None:
            self._went.append((old, new))

    async def settle(self) -> None:
        """Follow and check all that was noted. Raises 1451, 1452, 3008."""
        came, went, self._came, self._went = self._came, self._went, [], []
        for link in self._links.children:
            await self._follow(link, went)
        for link in self._links.parents:
            await self._require(link, came, went)

    async def _require(self, link: Link, came: Sequence[Row], went: Sequence[tuple[Row, Row | None]]) -> None:
        same = {id(new) for old, new in went if new is not None and link.wanted(old) == link.wanted(new)}
        rows = [row for row in came if id(row) not in same]
        for key in await require_parents(link, rows, self._txn, self._txn.start_ts):
            self._txn.lock(key)

    # --- children ---

    async def _follow(self, link: Link, went: Sequence[tuple[Row, Row | None]]) -> None:
        """Find the children of what went before any of them is changed: 1 -> 2 and 2 -> 3 do not meet."""
        cascades: list[_Cascade] = []
        for old, new in went:
            values = link.offered(old)
            if values is None or (new is not None and link.offered(new) == values):
                continue
            action = link.foreign.on_delete if new is None else link.foreign.on_update
            cascades += await self._children(link, action, values, new)
        if not cascades:
            return
        if self._depth == MAX_DEPTH:
            message = f"Foreign key cascade delete/update exceeds max depth of {MAX_DEPTH}."
            raise SqlError(ER_CASCADE_TOO_DEEP, message)
        await self._cascade(link, cascades)

    async def _children(self, link: Link, action: Action, values: Values, new: Row | None) -> list[_Cascade]:
        txn = self._txn
        found = await link.to_children.rows(txn, values, txn.start_ts, limit=1 if action.refuses else None)
        if found and action.refuses:
            text = described(link.child.info, link.foreign)
            message = f"Cannot delete or update a parent row: {_FAILS} ({text})"
            raise SqlError(ER_ROW_IS_REFERENCED, message, sqlstate="23000")
        if action is Action.CASCADE and new is None:
            return [_Cascade(key, row, None) for key, row in found.items()]
        given: Sequence[object] = [None] * len(values)
        if action is Action.CASCADE and new is not None:
            given = [new[position] for position in link.parent_positions]
        numbered = enumerate(found.items(), start=1)
        return [_Cascade(key, row, _with(link, row, given, number)) for number, (key, row) in numbered]

    async def _cascade(self, link: Link, cascades: Sequence[_Cascade]) -> None:
        from rutile.execution.write import RowWriter  # whose statements end here

        writer: RowWriter = RowWriter(link.child, self._txn, self._environment, self._depth + 1)
        distinct = {cascade.key: cascade for cascade in cascades}.values()
        await writer.look_ahead((each.key, each.old) for each in distinct)
        for number, each in enumerate(distinct, start=1):
            if each.new is None:
                await writer.delete(each.key, each.old)
            else:
                assigned = set(link.child_positions)
                await writer.update(each.key, each.old, writer.touched(each.old, list(each.new), assigned, number))
        await writer.settle()


def _with(link: Link, row: Row, given: Sequence[object], number: int) -> Row:
    """A child with these values in the foreign key's columns."""
    changed = list(row)
    for position, value in zip(link.child_positions, given, strict=True):
        changed[position] = link.child.converters[position](value, number)
    return tuple(changed)

"""Prompt SELECTs: answered in the turn of the loop in which they arrive.

A plain SELECT of one row (`rutile.planner.plain`) whose plan is known, on a store in this process: the way from its
parameters to the row's values is a few function calls. No task is woken, no coroutine made, no message built. Whatever
is not settled at that moment (a plan to make, a lease that ran out, a privilege to look up, a lock on the row) raises
`NotNow`, and the statement goes its ordinary way, which settles it for the next.

It answers what the ordinary way would have answered: the row's newest committed version outside a transaction, the
transaction's view of it within one. (Twin: tests/mysql/test_mysql_prompt.py.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rutile.expressions.compile import UTC
from rutile.parse.lexer import shape_of
from rutile.parse.skeleton import skeleton_of
from rutile.planner.key_values import NotExact, key_value
from rutile.planner.plain import PlainSelect
from rutile.planner.point import PointSelect
from rutile.rows.access import Row, TableAccess
from rutile.session.result import ResultColumn
from rutile.session.storage import KvSnapshot, NotNow
from rutile_coprocessor.schema import Column, Scalar
from rutile_proto.timestamps import MAX_TIMESTAMP

if TYPE_CHECKING:
    from rutile.session.session import Session


@dataclass(frozen=True, eq=False, slots=True)
class PromptPlan:
    """A plain SELECT with everything found that does not depend on its parameters. Each is equal to itself only."""

    shape: str
    """By which privileges know it."""
    database: str | None
    catalog_version: int
    columns: tuple[ResultColumn, ...]
    key_of: Callable[[Sequence[object]], bytes]
    """The row's key from the parameters. Raises NotNow for values that are not of the key's type."""
    row_of: Callable[[bytes], Row]


def prompt_plan(plan: PointSelect, shape: str, database: str | None, version: int) -> PromptPlan | None:
    """`plan` as a PromptPlan, if it is plain."""
    if plan.plain is None:
        return None
    table = plan.finder.table
    told = zip(plan.names, plan.types, plan.origins, strict=True)
    columns = [ResultColumn(name, kind, origin) for name, kind, origin in told if kind is not None]
    return PromptPlan(
        shape, database, version, tuple(columns), _key_maker(table, plan.plain), _row_maker(table, plan.plain)
    )


def _key_maker(table: TableAccess, plain: PlainSelect) -> Callable[[Sequence[object]], bytes]:
    places = [
        (number, _value_maker(column))
        for number, column in zip(plain.parameters, table.schema.primary_key_columns, strict=True)
    ]

    def key_of(parameters: Sequence[object]) -> bytes:
        return table.key_of([make(parameters[number]) for number, make in places])

    return key_of


def _value_maker(column: Column) -> Callable[[object], Scalar]:
    """A parameter as the key column's value."""
    low, high = column.type.integer_bounds if column.type.is_integer else (1, 0)

    def make(value: object) -> Scalar:
        if type(value) is int and low <= value <= high:
            return value
        if value is None:
            raise NotNow
        try:
            return key_value(column, value)
        except NotExact as error:
            raise NotNow from error

    return make


def _row_maker(table: TableAccess, plain: PlainSelect) -> Callable[[bytes], Row]:
    decode, wanted = table.rows.decode_row, plain.columns

    def row_of(value: bytes) -> Row:
        row = decode(value)
        return tuple([row[position] for position in wanted])

    return row_of


class Prompt:
    """Finds and runs the prompt SELECTs of one session."""

    def __init__(self, session: Session) -> None:
        self.answers = 0
        """How many it has given."""
        self._session = session
        self._newest = session.shared.client.snapshot(MAX_TIMESTAMP)

    def find_text(self, sql: str) -> tuple[PromptPlan, Sequence[object]]:
        """The plan of a statement's text, and the literals in it. Raises NotNow."""
        skeleton = skeleton_of(sql)
        if skeleton is None:
            raise NotNow
        text, numbers = skeleton
        shared, database, version = self._session.shared, self._session.database, self._catalog_version()
        plan = shared.skeletons.get((database, text), version)
        if plan is None:
            shape = shape_of(sql, ())
            if shape is None or shape.values != numbers:  # a literal that the shape keeps, or signs
                raise NotNow
            plan = self.find_shape(shape.text)
            shared.skeletons.put((database, text), version, plan)
        return plan, numbers

    def find_shape(self, shape: str) -> PromptPlan:
        """The plan of a shape, if an ordinary run has made it. Raises NotNow."""
        shared, database, version = self._session.shared, self._session.database, self._catalog_version()
        known = shared.shapes.get((database, shape), version)
        plan = prompt_plan(known, shape, database, version) if isinstance(known, PointSelect) else None
        if plan is None:
            raise NotNow
        return plan

    def is_current(self, plan: PromptPlan) -> bool:
        """Whether a plan kept from before is of this catalogue and database. Raises NotNow if nobody knows now."""
        return plan.catalog_version == self._catalog_version() and plan.database == self._session.database

    def run(self, plan: PromptPlan, parameters: Sequence[object], sql: str) -> Row | None:
        """The row's columns, None if there is no such row. The plan `is_current`, `sql` is what the user wrote. Raises
        NotNow."""
        session = self._session
        began_s = session.shared.options.monotonic()
        if (
            not session.is_idle
            or session.stale.is_active
            or session.zone != UTC
            or not session.variables.modes.plain_text
        ):
            raise NotNow
        if not session.privileges.allows_now(plan.shape, plan.database):
            raise NotNow
        value = self._reader().get_now(plan.key_of(parameters))
        row = None if value is None else plan.row_of(value)
        session.answered_promptly(sql, plan.shape, int(row is not None), session.shared.options.monotonic() - began_s)
        self.answers += 1
        return row

    def _catalog_version(self) -> int:
        catalog = self._session.shared.catalog.cached()
        if catalog is None or self._session.temporary:
            raise NotNow
        return catalog.version

    def _reader(self) -> KvSnapshot:
        """What the statement sees: as `ShapedStatements` has it for one row."""
        session = self._session
        if not session.holds_locks:
            return self._newest
        reader = session.transaction.reader_now()
        if reader is None:
            raise NotNow
        return reader

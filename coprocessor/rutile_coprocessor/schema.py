"""Table schemas as the store needs them: columns, types, which columns make the handle, and how old rows are laid out.

A schema travels with every scan (`FragmentScan.schema`) and lies in the catalogue, as JSON from `to_bytes`.

*Layouts.* A row is written in the layout that is current then, and its header names that layout. Layout `v` holds the
columns with `added_in <= v` that were not yet dropped at `v`, by column id. So ADD COLUMN and DROP COLUMN only raise
`layout_version`: rows of older layouts give `origin_default` for columns they lack, and the dropped ones they have are
skipped.
A column's type never changes under its id. A column that is to have another type becomes another column: for a while
rows hold both, the new one among `dropped` (nobody sees it) though it is not dropped; then it takes the old one's
place. It is `in_every_row`: a row without it is older than the definition, and reading it so is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from rutile_coprocessor.column_types import ColumnType, Kind
from rutile_proto.errors import InvalidRequest, LayoutMismatch

__all__ = ["HIDDEN_HANDLE", "Column", "ColumnType", "Handle", "Kind", "Scalar", "TableSchema"]

Scalar: TypeAlias = int | float | Decimal | str | bytes | date | datetime | timedelta | None
"""A value of a column, as Python has it; column_types has the table."""

Handle: TypeAlias = Literal["int", "common", "hidden"]
"""How a row is named: "int", its single integer primary key; "common", its other or composite primary key;
"hidden", a row id of its own because it has no primary key."""

HIDDEN_HANDLE = "_rutile_rowid"
"""The name under which a scan can ask for the hidden handle of a table without primary key (int64)."""


@dataclass(frozen=True)
class Column:
    """A column of a table. Required on INSERT when it is not nullable and has neither default nor AUTO_INCREMENT."""

    id: int
    """Never reused within a table."""
    name: str
    type: ColumnType
    nullable: bool = True
    default: Scalar = None
    """What INSERT writes when the column is not named; None is NULL, or no default when not nullable."""
    default_sql: str | None = None
    """An expression INSERT evaluates in place of `default`, such as CURRENT_TIMESTAMP."""
    on_update_sql: str | None = None
    auto_increment: bool = False
    comment: str = ""
    added_in: int = 0
    """The first layout that has the column."""
    dropped_in: int | None = None
    """The first layout that no longer has it."""
    origin_default: Scalar = None
    """What rows of layouts before `added_in` read as: the default at the time the column was added."""
    in_every_row: bool = False
    """Every row has been rewritten since it was added: rows of layouts before `added_in` are not read as anything."""

    def in_layout(self, version: int) -> bool:
        return self.added_in <= version and (self.dropped_in is None or version < self.dropped_in)

    @property
    def absent_value(self) -> Scalar:
        """What a row of a layout without the column reads as. Raises LayoutMismatch if there can be no such row."""
        if self.in_every_row:
            raise LayoutMismatch(f"column {self.name} changed after the row was written")
        return self.origin_default


@dataclass(frozen=True)
class TableSchema:
    """A table. `columns` are in the order the user sees; `dropped` are those that nobody sees: only older layouts still
    have them, or one is becoming another."""

    table_id: int
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[int, ...] = ()
    """Column ids in key order; empty when `handle` is "hidden"."""
    handle: Handle = "hidden"
    layout_version: int = 0
    database: str = ""
    dropped: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        ids = [column.id for column in (*self.columns, *self.dropped)]
        names = [column.name.lower() for column in self.columns]
        _check(len(set(ids)) == len(ids), f"table {self.name}: a column id is used twice: {ids}")
        _check(len(set(names)) == len(names), f"table {self.name}: a column name is used twice: {names}")
        _check(
            set(self.primary_key) <= {column.id for column in self.columns}, f"table {self.name}: unknown key column"
        )
        _check(bool(self.primary_key) == (self.handle != "hidden"), f"table {self.name}: handle and key do not agree")
        if self.handle == "int":
            keys = self.primary_key_columns
            _check(
                len(keys) == 1 and keys[0].type.is_integer, f"table {self.name}: an int handle is one integer column"
            )

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name.lower(): column for column in self.columns}

    @cached_property
    def primary_key_columns(self) -> tuple[Column, ...]:
        by_id = {column.id: column for column in self.columns}
        return tuple(by_id[column_id] for column_id in self.primary_key)

    def column(self, name: str) -> Column:
        """The column of that name, in any case, as MySQL has it. Raises InvalidRequest if there is none."""
        found = self._by_name.get(name.lower())
        if found is None:
            raise InvalidRequest(f"table {self.name} has no column {name}")
        return found

    def has_column(self, name: str) -> bool:
        return name.lower() in self._by_name

    def index_of(self, name: str) -> int:
        """The position of a column among `columns`."""
        return self.columns.index(self.column(name))

    def arrow_schema(self, columns: Iterable[str] | None = None) -> pa.Schema:
        """The Arrow schema of the named columns (all if None), in the order named; HIDDEN_HANDLE may be among them."""
        names = [column.name for column in self.columns] if columns is None else list(columns)
        return pa.schema([self._arrow_field(name) for name in names])

    def _arrow_field(self, name: str) -> pa.Field:
        if name == HIDDEN_HANDLE and self.handle == "hidden":
            return pa.field(name, pa.int64(), nullable=False)
        column = self.column(name)
        return pa.field(column.name, column.type.arrow_type)

    def layout(self, version: int) -> tuple[Column, ...]:
        """The columns a row of that layout holds, in their order within it. Raises LayoutMismatch if it is too new."""
        if not 0 <= version <= self.layout_version:
            raise LayoutMismatch(
                f"table {self.name}: row layout {version} is newer than schema's {self.layout_version}"
            )
        held = [column for column in (*self.columns, *self.dropped) if column.in_layout(version)]
        return tuple(sorted(held, key=lambda column: column.id))

    def add_column(self, column: Column, position: int | None = None) -> TableSchema:
        """The schema with one more column, at the end or at `position`; no row is rewritten."""
        version = self.layout_version + 1
        added = replace(column, added_in=version, origin_default=column.default)
        place = len(self.columns) if position is None else position
        columns = (*self.columns[:place], added, *self.columns[place:])
        return replace(self, columns=columns, layout_version=version)

    def drop_column(self, name: str) -> TableSchema:
        """The schema without a column; no row is rewritten. Raises InvalidRequest for columns of the primary key."""
        column = self.column(name)
        if column.id in self.primary_key:
            raise InvalidRequest(f"table {self.name}: column {name} belongs to the primary key")
        version = self.layout_version + 1
        kept = tuple(other for other in self.columns if other.id != column.id)
        dropped = (*self.dropped, replace(column, dropped_in=version))
        return replace(self, columns=kept, dropped=dropped, layout_version=version)

    def to_bytes(self) -> bytes:
        """JSON, the same bytes for equal schemas."""
        return self._as_bytes

    @cached_property
    def _as_bytes(self) -> bytes:
        body = {
            "table_id": self.table_id, "name": self.name, "database": self.database, "handle": self.handle,
            "primary_key": list(self.primary_key), "layout_version": self.layout_version,
            "columns": [column_to_json(column) for column in self.columns],
            "dropped": [column_to_json(column) for column in self.dropped],
        }  # fmt: skip
        return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()

    @staticmethod
    def from_bytes(data: bytes) -> TableSchema:
        """The schema `to_bytes` wrote. Raises InvalidRequest if it is malformed."""
        try:
            body = json.loads(data)
            columns = tuple(column_from_json(item) for item in body.pop("columns"))
            dropped = tuple(column_from_json(item) for item in body.pop("dropped"))
            primary_key = tuple(body.pop("primary_key"))
            return TableSchema(columns=columns, dropped=dropped, primary_key=primary_key, **body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidRequest(f"malformed table schema: {error}") from error


def column_to_json(column: Column) -> dict[str, Any]:
    """JSON's own types, for the catalogue and for scans."""
    kind = column.type
    body: dict[str, Any] = {name: getattr(column, name) for name in _PLAIN_FIELDS}
    body["type"] = [kind.kind.value, kind.unsigned, kind.precision, kind.scale, kind.length]
    if kind.members:
        body["members"] = list(kind.members)
    if column.in_every_row:
        body["in_every_row"] = True
    body["default"] = scalar_to_json(column.default)
    body["origin_default"] = scalar_to_json(column.origin_default)
    return body


def column_from_json(body: dict[str, Any]) -> Column:
    """What `column_to_json` made."""
    kind, unsigned, precision, scale, length = body["type"]
    return Column(
        **{name: body[name] for name in _PLAIN_FIELDS},
        type=ColumnType(Kind(kind), unsigned, precision, scale, length, tuple(body.get("members", ()))),
        default=scalar_from_json(body["default"]),
        origin_default=scalar_from_json(body["origin_default"]),
        in_every_row=body.get("in_every_row", False),
    )


_PLAIN_FIELDS = (
    "id", "name", "nullable", "default_sql", "on_update_sql", "auto_increment", "comment", "added_in", "dropped_in",
)  # fmt: skip


def scalar_to_json(value: Scalar) -> Any:
    """JSON's own types as they are, the others as {type: text}."""
    match value:
        case None | int() | float() | str():
            return value
        case bytes():
            return {"bytes": value.hex()}
        case Decimal():
            return {"decimal": str(value)}
        case datetime():
            return {"datetime": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case timedelta():
            return {"time_us": value // timedelta(microseconds=1)}


def scalar_from_json(value: Any) -> Scalar:
    """What `scalar_to_json` made."""
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]
    ((tag, body),) = value.items()
    return _SCALAR_READERS[tag](body)  # type: ignore[no-any-return]


_SCALAR_READERS: dict[str, Any] = {
    "bytes": bytes.fromhex,
    "decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time_us": lambda microseconds: timedelta(microseconds=microseconds),
}


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidRequest(message)

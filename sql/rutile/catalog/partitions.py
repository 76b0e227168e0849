"""How a table is partitioned, as the catalogue keeps it.

Every partition has rows and index entries of its own under an id of its own (its *physical* id, handed out like table
ids and never used twice); nothing lies under the table's own id. What a row needs to find its partition is here as
plain values; `rutile.rows.partitions` makes functions of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from rutile.errors import SqlError

PartitionKind: TypeAlias = Literal["RANGE", "RANGE COLUMNS", "LIST", "LIST COLUMNS", "HASH"]
Bound: TypeAlias = int | str | None
"""A value as written; of a date its text; None is NULL."""
ER_UNKNOWN_PARTITION = 1735
ER_NOT_PARTITIONED = 1747


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition. `less_than` is of RANGE kinds: a value for each column, or MAXVALUE for all that is left;
    `values` of LIST kinds."""

    partition_id: int
    name: str
    less_than: tuple[Bound, ...] = ()
    is_last: bool = False
    """LESS THAN MAXVALUE."""
    values: tuple[tuple[Bound, ...], ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Partitioning:
    """PARTITION BY `kind`: by an expression's integer, or (the COLUMNS kinds) by columns as they are."""

    kind: PartitionKind
    expression: str
    """Of RANGE, LIST and HASH, as `rutile.parse.partitions` reads it."""
    column_ids: tuple[int, ...]
    """The columns that choose the partition, in the order written."""
    partitions: tuple[Partition, ...]

    @property
    def is_by_columns(self) -> bool:
        return self.kind.endswith("COLUMNS")

    def number(self, name: str) -> int | None:
        """Where the partition of that name is; names are compared without case."""
        wanted = name.lower()
        return next((at for at, each in enumerate(self.partitions) if each.name.lower() == wanted), None)

    def chosen(self, names: list[str], table: str) -> frozenset[int]:
        """The numbers of the partitions that PARTITION (names) names. Raises 1735."""
        found = []
        for name in names:
            number = self.number(name)
            if number is None:
                raise SqlError(ER_UNKNOWN_PARTITION, f"Unknown partition '{name}' in table '{table}'")
            found.append(number)
        return frozenset(found)

    def with_ids(self, ids: Sequence[int]) -> Partitioning:
        """The same with these physical ids."""
        pairs = zip(self.partitions, ids, strict=True)
        return replace(self, partitions=tuple(replace(each, partition_id=fresh) for each, fresh in pairs))

    def to_json(self) -> dict[str, Any]:
        """For the catalogue's JSON."""
        parts = [
            [each.partition_id, each.name, each.less_than, each.is_last, each.values, each.comment]
            for each in self.partitions
        ]
        return {"kind": self.kind, "expression": self.expression, "columns": self.column_ids, "partitions": parts}

    @staticmethod
    def from_json(body: dict[str, Any]) -> Partitioning:
        """What `to_json` made."""
        parts = tuple(
            Partition(identifier, name, tuple(less_than), is_last, tuple(map(tuple, values)), comment)
            for identifier, name, less_than, is_last, values, comment in body["partitions"]
        )
        return Partitioning(body["kind"], body["expression"], tuple(body["columns"]), parts)


def not_partitioned() -> SqlError:
    """1747: PARTITION () of a table that has none."""
    return SqlError(ER_NOT_PARTITIONED, "PARTITION () clause on non partitioned table")

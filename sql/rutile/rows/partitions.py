"""Which partition a row belongs to, and where its keys lie.

One question is asked wherever a row becomes keys: `Partitions.number_of(row)`. A key's first bytes are its partition's
(`t` and the physical id), all of the same length, so what reads keys need not know the partition.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from rutile.catalog.partitions import Bound, Partition, Partitioning
from rutile.errors import SqlError
from rutile.parse.partition_clause import Term
from rutile.parse.partition_terms import compute, read_term
from rutile.rows.conversion import converter_for
from rutile.session.storage import KeyRange
from rutile_coprocessor.schema import Column, Scalar, TableSchema
from rutile_proto import keys

ER_NO_PARTITION = 1526
ER_OUTSIDE_OF_PARTITIONS = 1748
STEM_LENGTH = len(keys.table_prefix(0))
"""Bytes of a key up to and with the id of the table or partition."""
OrderedRow = tuple[tuple[bool, Scalar], ...]
"""Values that compare with NULL first."""


class Partitions:
    """The partitions of one table. Numbers are places in the definition, from 0."""

    def __init__(self, partitioning: Partitioning, schema: TableSchema) -> None:
        self.partitioning = partitioning
        by_id = {column.id: (at, column) for at, column in enumerate(schema.columns)}
        self.positions = tuple(by_id[each][0] for each in partitioning.column_ids)
        self.columns: tuple[Column, ...] = tuple(by_id[each][1] for each in partitioning.column_ids)
        self.stems = tuple(keys.table_prefix(each.partition_id) for each in partitioning.partitions)
        self.term: Term | None = None if partitioning.is_by_columns else read_term(partitioning.expression)
        self.values_of = self._reader(schema)
        """The values that choose the partition of a row: its columns', or the expression's one."""
        self.bounds = [self.ordered(self.bound_values(each.less_than)) for each in self._bounded()]
        """Of RANGE kinds, what each partition's rows are less than; without MAXVALUE's."""
        self.listed: dict[tuple[Scalar, ...], int] = {
            self.bound_values(values): number
            for number, each in enumerate(partitioning.partitions)
            for values in each.values
        }
        """Of LIST kinds, the partition of each value."""
        self.number_of = self._chooser()
        """The number of a row's partition. Raises 1526."""

    def __len__(self) -> int:
        return len(self.stems)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.partitioning.partitions)

    def _bounded(self) -> Iterable[Partition]:
        parts = self.partitioning.partitions if self.partitioning.kind.startswith("RANGE") else ()
        return [each for each in parts if not each.is_last]

    def _reader(self, schema: TableSchema) -> Callable[[Sequence[Scalar]], tuple[Scalar, ...]]:
        if self.term is None:
            positions = self.positions
            return lambda row: tuple(row[position] for position in positions)
        places = {column.name.lower(): at for at, column in enumerate(schema.columns)}
        evaluate = compute(self.term, places)
        return lambda row: (evaluate(row),)

    def bound_values(self, values: Sequence[Bound]) -> tuple[Scalar, ...]:
        """Values as they are kept in rows. Raises what conversions raise."""
        if self.term is not None:
            return tuple(values)
        return tuple(bound_value(column, value) for column, value in zip(self.columns, values, strict=True))

    @staticmethod
    def ordered(values: Sequence[Scalar]) -> OrderedRow:
        return tuple((value is not None, 0 if value is None else value) for value in values)

    def _chooser(self) -> Callable[[Sequence[Scalar]], int]:
        kind = self.partitioning.kind
        if kind == "HASH":
            return self._by_hash
        return self._by_range if kind.startswith("RANGE") else self._by_list

    def _by_hash(self, row: Sequence[Scalar]) -> int:
        (value,) = self.values_of(row)
        assert value is None or isinstance(value, int)
        return abs(value or 0) % len(self)

    def _by_range(self, row: Sequence[Scalar]) -> int:
        values = self.values_of(row)
        number = bisect_right(self.bounds, self.ordered(values))
        if number == len(self):
            raise self._no_partition(values)
        return number

    def _by_list(self, row: Sequence[Scalar]) -> int:
        values = self.values_of(row)
        number = self.listed.get(values)
        if number is None:
            raise self._no_partition(values)
        return number

    def _no_partition(self, values: Sequence[Scalar]) -> SqlError:
        if self.partitioning.is_by_columns:
            return SqlError(ER_NO_PARTITION, "Table has no partition for value from column_list")
        shown = "NULL" if values[0] is None else str(values[0])
        return SqlError(ER_NO_PARTITION, f"Table has no partition for value {shown}")

    def stem_of(self, row: Sequence[Scalar]) -> bytes:
        """The first bytes of all keys of the row. Raises 1526."""
        return self.stems[self.number_of(row)]

    def spread(self, ranges: Iterable[KeyRange], numbers: Iterable[int]) -> tuple[KeyRange, ...]:
        """Ranges within a table as the same ranges within each of these partitions, in key order."""
        stems = sorted(self.stems[number] for number in numbers)
        within = [(low[STEM_LENGTH:], high[STEM_LENGTH:]) for low, high in ranges]
        return tuple((stem + low, stem + high) for stem in stems for low, high in within)


def bound_value(column: Column, value: Bound) -> Scalar:
    """A bound as the column keeps it. Raises what conversions raise."""
    return None if value is None else converter_for(column)(value, 1)


def outside_of_partitions() -> SqlError:
    """1748: a row does not belong to the partitions that the statement names."""
    return SqlError(ER_OUTSIDE_OF_PARTITIONS, "Found a row not matching the given partition set")

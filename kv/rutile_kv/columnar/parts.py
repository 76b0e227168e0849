"""`RegionMirror`: all the mirror has of one region, to be cut where the region splits and joined where two merge.

    split at m     base  a b | m n        delta  b2 n2        left   a b + b2        right  m n + n2
    merge          base  a b + b2   and   m n + n2            both   a b m n + b2 n2

Nothing is decoded and no column is copied: a chunk that the border crosses becomes two slices of one buffer, a merged
base has the chunks of both. What changes is the counting. A region that was cut off begins a log of its own, and one
that takes another in goes on with its own. Records that come under another log's count are therefore said to have been
applied at the entry with which the new life begins, and the base they continue to be one entry older. A record that is
noted although the base has it already does no harm: `overlay` looks up what is not newer than the base.

A merged base is of different moments left and right. Its newest commit is the newer of the two, so some records of the
other half's delta are older than that: those too are looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.delta import DeltaLog, Entries
from rutile_kv.columnar.sorted_keys import overlaps
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.keys import table_range, user_bound


@dataclass(frozen=True, slots=True)
class TableMirror:
    """One table's bases by layout version, and the log that carries them on. Nobody appends to that log any more."""

    log: DeltaLog
    bases: Mapping[int, TableBase]


@dataclass(frozen=True, slots=True)
class RegionMirror:
    """What was held of `region`, by table id."""

    region: metapb.Region
    tables: Mapping[int, TableMirror]

    def within(self, region: metapb.Region) -> RegionMirror:
        """What lies in the range of `region`, a part of this one's, under the same count."""
        return RegionMirror(region, {each: _cut(table, region) for each, table in self.tables.items()})

    def renumbered(self, index: int) -> RegionMirror:
        """The same for a region whose life begins after entry `index`, and has all of this applied by then."""
        tables = {each: _renumbered(table, index) for each, table in self.tables.items()}
        return RegionMirror(self.region, tables)

    def join(self, taken: RegionMirror, region: metapb.Region, index: int) -> RegionMirror:
        """This mirror with that of a neighbour taken in by log entry `index`; together they are `region`.

        A table stays if both have it with a column in common, or if the one that lacks it has no part of the table.
        """
        moved = taken.renumbered(index)
        tables = {}
        for table_id in {**self.tables, **moved.tables}:
            one = self.tables.get(table_id) or _none(table_id, self.region)
            two = moved.tables.get(table_id) or _none(table_id, moved.region)
            if one is not None and two is not None:
                tables[table_id] = _joined(one, two)
        return RegionMirror(region, {each: table for each, table in tables.items() if table.bases})


def _cut(table: TableMirror, region: metapb.Region) -> TableMirror:
    log, entries = DeltaLog(table.log.since), table.log.entries
    for index, version, record in zip(entries.indexes, entries.versions, entries.records, strict=True):
        if region.start_key <= version and (not region.end_key or version < region.end_key):
            log.append(index, version, record)
    bounds = user_bound(region.start_key), user_bound(region.end_key)
    return TableMirror(log, {layout: base.within(bounds) for layout, base in table.bases.items()})


def _renumbered(table: TableMirror, index: int) -> TableMirror:
    old = table.log.entries
    log = DeltaLog(index - 1, Entries([index] * len(old), old.versions[:], old.records[:]))
    return TableMirror(log, {layout: replace(base, index=index - 1) for layout, base in table.bases.items()})


def _none(table_id: int, region: metapb.Region) -> TableMirror | None:
    """The mirror of a table of which the region has no part; None if it may have one."""
    bounds = user_bound(region.start_key), user_bound(region.end_key)
    return None if overlaps(table_range(table_id), bounds) else TableMirror(DeltaLog(0), {})


def _joined(one: TableMirror, two: TableMirror) -> TableMirror:
    """`two` counts already as `one` does, and everything in it came last."""
    if not one.bases or not two.bases:
        return one if one.bases else two
    log, entries = DeltaLog(one.log.since), [one.log.entries, two.log.entries]
    for part in entries:
        for index, version, record in zip(part.indexes, part.versions, part.records, strict=True):
            log.append(index, version, record)
    joined = {layout: one.bases[layout].beside(two.bases[layout]) for layout in one.bases if layout in two.bases}
    return TableMirror(log, {layout: base for layout, base in joined.items() if base.columns})

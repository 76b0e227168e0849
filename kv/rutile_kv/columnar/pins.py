"""What a reader is pinned to: the mirror as it was when the reader's snapshot was taken, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.delta import DeltaLog, Entries
from rutile_kv.columnar.keys import BaseKey


@dataclass(frozen=True, slots=True)
class TablePin:
    """What a table's mirror was when a snapshot was taken: the entries handed out with it reach its index."""

    log: DeltaLog
    entries: Entries
    bases: Mapping[BaseKey, tuple[TableBase, ...]]


@dataclass(frozen=True, slots=True)
class RegionPin:
    """The mirror of one region as of a snapshot's applied index, for the tables asked."""

    index: int
    tables: Mapping[int, TablePin]


@dataclass(frozen=True, slots=True)
class Held:
    """A base, and what was committed between its index and the reader's."""

    base: TableBase
    delta: Entries

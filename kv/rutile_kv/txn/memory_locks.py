"""Pessimistic locks that live in the leader's memory and nowhere else (TiKV's RFC 77).

A pessimistic lock keeps others out while its transaction runs; it holds no data and no promise. Should it get lost, the
prewrite that comes for it looks whether anybody wrote the key since the transaction began (`prewrite_checks`), and
refuses if so. So it need not be replicated: the leader notes it here and answers without a Raft write.

    taken        by PessimisticLock, in the turn in which its view was linearizable
    replaced     by whatever is written to the key's lock through Raft, once that is applied: prewrite, commit, rollback
    released     by PessimisticRollback, without a write
    lost         when this store stops leading the region, or the key goes to another region
    written out  before leadership, or the border, is moved on purpose (`PersistLocks`)

What must hold: a lock counts only as long as nobody else can have let others write the key. So a region's locks are
those of one term and are looked at through views of that very term; those whose keys leave the region are dropped in
the turn in which that is applied, and the region's version says whether that was done. A key's lock is here or in the
engine, never in both; where a write is just being applied and it looks like both, the engine is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rutile_kv.engine.api import CF_LOCK, Cf, Modify, Reader
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.values import valueclass

MAX_REGION_BYTES = 512 * 1024
"""Of one region's locks: they must fit into few log entries when the leader is to change. Further ones are written."""
MAX_STORE_BYTES = 64 * 1024 * 1024
"""Of all regions' together."""
LOCK_BYTES = 160
"""What a lock takes beside its key and its record, about."""


@valueclass
class Leadership:
    """What a view was taken under. Locks in memory are seen under the one they were taken under."""

    region_id: int
    version: int
    """Of the region's epoch."""
    term: int
    """0: this store does not lead the region, or nobody can tell."""


NO_LEADERSHIP = Leadership(0, 0, 0)


@dataclass(slots=True)
class _Table:
    """The locks of one region, by storage key."""

    version: int
    term: int
    locks: dict[bytes, bytes] = field(default_factory=dict)
    size_bytes: int = 0
    closed: int = 0
    """How many changes under way want new locks to be written."""


class MemoryLocks:
    """Those of a store. Part of the scheduler's core: whoever asks for a key holds its latch."""

    def __init__(self, *, enabled: bool = True) -> None:
        """Not `enabled`: it keeps none."""
        self.enabled = enabled
        self._tables: dict[int, _Table] = {}
        self._size_bytes = 0

    def __len__(self) -> int:
        return sum(len(table.locks) for table in self._tables.values())

    @property
    def size_bytes(self) -> int:
        """About what all take."""
        return self._size_bytes

    def over(self, reader: Reader, leadership: Leadership) -> LockView:
        """`reader`, taken under `leadership`, with the locks that count under it in its lock family."""
        table = self._tables.get(leadership.region_id)
        if table is not None and (table.term, table.version) != (leadership.term, leadership.version):
            if leadership.term > table.term or leadership.version > table.version:
                self.forget_region(leadership.region_id)
            table = None
        return LockView(reader, leadership, {} if table is None else table.locks)

    def take(self, view: LockView, modifies: Sequence[Modify]) -> bool:
        """Do here what a command decided about locks from `view`, in the same turn. False, and nothing was done, where
        they have to be written: a lock is in the engine, there is no room, or the region is about to change."""
        leadership = view.leadership
        if not self.enabled or not leadership.term or any(key in view.written for _, key, _ in modifies):
            return False
        table = self._tables.get(leadership.region_id)
        if table is None:
            table = self._tables[leadership.region_id] = _Table(leadership.version, leadership.term)
        elif (table.term, table.version) != (leadership.term, leadership.version):
            return False
        if any(value is not None for _, _, value in modifies) and not self._has_room(table, modifies):
            return False
        for _, key, value in modifies:
            self._set(table, key, value)
        return True

    def written(self, leadership: Leadership, modifies: Sequence[Modify]) -> None:
        """These were decided from a view under `leadership` and went through Raft: what they say of locks is in the
        engine now, or (where nobody knows whether they were applied) better forgotten."""
        table = self._tables.get(leadership.region_id)
        if table is not None and table.locks:
            for cf, key, _ in modifies:
                if cf == CF_LOCK:
                    self._set(table, key, None)

    # --- regions ------------------------------------------------------------------------------------------------------

    def keys(self, region_id: int) -> list[bytes]:
        """The storage keys of the region's locks."""
        table = self._tables.get(region_id)
        return [] if table is None else list(table.locks)

    def close_region(self, region_id: int) -> bool:
        """Keep no new locks of the region until it is opened again; False if it has none to care for."""
        table = self._tables.get(region_id)
        if table is None or not table.locks:
            return False
        table.closed += 1
        return True

    def open_region(self, region_id: int) -> None:
        """The change for which the region was closed was made, or given up."""
        table = self._tables.get(region_id)
        if table is not None and table.closed:
            table.closed -= 1

    def region_changed(self, region: metapb.Region) -> None:
        """The region has this range from now on; locks outside of it are another region's to give."""
        table = self._tables.get(region.id)
        if table is None:
            return
        table.version = region.region_epoch.version
        for key in list(table.locks):
            if key < region.start_key or (region.end_key and key >= region.end_key):
                self._set(table, key, None)

    def forget_region(self, region_id: int) -> None:
        """This store does not lead the region any more, or it is gone."""
        table = self._tables.pop(region_id, None)
        if table is not None:
            self._size_bytes -= table.size_bytes

    # --- inside -------------------------------------------------------------------------------------------------------

    def _has_room(self, table: _Table, modifies: Sequence[Modify]) -> bool:
        wanted = sum(_size(key, value) for _, key, value in modifies)
        within = table.size_bytes + wanted <= MAX_REGION_BYTES and self._size_bytes + wanted <= MAX_STORE_BYTES
        return within and not table.closed

    def _set(self, table: _Table, key: bytes, value: bytes | None) -> None:
        grown = _size(key, value) - _size(key, table.locks.pop(key, None))
        if value is not None:
            table.locks[key] = value
        table.size_bytes += grown
        self._size_bytes += grown


def _size(key: bytes, value: bytes | None) -> int:
    return 0 if value is None else LOCK_BYTES + len(key) + len(value)


class LockView:
    """A reader with the region's locks in memory beside those of the engine."""

    __slots__ = ("_locks", "_reader", "leadership", "written")

    def __init__(self, reader: Reader, leadership: Leadership, locks: dict[bytes, bytes]) -> None:
        self.leadership = leadership
        self.written: set[bytes] = set()
        """Keys whose lock was asked for and found in the engine."""
        self._reader = reader
        self._locks = locks

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        found = self._reader.get(cf, key)
        if cf != CF_LOCK:
            return found
        if found is None:
            return self._locks.get(key)
        self.written.add(key)
        return found

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        pairs = self._reader.scan(cf, start, end, reverse=reverse)
        if cf != CF_LOCK or not self._locks:
            return pairs
        mine = {key: lock for key, lock in self._locks.items() if start <= key and (end is None or key < end)}
        return iter(sorted((mine | dict(pairs)).items(), reverse=reverse)) if mine else pairs

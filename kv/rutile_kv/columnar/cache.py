"""`ArrowCache`: table bases and the deltas that carry them on, under one budget and one mutex.

The event loop is the one writer of deltas (`applied`) and hands out pins; worker threads look bases up and offer new
ones. What they get is immutable, or append-only and cut at the index of their pin. One rule keeps it all consistent:
a base is held only while the log that continues it is; a log that has a gap is thrown away with its bases, and whoever
was at work on a new base for it finds the log gone and is refused.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.delta import STEM_LENGTH, DeltaLog, table_stem
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.parts import RegionMirror, TableMirror
from rutile_kv.columnar.pins import Held, RegionPin, TablePin
from rutile_kv.engine.api import CF_WRITE, CF_WRITE_FILE, Modify
from rutile_kv.engine.table_file import TableFile
from rutile_proto import metapb_pb2 as metapb

DEFAULT_BUDGET_BYTES = 256 * 1024 * 1024
MAX_LOG_ENTRIES = 65_536
"""A table written that much since its last analytical read is better decoded anew."""

WORTH_WRITING = 8
"""A base of which at least one part in so many is not on disk is written anew."""
FAR_ENTRIES = 2_048
"""A file is also written anew when it is so many log entries behind: the log may soon not reach back to it."""


@dataclass(slots=True)
class CacheCounters:
    """What became of the look-ups since the start."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    overflows: int = 0
    """Logs given up because too much was written."""


class ArrowCache:
    """Bases by key, logs by region and table. When full, the least recently used bases go, and their logs."""

    def __init__(self, budget_bytes: int = DEFAULT_BUDGET_BYTES, max_log_entries: int = MAX_LOG_ENTRIES) -> None:
        self._budget_bytes = budget_bytes
        self._max_log_entries = max_log_entries
        self._bases: OrderedDict[BaseKey, tuple[TableBase, ...]] = OrderedDict()
        """The newest first, then the one before it."""
        self._of_table: dict[tuple[int, int], dict[BaseKey, None]] = {}
        """The keys held, by region and table."""
        self._sizes: dict[BaseKey, int] = {}
        self._debts: dict[BaseKey, int] = {}
        """What reads have paid for the delta of a base since it was made, in bytes."""
        self._on_due: Callable[[], None] = nobody
        self._logs: dict[int, dict[bytes, DeltaLog]] = {}
        self._size_bytes = 0
        self._is_followed = False
        self._mutex = threading.Lock()
        self.counters = CacheCounters()

    @property
    def size_bytes(self) -> int:
        """Bytes of Arrow buffers, keys and logs held now; never above the budget."""
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._bases)

    # --- the store's loop ---------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """From now on everything applied is told to `applied`, `drop_region`. Without that there are no pins."""
        self._is_followed = True

    def pin(self, region_id: int, table_ids: Sequence[int], index: int) -> RegionPin | None:
        """The mirror as of `index`, to be called in the same turn as a snapshot of that index is taken. Tables not
        followed yet are from here on. None if nobody follows."""
        if not self._is_followed:
            return None
        with self._mutex:
            logs = self._logs.setdefault(region_id, {})
            return RegionPin(index, {each: self._pin_table(region_id, each, logs, index) for each in table_ids})

    def _pin_table(self, region_id: int, table_id: int, logs: dict[bytes, DeltaLog], index: int) -> TablePin:
        log = logs.setdefault(table_stem(table_id), DeltaLog(index))
        bases = {key: self._bases[key] for key in self._of_table.get((region_id, table_id), ())}
        return TablePin(log, log.entries, bases)

    def applied(self, region_id: int, index: int, modifies: Sequence[Modify]) -> None:
        """Note what entry `index` committed. Deleted versions are no news: only garbage that no reader sees goes, and
        rollbacks."""
        if region_id not in self._logs:
            return
        with self._mutex:
            logs = self._logs.get(region_id, {})
            for cf, key, record in modifies:
                if cf == CF_WRITE and record is not None and (log := logs.get(key[:STEM_LENGTH])) is not None:
                    self._size_bytes += log.append(index, key, record)
                    if len(log.entries) > self._max_log_entries:
                        self.counters.overflows += 1
                        self._drop_log(region_id, key[:STEM_LENGTH])
                elif cf == CF_WRITE_FILE and record is not None:
                    self._drop_within(region_id, TableFile.from_bytes(record))
            self._evict()

    def _drop_within(self, region_id: int, table: TableFile) -> None:
        """A table file brings more rows than a delta is worth."""
        first, last = table.first_key[:STEM_LENGTH], table.last_key[:STEM_LENGTH]
        for stem in [stem for stem in self._logs.get(region_id, {}) if first <= stem <= last]:
            self._drop_log(region_id, stem)

    def drop_region(self, region_id: int) -> None:
        """Forget all of a region: it left this store, or its data or range are others now."""
        with self._mutex:
            self._drop_region(region_id)

    def take(self, region: metapb.Region) -> RegionMirror:
        """All that is held of a region, which is held no longer. Work on new bases for it is refused from here on."""
        with self._mutex:
            logs = self._logs.get(region.id, {})
            bases: dict[int, dict[int, TableBase]] = {}
            for key, generations in self._bases.items():
                if key.region_id == region.id:
                    bases.setdefault(key.table_id, {})[key.layout_version] = generations[0]
            tables = {each: TableMirror(logs[table_stem(each)], found) for each, found in bases.items()}
            self._drop_region(region.id)
            return RegionMirror(region, tables)

    def adopt(self, mirror: RegionMirror) -> None:
        """Hold `mirror` of a region of which nothing is held."""
        region = mirror.region
        if not mirror.tables:
            return
        with self._mutex:
            logs = self._logs.setdefault(region.id, {})
            for table_id, table in mirror.tables.items():
                logs[table_stem(table_id)] = table.log
                self._size_bytes += table.log.size_bytes
                for layout, base in table.bases.items():
                    self._hold(BaseKey(region.id, region.region_epoch.version, table_id, layout), (base,))
            self._evict()

    def clear(self) -> None:
        with self._mutex:
            self._bases.clear()
            self._of_table.clear()
            self._sizes.clear()
            self._debts.clear()
            self._logs.clear()
            self._size_bytes = 0

    # --- folding ------------------------------------------------------------------------------------------------------

    def when_due(self, tell: Callable[[], None]) -> None:
        """Call `tell`, from any thread, when `due` may have something new."""
        self._on_due = tell

    def charge(self, key: BaseKey, cost_bytes: int) -> None:
        """A read paid so much for what was committed since the base of `key`."""
        with self._mutex:
            if key in self._bases:
                self._debts[key] = self._debts.get(key, 0) + cost_bytes
                is_due = self._is_due(key)
            else:
                is_due = False
        if is_due:
            self._on_due()

    def due(self) -> list[BaseKey]:
        """The bases worth folding their deltas into: reads have paid as much for the delta as the fold will cost."""
        with self._mutex:
            return [key for key in self._debts if self._is_due(key)]

    def settle(self, key: BaseKey) -> None:
        """What was charged is about to be paid."""
        with self._mutex:
            self._debts.pop(key, None)

    def discard(self, key: BaseKey) -> None:
        """Forget one base."""
        with self._mutex:
            self._remove(key)

    # --- readers ------------------------------------------------------------------------------------------------------

    def find(self, key: BaseKey, pin: RegionPin, ts: int) -> Held | None:
        """The newest base that is not ahead of the pin, nor of `ts` if there is one, with the delta up to the pin."""
        table = pin.tables[key.table_id]
        with self._mutex:
            current, entries = self._bases.get(key, ()), table.log.entries
            fitting = _fitting(current, pin.index, ts) if self._is_live(key, table.log) else None
            if fitting is None:
                fitting, entries = _fitting(table.bases.get(key, ()), pin.index, ts), table.entries
            else:
                self._bases.move_to_end(key)
            if fitting is None:
                self.counters.misses += 1
                return None
            self.counters.hits += 1
            return Held(fitting, entries.between(fitting.index, pin.index))

    def put(self, key: BaseKey, base: TableBase, pin: RegionPin) -> TableBase:
        """Keep `base`, read or folded under `pin`, joined with the columns held for its index; returns what a reader
        should use. It is not kept if the log that continues it is gone, or if a newer one is there. The one it
        replaces stays until the next, for readers with timestamps of a moment ago."""
        log = pin.tables[key.table_id].log
        with self._mutex:
            older = self._bases.get(key, ())
            if older and older[0].index > base.index:
                return base
            if older and older[0].index == base.index:
                base, older = older[0].join(base), older[1:]
            if base.held_bytes <= self._budget_bytes and base.index >= log.since and self._is_live(key, log):
                self._remove(key)
                self._hold(key, (base, *older[:1]))
                self._trim(key, log)
                self._evict()
                self._on_due()
            return base

    # --- files --------------------------------------------------------------------------------------------------------

    def keys(self) -> list[BaseKey]:
        with self._mutex:
            return list(self._bases)

    def unsaved(self, index_on_disk: Callable[[BaseKey], int | None], *, all_of_it: bool) -> dict[BaseKey, TableBase]:
        """The newest bases that are not on disk as they are, or rather, unless `all_of_it` is asked for, those for
        which writing them whole is worth it: a file that is a little behind is brought forward by the Raft log. A part
        that was cut off still lies in the file of the whole."""
        with self._mutex:
            newest = {key: held[0] for key, held in self._bases.items()}
            all_of_it = all_of_it or self._is_pressed()
        indexes = {key: index_on_disk(key) for key in newest}
        changed = {key: base for key, base in newest.items() if not base.is_mapped or base.index != indexes[key]}
        return {key: base for key, base in changed.items() if all_of_it or _is_worth_writing(base, indexes[key])}

    def is_pressed(self) -> bool:
        """Whether so much of the budget is taken that bases had better go to disk at once."""
        with self._mutex:
            return self._is_pressed()

    def _is_pressed(self) -> bool:
        return 2 * self._size_bytes > self._budget_bytes

    def saved(self, key: BaseKey, mapped: TableBase) -> bool:
        """Go on with `mapped`, what was the newest base of `key` when it was written; False if that is held no longer.
        Columns that joined meanwhile stay in memory."""
        with self._mutex:
            held = self._bases.get(key, ())
            if not held or held[0].index != mapped.index or held[0].keys_lengths != mapped.keys_lengths:
                return False
            debt = self._debts.get(key, 0)
            self._remove(key)
            self._hold(key, (mapped.join(held[0]), *held[1:]))
            self._debts[key] = debt
            return True

    # --- inside, under the mutex --------------------------------------------------------------------------------------

    def _is_live(self, key: BaseKey, log: DeltaLog) -> bool:
        return self._logs.get(key.region_id, {}).get(table_stem(key.table_id)) is log

    def _trim(self, key: BaseKey, log: DeltaLog) -> None:
        """No base of the table needs what lies behind the oldest of them."""
        before = log.size_bytes
        keys = self._keys_of(key.region_id, table_stem(key.table_id))
        log.forget(min(self._bases[each][-1].index for each in keys))
        self._size_bytes += log.size_bytes - before

    def _keys_of(self, region_id: int, stem: bytes) -> list[BaseKey]:
        return [key for key in self._bases if key.region_id == region_id and table_stem(key.table_id) == stem]

    def _is_due(self, key: BaseKey) -> bool:
        return self._debts.get(key, 0) > self._bases[key][0].size_bytes

    def _hold(self, key: BaseKey, generations: tuple[TableBase, ...]) -> None:
        newest = generations[0]
        self._bases[key] = generations
        self._of_table.setdefault((key.region_id, key.table_id), {})[key] = None
        self._sizes[key] = newest.held_bytes + sum(older.size_beside(newest) for older in generations[1:])
        self._size_bytes += self._sizes[key]

    def _remove(self, key: BaseKey) -> None:
        if self._bases.pop(key, None) is not None:
            table = self._of_table[key.region_id, key.table_id]
            del table[key]
            if not table:
                del self._of_table[key.region_id, key.table_id]
            self._size_bytes -= self._sizes.pop(key)
            self._debts.pop(key, None)

    def _drop_log(self, region_id: int, stem: bytes) -> None:
        log = self._logs[region_id].pop(stem)
        self._size_bytes -= log.size_bytes
        for key in self._keys_of(region_id, stem):
            self._remove(key)

    def _drop_region(self, region_id: int) -> None:
        for stem in list(self._logs.get(region_id, ())):
            self._drop_log(region_id, stem)
        self._logs.pop(region_id, None)

    def _evict(self) -> None:
        while self._size_bytes > self._budget_bytes:
            key = next((each for each in self._bases if self._sizes[each]), next(iter(self._bases), None))
            if key is None:
                self._logs.clear()
                self._size_bytes = 0
                return
            self._remove(key)
            self.counters.evictions += 1
            stem = table_stem(key.table_id)
            if not self._keys_of(key.region_id, stem):
                self._drop_log(key.region_id, stem)


def _is_worth_writing(base: TableBase, index_on_disk: int | None) -> bool:
    is_far = index_on_disk is None or base.index - index_on_disk > FAR_ENTRIES
    return is_far or base.held_bytes * WORTH_WRITING > base.size_bytes


def _fitting(generations: Sequence[TableBase], index: int, ts: int) -> TableBase | None:
    """The newest base of an index not above `index`; rather one that a read at `ts` may use."""
    old_enough = [base for base in generations if base.index <= index]
    return next((base for base in old_enough if base.max_commit_ts <= ts), old_enough[0] if old_enough else None)


def nobody() -> None:
    """Nobody folds."""

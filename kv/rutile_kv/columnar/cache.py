"""`ArrowCache`: table bases and the deltas that carry them on, under one budget and one mutex.

The event loop is the one writer of deltas (`applied`) and hands out pins; worker threads look bases up and offer new
ones. What they get is immutable, or append-only and cut at the index of their pin. One rule keeps it all consistent:
a base is held only while the log that continues it is; a log that has a gap is thrown away with its bases, and whoever
was at work on a new base for it finds the log gone and is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.building import Turns
from rutile_kv.columnar.delta import STEM_LENGTH, table_stem
from rutile_kv.columnar.holdings import Holdings, fitting, is_worth_writing
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.parts import RegionMirror, TableMirror
from rutile_kv.columnar.pins import Held, RegionPin
from rutile_kv.columnar.room import Room
from rutile_kv.columnar.rows import Check
from rutile_kv.engine.api import CF_WRITE, CF_WRITE_FILE, Modify
from rutile_kv.engine.table_file import TableFile
from rutile_proto import metapb_pb2 as metapb

DEFAULT_BUDGET_BYTES = 256 * 1024 * 1024
MAX_LOG_ENTRIES = 65_536
"""A table written that much faster than its bases can be folded is better decoded anew."""
FOLD_SHARE = 3 / 8
"""Of a full log: with so many entries its base is folded, whoever reads. A log reaches back to the base before."""
NEWS_ENTRIES = 1024
"""After so many entries of all tables those who keep up with them are told."""


Wake = Callable[[BaseKey, Callable[[TableBase], object]], None]
"""Gives the base of a key to a callable, if it can be had."""


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
        self.budget_bytes = budget_bytes
        self._max_log_entries = max_log_entries
        self._held = Holdings(max(1, int(max_log_entries * FOLD_SHARE)))
        self._news = 0
        self._on_due: Callable[[], None] = nobody
        self._on_moved: Callable[[TableBase, TableBase], None] = unnoticed
        self._is_followed = False
        self._wake: Wake = nothing_sleeps
        self._mutex = threading.Lock()
        self._room = Room(self._mutex)
        self.turns = Turns()
        self.counters = CacheCounters()

    @property
    def size_bytes(self) -> int:
        """Bytes of Arrow buffers, keys and logs held now; never above the budget."""
        return self._held.size_bytes

    def __len__(self) -> int:
        return len(self._held.bases)

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
            return RegionPin(index, {each: self._held.pin_table(region_id, each, index) for each in table_ids})

    def applied(self, region_id: int, index: int, modifies: Sequence[Modify]) -> None:
        """Note what entry `index` committed. Deleted versions are no news: only garbage that no reader sees goes, and
        rollbacks."""
        if region_id not in self._held.logs:
            return
        with self._mutex:
            logs = self._held.logs.get(region_id, {})
            for cf, key, record in modifies:
                if cf == CF_WRITE and record is not None and (log := logs.get(key[:STEM_LENGTH])) is not None:
                    self._held.size_bytes += log.append(index, key, record)
                    self._news += 1
                    if len(log.entries) > self._max_log_entries:
                        self.counters.overflows += 1
                        self._held.drop_log(region_id, key[:STEM_LENGTH])
                elif cf == CF_WRITE_FILE and record is not None:
                    self._drop_within(region_id, TableFile.from_bytes(record))
            self._evict()
        if self._news >= NEWS_ENTRIES:
            self._news = 0
            self._on_due()

    def unseen(self, key: BaseKey, index: int) -> int:
        """How many records were committed to a table above applied index `index`, as far as is held."""
        with self._mutex:
            log = self._held.logs.get(key.region_id, {}).get(table_stem(key.table_id))
            return 0 if log is None else log.entries.above(index)

    def _drop_within(self, region_id: int, table: TableFile) -> None:
        """A table file brings more rows than a delta is worth."""
        first, last = table.first_key[:STEM_LENGTH], table.last_key[:STEM_LENGTH]
        for stem in [stem for stem in self._held.logs.get(region_id, {}) if first <= stem <= last]:
            self._held.drop_log(region_id, stem)

    def drop_region(self, region_id: int) -> None:
        """Forget all of a region: it left this store, or its data or range are others now."""
        with self._mutex:
            self._held.drop_region(region_id)

    def take(self, region: metapb.Region) -> RegionMirror:
        """All that is held of a region, which is held no longer. Work on new bases for it is refused from here on."""
        with self._mutex:
            logs = self._held.logs.get(region.id, {})
            bases: dict[int, dict[int, TableBase]] = {}
            for key, generations in self._held.bases.items():
                if key.region_id == region.id:
                    bases.setdefault(key.table_id, {})[key.layout_version] = generations[0]
            tables = {each: TableMirror(logs[table_stem(each)], found) for each, found in bases.items()}
            self._held.drop_region(region.id)
            return RegionMirror(region, tables)

    def adopt(self, mirror: RegionMirror) -> None:
        """Hold `mirror` of a region of which nothing is held."""
        region = mirror.region
        if not mirror.tables:
            return
        with self._mutex:
            logs = self._held.logs.setdefault(region.id, {})
            for table_id, table in mirror.tables.items():
                logs[table_stem(table_id)] = table.log
                self._held.size_bytes += table.log.size_bytes
                for layout, base in table.bases.items():
                    self._held.hold(BaseKey(region.id, region.region_epoch.version, table_id, layout), (base,))
            self._evict()

    def clear(self) -> None:
        with self._mutex:
            self._held.clear()

    # --- folding ------------------------------------------------------------------------------------------------------

    def when_due(self, tell: Callable[[], None]) -> None:
        """Call `tell`, from any thread, when `due` may have something new."""
        self._on_due = tell

    def when_moved(self, tell: Callable[[TableBase, TableBase], None]) -> None:
        """Call `tell`, in the store's loop, when a base goes on as another with the same rows in the same chunks, which
        lie in a file."""
        self._on_moved = tell

    def charge(self, key: BaseKey, cost_bytes: int) -> None:
        """A read paid so much for what was committed since the base of `key`."""
        with self._mutex:
            held = self._held
            is_due = False
            if key in held.bases:
                held.debts[key] = held.debts.get(key, 0) + cost_bytes
                is_due = held.is_due(key)
        if is_due:
            self._on_due()

    def due(self) -> list[BaseKey]:
        """The bases worth folding their deltas into: reads have paid as much for the delta as the fold will cost, or
        it is so long that it would soon be thrown away."""
        with self._mutex:
            return [key for key in self._held.bases if self._held.is_due(key)]

    def settle(self, key: BaseKey) -> None:
        """What was charged is about to be paid."""
        with self._mutex:
            self._held.debts.pop(key, None)

    def discard(self, key: BaseKey) -> None:
        """Forget one base."""
        with self._mutex:
            self._held.remove(key)

    # --- readers ------------------------------------------------------------------------------------------------------

    def find(self, key: BaseKey, pin: RegionPin, ts: int) -> Held | None:
        """The newest base that is not ahead of the pin, nor of `ts` if there is one, with the delta up to the pin."""
        table = pin.tables[key.table_id]
        with self._mutex:
            current, entries = self._held.bases.get(key, ()), table.log.entries
            base = fitting(current, pin.index, ts) if self._held.is_live(key, table.log) else None
            if base is None:
                base, entries = fitting(table.bases.get(key, ()), pin.index, ts), table.entries
            else:
                self._held.bases.move_to_end(key)
            if base is None:
                self.counters.misses += 1
                return None
            self.counters.hits += 1
            return Held(base, entries.between(base.index, pin.index))

    def put(self, key: BaseKey, base: TableBase, pin: RegionPin) -> TableBase:
        """Keep `base`, read or folded under `pin`, joined with the columns held for its index; returns what a reader
        should use. It is not kept if the log that continues it is gone, or if a newer one is there. The one it
        replaces stays until the next, for readers with timestamps of a moment ago."""
        log = pin.tables[key.table_id].log
        with self._mutex:
            older = self._held.bases.get(key, ())
            if older and older[0].index > base.index:
                return base
            if older and older[0].index == base.index:
                base, older = older[0].join(base), older[1:]
            if base.held_bytes <= self.budget_bytes and base.index >= log.since and self._held.is_live(key, log):
                self._held.remove(key)
                self._held.hold(key, (base, *older[:1]))
                self._held.trim(key, log)
                self._evict()
                self._on_due()
            return base

    # --- builders -----------------------------------------------------------------------------------------------------

    def await_room(self, check: Check) -> None:
        """Return when a base more can be held in memory without others going that are not on disk yet, or when all has
        been done that can be. `check` is asked now and then, and raises to give up."""
        if self.is_pressed() and self._room.is_kept:
            self._on_due()
            self._room.wait(self._is_pressed, check)

    def writes(self, is_kept: bool) -> None:
        """Whether somebody writes bases to files, and says so after each round: what could be written is."""
        self._room.tell(is_kept)

    # --- files of an earlier process ----------------------------------------------------------------------------------

    def sleepers(self, wake: Wake) -> None:
        """From now on `wake` checks the base of a key that lies in a file since before the start, and hands it over."""
        self._wake = wake

    def revive(self, key: BaseKey, pin: RegionPin) -> None:
        """Hold the base of `key` that an earlier process left, if there is one. To be called in the turn of the key."""
        self._wake(key, lambda base: self.put(key, base, pin))

    # --- files --------------------------------------------------------------------------------------------------------

    def keys(self) -> list[BaseKey]:
        with self._mutex:
            return list(self._held.bases)

    def unsaved(
        self,
        index_on_disk: Callable[[BaseKey], int | None],
        is_behind: Callable[[BaseKey, TableBase], bool],
        *,
        all_of_it: bool = False,
    ) -> dict[BaseKey, TableBase]:
        """The newest bases that are not on disk as they are, or rather, unless `all_of_it` is asked for, those for
        which writing them whole is worth it: a file that is not far behind is brought forward by its journal. A part
        that was cut off still lies in the file of the whole."""
        with self._mutex:
            newest = {key: held[0] for key, held in self._held.bases.items()}
            all_of_it = all_of_it or self._is_pressed()
        indexes = {key: index_on_disk(key) for key in newest}
        changed = {key: base for key, base in newest.items() if not base.is_mapped or base.index != indexes[key]}
        return {
            key: base
            for key, base in changed.items()
            if all_of_it or indexes[key] is None or is_behind(key, base) or is_worth_writing(base)
        }

    def is_pressed(self) -> bool:
        """Whether so much of the budget is taken that bases had better go to disk at once."""
        with self._mutex:
            return self._is_pressed()

    def _is_pressed(self) -> bool:
        return 2 * self._held.unwritten_bytes > self.budget_bytes

    def saved(self, key: BaseKey, mapped: TableBase) -> bool:
        """Go on with `mapped`, what was the newest base of `key` when it was written; False if that is held no longer.
        Columns that joined meanwhile stay in memory."""
        with self._mutex:
            held = self._held.bases.get(key, ())
            if not held or held[0].index != mapped.index or held[0].keys_lengths != mapped.keys_lengths:
                return False
            debt = self._held.debts.get(key, 0)
            self._held.remove(key)
            joined = mapped.join(held[0])
            self._held.hold(key, (joined, *held[1:]))
            self._held.debts[key] = debt
        self._on_moved(held[0], joined)
        return True

    def committed_since(self, key: BaseKey, index: int) -> list[tuple[int, bytes, bytes]]:
        """What was committed above applied index `index`, of which a base of `key` is held."""
        with self._mutex:
            entries = self._held.logs[key.region_id][table_stem(key.table_id)].entries
            found = entries.between(index, entries.indexes[-1]) if len(entries) else entries
        return list(zip(found.indexes, found.versions, found.records, strict=True))

    def _evict(self) -> None:
        self.counters.evictions += self._held.evict(self.budget_bytes)


def nothing_sleeps(key: BaseKey, hold: Callable[[TableBase], object]) -> None:
    """There are no files of an earlier process."""


def nobody() -> None:
    """Nobody folds."""


def unnoticed(old: TableBase, new: TableBase) -> None:
    """Nobody keeps anything beside bases."""

"""`Holdings`: what a cache holds, and what it weighs: bases by key, logs by region and table, debts.

Bases and logs stand and fall together: a base whose log is gone could not be carried on, a log without a base tells
nothing. Nothing here locks; the cache's mutex does, around every call.
"""

from __future__ import annotations

from collections import OrderedDict

from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.delta import DeltaLog, table_stem
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.pins import TablePin

WORTH_WRITING = 8
"""A base of which at least one part in so many is not on disk is written anew."""


class Holdings:
    """Belongs to a cache."""

    def __init__(self, fold_entries: int) -> None:
        """A base whose delta has so many entries is due, whoever reads."""
        self._fold_entries = fold_entries
        self.bases: OrderedDict[BaseKey, tuple[TableBase, ...]] = OrderedDict()
        """The newest first, then the one before it. The least recently used key first."""
        self.logs: dict[int, dict[bytes, DeltaLog]] = {}
        """By region, and by how the keys of a table's rows begin."""
        self.debts: dict[BaseKey, int] = {}
        """What reads have paid for the delta of a base since it was made, in bytes."""
        self.size_bytes = 0
        """Of the buffers and keys that are not in files, and of logs."""
        self._sizes: dict[BaseKey, int] = {}
        self._of_table: dict[tuple[int, int], dict[BaseKey, None]] = {}
        """The keys held, by region and table."""

    def clear(self) -> None:
        """Hold nothing."""
        for each in (self.bases, self.logs, self.debts, self._sizes, self._of_table):
            each.clear()
        self.size_bytes = 0

    @property
    def unwritten_bytes(self) -> int:
        """Of what is held of bases in memory."""
        return sum(self._sizes.values())

    # --- bases --------------------------------------------------------------------------------------------------------

    def hold(self, key: BaseKey, generations: tuple[TableBase, ...]) -> None:
        """Hold bases of `key`, of which there are none."""
        newest = generations[0]
        self.bases[key] = generations
        self._of_table.setdefault((key.region_id, key.table_id), {})[key] = None
        self._sizes[key] = newest.held_bytes + sum(older.size_beside(newest) for older in generations[1:])
        self.size_bytes += self._sizes[key]

    def remove(self, key: BaseKey) -> None:
        """Let go of the bases of `key`, if there are any; their log stays."""
        if self.bases.pop(key, None) is not None:
            table = self._of_table[key.region_id, key.table_id]
            del table[key]
            if not table:
                del self._of_table[key.region_id, key.table_id]
            self.size_bytes -= self._sizes.pop(key)
            self.debts.pop(key, None)

    def keys_of(self, region_id: int, table_id: int) -> list[BaseKey]:
        """Of the bases of one table in one region: one a layout."""
        return list(self._of_table.get((region_id, table_id), ()))

    def is_due(self, key: BaseKey) -> bool:
        """Whether reads have paid as much for the delta of a base as making the next one costs, or it got long."""
        log = self.logs[key.region_id][table_stem(key.table_id)]
        return log.unfolded >= self._fold_entries or self.debts.get(key, 0) > self.bases[key][0].size_bytes

    def evict(self, budget_bytes: int) -> int:
        """Let go of the least recently used bases that take memory, until the rest fits; how many went."""
        gone = 0
        while self.size_bytes > budget_bytes:
            key = next((each for each in self.bases if self._sizes[each]), next(iter(self.bases), None))
            if key is None:
                self.logs.clear()
                self.size_bytes = 0
                break
            self.remove(key)
            gone += 1
            if not self.keys_of(key.region_id, key.table_id):
                self.drop_log(key.region_id, table_stem(key.table_id))
        return gone

    # --- logs ---------------------------------------------------------------------------------------------------------

    def pin_table(self, region_id: int, table_id: int, index: int) -> TablePin:
        """What a reader at `index` may use of a table; its log begins here if there is none."""
        logs = self.logs.setdefault(region_id, {})
        log = logs.setdefault(table_stem(table_id), DeltaLog(index))
        return TablePin(log, log.entries, {key: self.bases[key] for key in self.keys_of(region_id, table_id)})

    def is_live(self, key: BaseKey, log: DeltaLog) -> bool:
        """Whether `log` is still the one that carries on the bases of `key`."""
        return self.logs.get(key.region_id, {}).get(table_stem(key.table_id)) is log

    def trim(self, key: BaseKey, log: DeltaLog) -> None:
        """No base of the table needs what lies behind the oldest of them."""
        before, keys = log.size_bytes, self.keys_of(key.region_id, key.table_id)
        log.forget(min(self.bases[each][-1].index for each in keys))
        log.folded(max(self.bases[each][0].index for each in keys))
        self.size_bytes += log.size_bytes - before

    def drop_log(self, region_id: int, stem: bytes) -> None:
        """Let go of a table's log and of the bases it carries on."""
        log = self.logs[region_id].pop(stem)
        self.size_bytes -= log.size_bytes
        held = [key for key in self.bases if key.region_id == region_id and table_stem(key.table_id) == stem]
        for key in held:
            self.remove(key)

    def drop_region(self, region_id: int) -> None:
        """Let go of everything in a region."""
        for stem in list(self.logs.get(region_id, ())):
            self.drop_log(region_id, stem)
        self.logs.pop(region_id, None)


def is_worth_writing(base: TableBase) -> bool:
    """Whether a base that is on disk as it once was is to be written whole."""
    return base.held_bytes * WORTH_WRITING > base.size_bytes


def fitting(generations: tuple[TableBase, ...], index: int, ts: int) -> TableBase | None:
    """The newest base of an index not above `index`; rather one that a read at `ts` may use."""
    old_enough = [base for base in generations if base.index <= index]
    return next((base for base in old_enough if base.max_commit_ts <= ts), old_enough[0] if old_enough else None)

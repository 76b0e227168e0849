"""What the mirror's files are worth when a store starts: those that can be brought forward are taken up again.

    file of a base      applied index A, region 3 in version 7
    its journal         what was committed above A, up to U
    engine at start     applied index B, region 3 in version 7, log from C on

The file is right if the region is still in that version (so its range is the same, and nothing was merged into it),
A <= B, and the log reaches back to U and tells of no other version above it: what it tells is the rest of the delta. An
entry of a version before was written when the region had another range, maybe by another region's log in part: the base
is of before then, and what was committed up to the change is only in its journal, if that was kept. A scan of the rows
for commits above the base's newest would not do: commits of different keys are not applied in the order of their
timestamps.

Only manifests, journals and what the log has above them are read at the start: nothing that grows with the tables. The
bases themselves sleep until a query wants them, or the keeper has looked at all of them (`rutile_kv.columnar.files`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.delta import STEM_LENGTH, DeltaLog, Entries, table_stem
from rutile_kv.columnar.files import MirrorFiles, nothing
from rutile_kv.columnar.journal import JournalRead
from rutile_kv.columnar.journals import Journals
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.live_tables import LiveTables
from rutile_kv.columnar.parts import RegionMirror, TableMirror
from rutile_kv.engine.api import CF_WRITE, CF_WRITE_FILE, Engine, Modify
from rutile_kv.engine.table_file import TableFile
from rutile_kv.env.failpoints import Failpoints
from rutile_kv.raft.errors import Compacted
from rutile_kv.raft.messages import Entry
from rutile_kv.raftstore.commands import decode_command, decode_modifies
from rutile_kv.raftstore.store import Store
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.mirror_keeper import LocalSnapshots, MirrorKeeper
from rutile_kv.server.mirror_upkeep import MirrorUpkeep
from rutile_proto import metapb_pb2 as metapb

log = logging.getLogger(__name__)

FOLDER = "mirror"
"""Beside the engine's files."""

READ_BYTES = 16 << 20
"""Log read at once."""


class AppliedLog(Protocol):
    """What of a store a file is judged by; `raftstore.store.Store` is the real one."""

    def region(self, region_id: int) -> metapb.Region | None: ...

    def applied_index(self, region_id: int) -> int: ...

    def applied_entries(self, region_id: int, after: int, max_bytes: int) -> list[Entry]: ...


async def keep_mirror(
    cache: ArrowCache,
    followed: LiveTables,
    store: Store,
    engine: Engine,
    config: StoreConfig,
    opened: AsyncExitStack,
) -> None:
    """Make `cache` follow the store, with what its files still tell, and keep up with tables `followed`; before the
    store applies anything."""
    files, journals = None, Journals()
    if config.data_dir is not None and config.mirror_disk_bytes:
        folder, points = config.data_dir / FOLDER, Failpoints.of_environment(config.data_dir)
        pass_by = nothing if points is None else points.hit
        files = await asyncio.to_thread(MirrorFiles, folder, config.mirror_disk_bytes, pass_by)
        journals = Journals(pass_by)
    store.observe(MirrorUpkeep(cache, files, journals))
    if files is not None:
        found = await asyncio.to_thread(restore, cache, files, journals, store)
        log.info("%d tables of the mirror were found on disk", found)
    keeper = MirrorKeeper(cache, LocalSnapshots(store, engine).take, files, journals, followed=followed)
    opened.push_async_callback(keeper.close)
    keeper.start()


def restore(cache: ArrowCache, files: MirrorFiles, journals: Journals, store: AppliedLog) -> int:
    """Let `cache` and `journals` go on with what is left of the files, which are asleep; their number. The rest is
    removed. Raises OSError."""
    by_region: dict[int, dict[BaseKey, int]] = {}
    for key, index in files.load().items():
        by_region.setdefault(key.region_id, {})[key] = index
    kept: set[BaseKey] = set()
    for region_id, found in by_region.items():
        region = store.region(region_id)
        if region is not None:
            kept.update(_Restoring(cache, files, journals, store, region).run(found))
    for key in files.asleep:
        if key not in kept:
            files.remove(key)
    cache.sleepers(files.wake)
    return len(kept)


@dataclass(frozen=True, slots=True)
class _Restoring:
    """Of one region."""

    cache: ArrowCache
    files: MirrorFiles
    journals: Journals
    store: AppliedLog
    region: metapb.Region

    def run(self, found: Mapping[BaseKey, int]) -> list[BaseKey]:
        """The keys of bases that can be brought forward, of each table the one of the newest layout; `found` says of
        which applied index the bases are."""
        applied, version = self.store.applied_index(self.region.id), self.region.region_epoch.version
        newest = {key.table_id: key for key in sorted(found, key=lambda each: each.layout_version)}
        sound = [key for key in newest.values() if key.epoch_version == version and found[key] <= applied]
        reads = {key: self._read_journal(key, applied) for key in sound}
        rest = log_since(self.store, self.region, {key.table_id: read.upto for key, read in reads.items()})
        kept = [key for key in sound if key.table_id in rest]
        tables = {}
        for key in kept:
            delta = self._go_on(key, reads[key], rest[key.table_id])
            tables[key.table_id] = TableMirror(delta, {})
        self.cache.adopt(RegionMirror(self.region, tables))
        return kept

    def _read_journal(self, key: BaseKey, applied: int) -> JournalRead:
        read = self.files.read_journal(key)
        read.cut(applied)
        return read

    def _go_on(self, key: BaseKey, read: JournalRead, rest: Entries) -> DeltaLog:
        """The delta of a base: what its journal and the log tell."""
        journal, delta = self.files.go_on_with_journal(key, read), DeltaLog(read.base_index, read.entries)
        for entry in zip(rest.indexes, rest.versions, rest.records, strict=True):
            journal.note(*entry)
            delta.append(*entry)
        self.journals.keep(key, journal)
        return delta


def log_since(store: AppliedLog, region: metapb.Region, after: Mapping[int, int]) -> dict[int, Entries]:
    """What was written to tables above a log entry each, by table id. A table is left out if the log does not reach
    back to that entry, or if it brought a table file of it: that is more than a delta holds."""
    wanted = dict(sorted(after.items(), key=lambda item: item[1]))
    while wanted:
        try:
            return _read_log(store, region, wanted)
        except Compacted:
            oldest = min(wanted.values())
            for table_id in [each for each, index in wanted.items() if index == oldest]:
                del wanted[table_id]
                log.info(
                    "the mirror of table %d in region %d is older than the log: it is rebuilt", table_id, region.id
                )
    return {}


def _read_log(store: AppliedLog, region: metapb.Region, after: Mapping[int, int]) -> dict[int, Entries]:
    """Raises Compacted."""
    found = {table_id: Entries() for table_id in after}
    index = min(after.values())
    while entries := store.applied_entries(region.id, index, READ_BYTES):
        for entry in entries:
            command = decode_command(entry) if entry.data else None
            if command is not None and command.epoch.version != region.region_epoch.version:
                _leave_out(found, [each for each in found if after[each] < entry.index], region, "older than its range")
            elif command is not None and command.HasField("write"):
                _note(found, after, region, entry.index, decode_modifies(command.write))
        index = entries[-1].index
    return found


def _note(
    found: dict[int, Entries], after: Mapping[int, int], region: metapb.Region, index: int, modifies: Iterable[Modify]
) -> None:
    """What log entry `index` committed."""
    tables = {table_stem(table_id): table_id for table_id in found if after[table_id] < index}
    for cf, key, record in modifies:
        if cf == CF_WRITE and record is not None:
            table_id = tables.get(key[:STEM_LENGTH])
            if table_id in found:
                found[table_id].append(index, key, record)
        elif cf == CF_WRITE_FILE and record is not None:
            within = _within(TableFile.from_bytes(record), tables.values())
            _leave_out(found, [each for each in within if each in found], region, "older than a load")


def _leave_out(found: dict[int, Entries], table_ids: Iterable[int], region: metapb.Region, why: str) -> None:
    for table_id in table_ids:
        log.info("the mirror of table %d in region %d is %s", table_id, region.id, why)
        del found[table_id]


def _within(table: TableFile, table_ids: Iterable[int]) -> list[int]:
    """Those of the tables that a table file may have rows of."""
    first, last = table.first_key[:STEM_LENGTH], table.last_key[:STEM_LENGTH]
    return [each for each in table_ids if first <= table_stem(each) <= last]

"""What the mirror's files are worth when a store starts: those that the Raft log can bring forward are taken up again.

    file of a base      applied index A, region 3 in version 7
    engine at start     applied index B, region 3 in version 7, log from C on

The file is right if the region is still in that version (so its range is the same, and nothing was merged into it),
A <= B, and the log reaches back to A: what the entries between wrote is the delta. Entries of another version had no
effect when they were applied and have none here. A scan of the rows for commits above the base's newest would not do:
commits of different keys are not applied in the order of their timestamps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Protocol

from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.delta import DeltaLog, table_stem
from rutile_kv.columnar.files import MirrorFiles, nothing
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.parts import RegionMirror, TableMirror
from rutile_kv.engine.api import CF_WRITE, CF_WRITE_FILE, Engine
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
    cache: ArrowCache, store: Store, engine: Engine, config: StoreConfig, opened: AsyncExitStack
) -> None:
    """Make `cache` follow the store, with what its files still tell; before the store applies anything."""
    files = None
    if config.data_dir is not None and config.mirror_disk_bytes:
        folder, points = config.data_dir / FOLDER, Failpoints.of_environment(config.data_dir)
        pass_by = nothing if points is None else points.hit
        files = await asyncio.to_thread(MirrorFiles, folder, config.mirror_disk_bytes, pass_by)
    store.observe(MirrorUpkeep(cache, files))
    if files is not None:
        log.info("%d tables of the mirror were found on disk", await asyncio.to_thread(restore, cache, files, store))
    keeper = MirrorKeeper(cache, LocalSnapshots(store, engine).take, files)
    opened.push_async_callback(keeper.close)
    keeper.start()


def restore(cache: ArrowCache, files: MirrorFiles, store: AppliedLog) -> int:
    """Hold what is left of the files in `cache`; the number of bases. The rest of the files is removed."""
    by_region: dict[int, dict[BaseKey, TableBase]] = {}
    for key, base in files.load().items():
        by_region.setdefault(key.region_id, {})[key] = base
    for region_id, found in by_region.items():
        region = store.region(region_id)
        if region is not None:
            cache.adopt(RegionMirror(region, _tables(store, region, found)))
    files.retain(cache.keys())
    return len(cache)


def _tables(store: AppliedLog, region: metapb.Region, found: Mapping[BaseKey, TableBase]) -> dict[int, TableMirror]:
    """The bases that can be brought forward, of each table the one of the newest layout."""
    tables: dict[int, TableMirror] = {}
    for key in sorted(found, key=lambda each: each.layout_version):
        base = found[key]
        if key.epoch_version == region.region_epoch.version and base.index <= store.applied_index(region.id):
            delta = log_since(store, region, key.table_id, base.index)
            if delta is not None:
                tables[key.table_id] = TableMirror(delta, {key.layout_version: base})
    return tables


def log_since(store: AppliedLog, region: metapb.Region, table_id: int, index: int) -> DeltaLog | None:
    """What was written to a table above `index`; None if the Raft log does not reach back to it."""
    delta, stem = DeltaLog(index), table_stem(table_id)
    try:
        while entries := store.applied_entries(region.id, index, READ_BYTES):
            if not all(_note(delta, stem, region, entry) for entry in entries):
                log.info("the mirror of table %d in region %d is older than a load: it is rebuilt", table_id, region.id)
                return None
            index = entries[-1].index
    except Compacted:
        log.info("the mirror of table %d in region %d is older than the log: it is rebuilt", table_id, region.id)
        return None
    return delta


def _note(delta: DeltaLog, stem: bytes, region: metapb.Region, entry: Entry) -> bool:
    """False if the entry brought a table file of the table: that is more than a delta holds."""
    command = decode_command(entry) if entry.data else None
    if command is None or not command.HasField("write") or command.epoch.version != region.region_epoch.version:
        return True
    for cf, key, record in decode_modifies(command.write):
        if cf == CF_WRITE and record is not None and key.startswith(stem):
            delta.append(entry.index, key, record)
        elif cf == CF_WRITE_FILE and record is not None:
            table = TableFile.from_bytes(record)
            if table.first_key[: len(stem)] <= stem <= table.last_key[: len(stem)]:
                return False
    return True

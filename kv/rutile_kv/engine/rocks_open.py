"""Opening: whose the directory is, and how RocksDB is to use memory and disk."""

import os
import shutil
from pathlib import Path
from typing import Any

import rocksdict

from rutile_kv.engine.api import ALL_CFS, CF_DEFAULT, CF_LOCK, RAW_CFS, Cf
from rutile_kv.engine.options import MIB, EngineOptions
from rutile_kv.engine.rocks_errors import reraise
from rutile_kv.engine.rocks_table_files import BLOCK_BYTES
from rutile_proto.errors import DataDirMismatch, EngineCorrupt

FORMAT_VERSION = 1
"""Written to the file FORMAT. A directory of a newer format is refused."""
INGEST_DIRECTORY = "ingest"
"""Where table files are made before RocksDB takes them over; emptied at every start."""
_BLOOM_BITS_PER_KEY = 10
_LOCK_MEMTABLE_BYTES = MIB
"""Kept small: locks live for milliseconds, and a scan for locks steps over all deleted since the last flush."""
_TABLE_BYTES = 32 * MIB


def claim_directory(path: Path) -> None:
    """Make the directory, or check that what is there is ours and not newer than we are."""
    path.mkdir(parents=True, exist_ok=True)
    marker = path / "FORMAT"
    if not marker.exists():
        if (path / "CURRENT").exists():
            raise DataDirMismatch(f"{path} holds a RocksDB database that Rutile did not make: choose another directory")
        _write_durably(marker, f"{FORMAT_VERSION}\n")
    text = marker.read_text().strip()
    if not text.isdigit():
        raise EngineCorrupt(f"{marker} holds {text!r} where a format version belongs")
    if int(text) > FORMAT_VERSION:
        raise DataDirMismatch(f"{path} has format {text}, this version reads up to {FORMAT_VERSION}: upgrade Rutile")
    shutil.rmtree(path / INGEST_DIRECTORY, ignore_errors=True)


def _write_durably(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def open_database(path: Path, options: EngineOptions) -> Any:
    """The rocksdict database in `path` with all our families."""
    cache = rocksdict.Cache(options.block_cache_bytes)
    of_family: dict[Cf, Any] = {cf: _family_options(cf, cache, options) for cf in ALL_CFS}
    try:
        return rocksdict.Rdict(str(path), _database_options(options), column_families=of_family)
    except Exception as error:
        reraise(error, path)


def _database_options(options: EngineOptions) -> Any:
    database = rocksdict.Options(raw_mode=True)
    database.create_if_missing(True)
    database.create_missing_column_families(True)
    database.set_db_write_buffer_size(options.memtable_bytes)
    database.set_max_total_wal_size(4 * options.memtable_bytes)
    database.set_max_background_jobs(options.background_jobs)
    database.set_max_open_files(options.max_open_files)
    database.set_wal_recovery_mode(rocksdict.DBRecoveryMode.point_in_time())
    database.set_bytes_per_sync(MIB)
    database.set_max_log_file_size(4 * MIB)
    database.set_keep_log_file_num(4)
    return database


def _family_options(cf: Cf, cache: Any, options: EngineOptions) -> Any:
    blocks = rocksdict.BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_block_size(BLOCK_BYTES)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    if cf in (CF_DEFAULT, CF_LOCK, *RAW_CFS):  # the only ones asked for exact keys that may not be there
        blocks.set_bloom_filter(_BLOOM_BITS_PER_KEY, False)
    family = rocksdict.Options(raw_mode=True)
    family.set_block_based_table_factory(blocks)
    family.set_compression_type(rocksdict.DBCompressionType.lz4())
    family.set_level_compaction_dynamic_level_bytes(True)
    family.set_write_buffer_size(_LOCK_MEMTABLE_BYTES if cf == CF_LOCK else options.memtable_bytes // 2)
    family.set_target_file_size_base(_TABLE_BYTES)
    return family

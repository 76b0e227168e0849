"""Table files: written whole for bulk loads, and asked what they hold for size estimates."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rocksdict

from rutile_kv.engine.estimate import KeySpan
from rutile_kv.engine.options import MIB
from rutile_kv.engine.rocks_table_files import table_options

INGEST_FILE_BYTES = 64 * MIB
"""About how large one ingested table file gets, before compression."""


def write_tables(directory: Path, pairs: Iterator[tuple[bytes, bytes]]) -> tuple[int, list[str]]:
    """Table files of the sorted pairs, and how many pairs there were."""
    count, room = 0, 0
    files: list[str] = []
    writer: Any = None
    for key, value in pairs:
        if room <= 0:
            if writer is not None:
                writer.finish()
            files.append(str(directory / f"{len(files):06d}.sst"))
            writer, room = rocksdict.SstFileWriter(table_options()), INGEST_FILE_BYTES
            writer.open(files[-1])
        writer[key] = value
        room -= len(key) + len(value)
        count += 1
    if writer is not None:
        writer.finish()
    return count, files


def file_spans(family: Any) -> list[KeySpan]:
    """The table files of ALL families: rocksdict does not say whose a file is. See `engine.estimate`."""
    return [KeySpan(file["start_key"], file["end_key"], file["num_entries"]) for file in family.live_files()]


def memtable_entries(family: Any) -> int:
    names = ("rocksdb.num-entries-active-mem-table", "rocksdb.num-entries-imm-mem-tables")
    return sum(family.property_int_value(name) or 0 for name in names)

"""Making table files and looking into them (see `table_file`).

Making one costs about half a microsecond a pair. Looking into one means to have RocksDB take it over in a scratch
database, some milliseconds whatever it holds: rocksdict reads no file by itself.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rocksdict

from rutile_kv.engine.table_file import TableFile
from rutile_proto.errors import InvalidRequest

BLOCK_BYTES = 16 * 1024
"""As of the families: what is read at once, and compressed together."""
_ZSTD_LEVEL = 1
_ZSTD_WINDOW_BITS = -14
"""RocksDB's own default; Zstandard does not look at it."""


def make_table_file(keys: Sequence[bytes], values: Sequence[bytes]) -> TableFile:
    """The file of the parallel keys and values, at least one. Raises InvalidRequest when the keys do not ascend."""
    assert len(keys) == len(values), "keys and values of a table file are parallel"
    with tempfile.TemporaryDirectory(prefix="rutile-table-") as folder:
        path = Path(folder) / "table.sst"
        writer = rocksdict.SstFileWriter(table_options())
        writer.open(str(path))
        try:
            deque(map(writer.__setitem__, keys, values), maxlen=0)  # a third quicker than a loop
            writer.finish()
        except Exception as error:
            if "order" in str(error):
                raise InvalidRequest("the keys of a table file have to ascend strictly") from error
            raise
        size_bytes = sum(map(len, keys)) + sum(map(len, values))
        return TableFile(keys[0], keys[-1], len(keys), size_bytes, path.read_bytes())


def pairs_of(table: TableFile) -> Iterator[tuple[bytes, bytes]]:
    """What the file holds, in key order. Raises InvalidRequest when RocksDB cannot read it."""
    with _opened(table) as database:
        yield from database.items()


def check_table_file(table: TableFile) -> None:
    """Raises InvalidRequest unless RocksDB takes the file over, and it holds what its header says."""
    with _opened(table) as database:
        found = [(file["start_key"], file["end_key"], file["num_entries"]) for file in database.live_files()]
    if found != [(table.first_key, table.last_key, table.entries)]:
        raise InvalidRequest("a table file holds something else than its header says")


@contextmanager
def _opened(table: TableFile) -> Iterator[Any]:
    """A scratch database that holds the file and nothing else."""
    with tempfile.TemporaryDirectory(prefix="rutile-table-") as folder:
        path = Path(folder) / "table.sst"
        path.write_bytes(table.data)
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        database = rocksdict.Rdict(str(Path(folder) / "scratch"), options)
        try:
            try:
                database.ingest_external_file([str(path)], ingest_options())
            except Exception as error:
                raise InvalidRequest(f"RocksDB refuses a table file: {error}") from error
            yield database
        finally:
            database.close()


def table_options() -> Any:
    """How table files are compressed: harder than what a store writes for itself (LZ4), since each byte of a file that
    travels is copied a dozen times on its way into three stores. Level 1 costs a tenth more than LZ4, and saves a
    third."""
    blocks = rocksdict.BlockBasedOptions()
    blocks.set_block_size(BLOCK_BYTES)
    options = rocksdict.Options(raw_mode=True)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(rocksdict.DBCompressionType.zstd())
    options.set_compression_options(_ZSTD_WINDOW_BITS, _ZSTD_LEVEL, 0, 0)
    return options


def ingest_options() -> Any:
    """RocksDB takes the file itself, not a copy."""
    options = rocksdict.IngestExternalFileOptions()
    options.set_move_files(True)
    return options

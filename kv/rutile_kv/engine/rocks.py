"""The engine on RocksDB, through rocksdict.

What rocksdict gives and where this file works round it (0.3.29):

* everything in raw mode: keys and values are bytes and nothing else;
* a failure is a bare `Exception` with RocksDB's text: `rocks_errors` gives it its class;
* the lower bound of a scan sets the upper one, and an iterator ends in silence at a damaged block: `rocks_scan`;
* a snapshot's iterators show the present: `rocks_snapshot`;
* a deleted range with start >= end is accepted, and then poisons every later flush: such ranges are dropped here;
* iterators, snapshots and family handles keep the database open, and its directory locked, until they are gone: `close`
  takes back all but the iterators, which a caller lets go of.

A write goes to the log file at once, so a killed process loses nothing; `sync` is what a power cut asks for.
"""

import os
import shutil
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import rocksdict

from rutile_kv.engine.api import ALL_CFS, DATA_CFS, Cf, Modify, WriteBatch
from rutile_kv.engine.estimate import KeySpan, entries_in
from rutile_kv.engine.options import EngineOptions
from rutile_kv.engine.rocks_errors import reraise
from rutile_kv.engine.rocks_open import INGEST_DIRECTORY, claim_directory, open_database
from rutile_kv.engine.rocks_scan import edge, scan
from rutile_kv.engine.rocks_snapshot import RocksSnapshot, WhileOpen
from rutile_kv.engine.rocks_table_files import ingest_options
from rutile_kv.engine.rocks_tables import file_spans, memtable_entries, write_tables
from rutile_kv.engine.table_file import TableFile
from rutile_proto.errors import EngineClosed, InvalidRequest, StorageError

WALK_PAIRS = 1024
"""Pairs per family that a size estimate reads before it falls back on what table files tell."""


class RocksBatch:
    """A rocksdict batch with families by name, which knows what it touches. `len` counts operations."""

    __slots__ = ("_count", "_handles", "_native", "_written", "deleted_ranges", "tables", "touched")

    def __init__(self, handles: Mapping[Cf, Any]) -> None:
        self._native = rocksdict.WriteBatch(raw_mode=True)
        self._handles = handles
        self._count = 0
        self._written = False
        self.touched: dict[Cf, list[bytes]] = {cf: [] for cf in ALL_CFS}
        self.deleted_ranges: list[tuple[Cf, bytes, bytes]] = []
        self.tables: list[tuple[Cf, TableFile]] = []

    def put(self, cf: Cf, key: bytes, value: bytes) -> None:
        self._native.put(key, value, self._handles[cf])
        self.touched[cf].append(key)
        self._count += 1

    def delete(self, cf: Cf, key: bytes) -> None:
        self._native.delete(key, self._handles[cf])
        self.touched[cf].append(key)
        self._count += 1

    def delete_range(self, cf: Cf, start: bytes, end: bytes) -> None:
        if start < end:
            self._native.delete_range(start, end, self._handles[cf])
            self.deleted_ranges.append((cf, start, end))
        self._count += 1

    def extend(self, modifies: Iterable[Modify]) -> None:
        put, delete, handles, touched = self._native.put, self._native.delete, self._handles, self.touched
        for cf, key, value in modifies:
            if value is None:
                delete(key, handles[cf])
            else:
                put(key, value, handles[cf])
            touched[cf].append(key)
            self._count += 1

    def ingest(self, cf: Cf, table: TableFile) -> None:
        self.tables.append((cf, table))
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def take(self) -> Any:
        """The rocksdict batch, once."""
        if self._written:
            raise InvalidRequest("this batch was written before; a batch is written once")
        self._written = True
        return self._native


class RocksEngine:
    """The Engine protocol on one RocksDB database. Made by `open`."""

    def __init__(self, path: Path, options: EngineOptions) -> None:
        self._path = path
        self._database = open_database(path, options)
        self._families = WhileOpen((cf, self._database.get_column_family(cf)) for cf in ALL_CFS)
        self._handles = WhileOpen((cf, self._database.get_column_family_handle(cf)) for cf in ALL_CFS)
        self._snapshots: weakref.WeakSet[RocksSnapshot] = weakref.WeakSet()
        self._closed = False

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, options: EngineOptions | None = None) -> "RocksEngine":
        """The engine in directory `path`, made if it is not there.

        Raises DataDirMismatch when the directory is in use, of a newer format or not Rutile's, EngineCorrupt when its
        contents cannot have been written by us, and StorageError when the disk refuses.
        """
        directory = Path(path)
        try:
            claim_directory(directory)
            return cls(directory, options or EngineOptions.for_machine())
        except OSError as error:
            raise StorageError(f"cannot open the data directory {directory}: {error}") from error

    # --- reading ---

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._families[cf].get(key)
        except Exception as error:
            reraise(error)
        return value

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return scan(self._families[cf], start, end, reverse=reverse)

    def snapshot(self) -> RocksSnapshot:
        self._check_open()
        snapshot = RocksSnapshot(self._families)
        self._snapshots.add(snapshot)
        return snapshot

    def approximate_size_bytes(self, start: bytes, end: bytes | None) -> int:
        """Bytes of keys and values before compression.

        Exact for a family with at most WALK_PAIRS pairs in range. Beyond that: entries of table files and memtables,
        taken as evenly spread between first and last key, times the mean size of the pairs walked. Old versions and
        tombstones not yet compacted away count.
        """
        self._check_open()
        return sum(self._family_size(self._families[cf], start, end) for cf in DATA_CFS)

    def _family_size(self, family: Any, start: bytes, end: bytes | None) -> int:
        walked = list(islice(scan(family, start, end, reverse=False), WALK_PAIRS))
        weight = sum(len(key) + len(value) for key, value in walked)
        if len(walked) < WALK_PAIRS:
            return weight
        last = next(scan(family, start, end, reverse=True))[0]
        whole = KeySpan(edge(family, last=False), edge(family, last=True), memtable_entries(family))
        entries = entries_in([*file_spans(family), whole], walked[0][0], last + b"\0")
        return int(max(entries, WALK_PAIRS) * weight / WALK_PAIRS)

    # --- writing ---

    def batch(self) -> RocksBatch:
        return RocksBatch(self._handles)

    def write(self, batch: WriteBatch) -> None:
        self._check_open()
        if not isinstance(batch, RocksBatch):
            raise TypeError("a batch belongs to the kind of engine that made it")
        native = batch.take()
        self._tell_snapshots(batch)
        if batch.tables:
            self._take_over(batch.tables)
        try:
            self._database.write(native)
        except Exception as error:
            reraise(error)

    def sync(self) -> None:
        self._check_open()
        try:
            self._database.flush_wal(True)
        except Exception as error:
            reraise(error)

    def ingest(self, cf: Cf, pairs: Iterator[tuple[bytes, bytes]]) -> int:
        """Write table files of about INGEST_FILE_BYTES and hand them to RocksDB in one step.

        Earlier batches are synced first: ingested files are durable at once, and what is durable must be a prefix.
        Raises InvalidRequest when the keys do not ascend strictly.
        """
        self.sync()
        directory = self._path / INGEST_DIRECTORY
        directory.mkdir(exist_ok=True)
        try:
            count, files = write_tables(directory, self._noting(cf, pairs))
            if files:
                self._families[cf].ingest_external_file(files, ingest_options())
        except Exception as error:
            reraise(error)
        finally:
            shutil.rmtree(directory)
        return count

    def compact(self, start: bytes, end: bytes | None) -> None:
        self._check_open()
        try:
            for cf in DATA_CFS:
                self._families[cf].compact_range(start, end)
        except Exception as error:
            reraise(error)

    def close(self) -> None:
        """Sync and close; snapshots given out are closed with it. Raises StorageError when the disk refuses the rest,
        which is closed all the same."""
        if self._closed:
            return
        self.sync()
        self._closed = True
        for snapshot in list(self._snapshots):
            snapshot.close()
        self._handles.clear()
        try:
            with ExitStack() as closing:
                closing.callback(self._database.close)
                closing.callback(self._families.clear)
                for family in self._families.values():
                    closing.callback(family.close)
        except Exception as error:
            reraise(error)

    def _take_over(self, tables: list[tuple[Cf, TableFile]]) -> None:
        """Have RocksDB link the files; durable on return, and so is everything written before."""
        self.sync()
        directory = self._path / INGEST_DIRECTORY
        directory.mkdir(exist_ok=True)
        try:
            for number, (cf, table) in enumerate(tables):
                path = directory / f"{number:06d}.sst"
                path.write_bytes(table.data)
                self._families[cf].ingest_external_file([str(path)], ingest_options())
        except Exception as error:
            reraise(error)
        finally:
            shutil.rmtree(directory)

    def _noting(self, cf: Cf, pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """`pairs`, of which open snapshots hear before they are ingested."""
        if not self._snapshots:
            return pairs
        held = list(pairs)
        for snapshot in self._snapshots:
            snapshot.note({cf: [key for key, _ in held]})
        return iter(held)

    def _tell_snapshots(self, batch: RocksBatch) -> None:
        if not self._snapshots:
            return
        for cf, start, end in batch.deleted_ranges:
            batch.touched[cf].extend(key for key, _ in self.scan(cf, start, end))
        for cf, table in batch.tables:
            for snapshot in self._snapshots:
                snapshot.note_file(cf, table.first_key, table.last_key)
        for snapshot in self._snapshots:
            snapshot.note(batch.touched)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed(f"the engine in {self._path} is closed")

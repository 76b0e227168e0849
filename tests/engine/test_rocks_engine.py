"""What only the RocksDB engine does: durability, its directory, damage, sizes of more than can be walked."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rutile_kv.engine import rocks
from rutile_kv.engine.estimate import KeySpan, entries_in
from rutile_kv.engine.options import MIB, EngineOptions, machine_memory_bytes
from rutile_kv.engine.rocks import RocksEngine
from rutile_proto.errors import DataDirMismatch, EngineCorrupt, StorageError


def fill(engine: RocksEngine, count: int, value: bytes = b"v") -> None:
    batch = engine.batch()
    for number in range(count):
        batch.put("write", b"%08d" % number, value)
    engine.write(batch)


def test_data_survives_a_close(reopen: Callable[[], RocksEngine]) -> None:
    engine = reopen()
    fill(engine, 100)
    assert engine.ingest("default", iter([(b"ingested", b"v")])) == 1
    batch = engine.batch()
    batch.delete_range("write", b"00000010", b"00000020")
    engine.write(batch)
    engine = reopen()
    assert len(list(engine.scan("write", b"", None))) == 90
    assert engine.get("default", b"ingested") == b"v"


WRITE_AND_DIE = """
import os, sys
from rutile_kv.engine.rocks import RocksEngine
engine = RocksEngine.open(sys.argv[1])
for number in range(50):
    batch = engine.batch()
    batch.put("write", b"%04d" % number, b"v")
    batch.put("raft", b"applied", b"%04d" % number)
    engine.write(batch)
    if number == 30:
        engine.sync()
os._exit(9)
"""


def test_a_killed_process_loses_nothing_it_wrote(tmp_path: Path) -> None:
    died = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(tmp_path / "db")], check=False)
    assert died.returncode == 9
    engine = RocksEngine.open(tmp_path / "db")
    assert len(list(engine.scan("write", b"", None))) == 50
    assert engine.get("raft", b"applied") == b"0049"
    engine.close()


def test_a_torn_log_leaves_a_prefix_of_the_batches(tmp_path: Path) -> None:
    died = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(tmp_path / "db")], check=False)
    assert died.returncode == 9
    log = max((tmp_path / "db").glob("*.log"), key=os.path.getsize)
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 150)
    engine = RocksEngine.open(tmp_path / "db")
    survivors = [key for key, _ in engine.scan("write", b"", None)]
    assert 0 < len(survivors) < 50
    assert survivors == [b"%04d" % number for number in range(len(survivors))]
    assert engine.get("raft", b"applied") == survivors[-1]
    engine.close()


def test_a_directory_in_use_is_refused(reopen: Callable[[], RocksEngine], tmp_path: Path) -> None:
    reopen()
    with pytest.raises(DataDirMismatch, match="in use"):
        RocksEngine.open(tmp_path / "durable")


def test_closing_frees_the_directory_although_snapshots_are_open(reopen: Callable[[], RocksEngine]) -> None:
    snapshot = reopen().snapshot()
    assert reopen().get("default", b"k") is None
    del snapshot


def test_a_newer_format_is_refused(reopen: Callable[[], RocksEngine], tmp_path: Path) -> None:
    reopen().close()
    (tmp_path / "durable" / "FORMAT").write_text("2\n")
    with pytest.raises(DataDirMismatch, match="format 2"):
        RocksEngine.open(tmp_path / "durable")


def test_a_damaged_format_file_is_corruption(tmp_path: Path) -> None:
    (tmp_path / "FORMAT").write_text("one")
    with pytest.raises(EngineCorrupt, match="'one'"):
        RocksEngine.open(tmp_path)


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").write_text("MANIFEST-000001\n")
    with pytest.raises(DataDirMismatch, match="did not make"):
        RocksEngine.open(tmp_path)


def test_a_path_that_cannot_be_a_directory_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        RocksEngine.open(tmp_path / "file")


def test_a_damaged_manifest_is_corruption(reopen: Callable[[], RocksEngine], tmp_path: Path) -> None:
    reopen().close()
    manifest = next((tmp_path / "durable").glob("MANIFEST-*"))
    damaged = bytearray(manifest.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    manifest.write_bytes(damaged)
    with pytest.raises(EngineCorrupt):
        RocksEngine.open(tmp_path / "durable")


def test_a_damaged_table_is_corruption_when_read(tmp_path: Path) -> None:
    engine = RocksEngine.open(tmp_path / "db")
    engine.ingest("default", ((b"%08d" % number, os.urandom(100)) for number in range(2000)))
    engine.close()
    table = max((tmp_path / "db").glob("*.sst"), key=os.path.getsize)
    damaged = bytearray(table.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    table.write_bytes(damaged)
    engine = RocksEngine.open(tmp_path / "db")
    with pytest.raises(EngineCorrupt):
        list(engine.scan("default", b"", None))
    with pytest.raises(EngineCorrupt):
        list(engine.scan("default", b"", None, reverse=True))
    engine.close()


def test_ingest_rolls_over_to_several_tables(tmp_path: Path) -> None:
    engine = RocksEngine.open(tmp_path / "db")
    pairs = [(b"%08d" % number, os.urandom(MIB)) for number in range(80)]
    assert engine.ingest("default", iter(pairs)) == 80
    assert len(engine._families["default"].live_files()) == 2
    assert list(engine.scan("default", b"", None)) == pairs
    assert not (tmp_path / "db" / "ingest").exists()
    engine.close()


def test_errors_of_the_pairs_to_ingest_stay_what_they_are(tmp_path: Path) -> None:
    engine = RocksEngine.open(tmp_path / "db")

    def broken() -> Iterator[tuple[bytes, bytes]]:
        yield b"a", b""
        raise LookupError("no more")

    with pytest.raises(LookupError):
        engine.ingest("default", broken())
    assert list(engine.scan("default", b"", None)) == []
    engine.close()


@pytest.mark.parametrize("in_tables", [False, True])
def test_sizes_of_large_ranges_are_estimated(tmp_path: Path, in_tables: bool) -> None:
    engine = RocksEngine.open(tmp_path / "db")
    batch = engine.batch()
    for number in range(10 * rocks.WALK_PAIRS):
        batch.put("write", number.to_bytes(8, "big"), b"x" * 92)
    engine.write(batch)
    if in_tables:
        engine._families["write"].flush()
    total = engine.approximate_size_bytes(b"", None)
    assert total == pytest.approx(1000 * rocks.WALK_PAIRS, rel=0.02)
    half = engine.approximate_size_bytes((5 * rocks.WALK_PAIRS).to_bytes(8, "big"), None)
    assert half == pytest.approx(500 * rocks.WALK_PAIRS, rel=0.02)
    engine.close()


def test_spans_share_by_place_between_their_ends() -> None:
    span = KeySpan(b"k0000", b"k9999", 1000)
    assert span.share(b"", None) == 1.0
    assert span.share(b"k0", b"k9999\0") == 1.0
    assert span.share(b"l", None) == span.share(b"", b"k") == span.share(b"k5", b"k4") == 0.0
    assert entries_in([span, span], b"k5", None) == pytest.approx(1000, rel=0.1)
    assert KeySpan(b"k", b"k", 1).share(b"k", None) == 1.0


def test_memory_shares_are_bounded() -> None:
    assert EngineOptions.for_machine(1 << 30) == EngineOptions(32 * MIB, 16 * MIB)
    assert EngineOptions.for_machine(1 << 40) == EngineOptions(512 * MIB, 128 * MIB)
    assert EngineOptions.for_machine(1) == EngineOptions(16 * MIB, 8 * MIB)
    assert machine_memory_bytes() > 0

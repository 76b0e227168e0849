"""Table files: made, taken over whole by both engines, and refused when they are not what they say."""

import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from rutile_kv.engine.api import Engine
from rutile_kv.engine.failing import NotedBatch
from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.engine.rocks_table_files import check_table_file, make_table_file, pairs_of
from rutile_kv.engine.table_file import TableFile
from rutile_proto.errors import InvalidRequest

PAIRS = [(b"k%03d" % number, b"value %d" % number) for number in range(500)]


def table(pairs: list[tuple[bytes, bytes]]) -> TableFile:
    return make_table_file([key for key, _ in pairs], [value for _, value in pairs])


def ingest(engine: Engine, *tables: TableFile) -> None:
    batch = engine.batch()
    for each in tables:
        batch.ingest("write", each)
    engine.write(batch)


def test_a_file_travels_and_tells_what_it_holds() -> None:
    made = table(PAIRS)
    assert TableFile.from_bytes(made.to_bytes()) == made
    assert (made.first_key, made.last_key, made.entries) == (b"k000", b"k499", 500)
    assert made.size_bytes == sum(len(key) + len(value) for key, value in PAIRS)
    assert list(pairs_of(made)) == PAIRS
    check_table_file(made)


def test_what_is_no_file_is_refused() -> None:
    made = table(PAIRS)
    travelled = made.to_bytes()
    for broken in (
        b"",
        b"\x02" + travelled[1:],
        travelled[:20],
        travelled[:-1],
        travelled[:-9] + b"!" + travelled[-8:],
    ):
        with pytest.raises(InvalidRequest):
            TableFile.from_bytes(broken)
    for lie in (replace(made, entries=499), replace(made, first_key=b"k"), replace(made, data=b"no table" * 100)):
        assert zlib.crc32(lie.data) == zlib.crc32(TableFile.from_bytes(lie.to_bytes()).data)
        with pytest.raises(InvalidRequest):
            check_table_file(lie)
    with pytest.raises(InvalidRequest, match="ascend"):
        make_table_file([b"b", b"a"], [b"", b""])


def test_a_batch_takes_files_over_with_the_rest_of_it(engine: Engine) -> None:
    batch = engine.batch()
    batch.put("raft", b"applied", b"7")
    batch.ingest("write", table(PAIRS[:200]))
    batch.ingest("write", table(PAIRS[100:]))  # sent twice in part: the same versions
    engine.write(batch)
    assert list(engine.scan("write", b"", None)) == PAIRS
    assert engine.get("raft", b"applied") == b"7"
    assert list(engine.scan("default", b"", None)) == []


def test_snapshots_show_what_was_before_a_file(engine: Engine) -> None:
    batch = engine.batch()
    batch.put("write", b"k100", b"old")
    batch.put("write", b"k100a", b"between")
    batch.put("write", b"z", b"outside")
    engine.write(batch)
    before = [(b"k100", b"old"), (b"k100a", b"between"), (b"z", b"outside")]
    with engine.snapshot() as snapshot:
        ingest(engine, table(PAIRS))
        assert list(snapshot.scan("write", b"", None)) == before
        assert list(snapshot.scan("write", b"k", b"l", reverse=True)) == before[1::-1]
        later = engine.batch()
        later.put("write", b"k100a", b"changed")
        later.put("write", b"k200", b"changed")
        engine.write(later)
        assert list(snapshot.scan("write", b"", None)) == before
        assert snapshot.get("write", b"k100") == b"old"
    assert engine.get("write", b"k100") == b"value 100"
    assert engine.get("write", b"k200") == b"changed"
    assert len(list(engine.scan("write", b"", None))) == 502


def test_what_a_file_brought_is_there_after_opening_again(tmp_path: Path) -> None:
    engine = RocksEngine.open(tmp_path / "db")
    ingest(engine, table(PAIRS))
    engine.close()
    engine = RocksEngine.open(tmp_path / "db")
    assert list(engine.scan("write", b"", None)) == PAIRS
    engine.close()


def test_a_noted_batch_hands_files_on(engine: Engine) -> None:
    batch = NotedBatch(engine.batch())
    batch.ingest("write", table(PAIRS))
    assert batch.operations == [("write", b"k000", b"", None)]
    engine.write(batch.inner)
    assert engine.get("write", b"k001") == b"value 1"

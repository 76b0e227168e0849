"""What every engine does, whatever it is made of: the rules of `engine.api`."""

from collections.abc import Callable
from threading import Thread

import pytest

from rutile_kv.engine.api import ALL_CFS, Cf, Engine
from rutile_proto.errors import EngineClosed, InvalidRequest


def put(engine: Engine, *pairs: tuple[bytes, bytes], cf: Cf = "default") -> None:
    batch = engine.batch()
    for key, value in pairs:
        batch.put(cf, key, value)
    engine.write(batch)


def keys(engine: Engine, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False) -> list[bytes]:
    return [key for key, _ in engine.scan("default", start, end, reverse=reverse)]


def delete_range(engine: Engine, start: bytes, end: bytes) -> None:
    batch = engine.batch()
    batch.delete_range("default", start, end)
    engine.write(batch)


LETTERS = tuple((letter, letter.upper()) for letter in (b"a", b"b", b"c", b"d"))


def test_a_written_value_is_read_back_and_a_missing_one_is_none(engine: Engine) -> None:
    put(engine, (b"k", b"v"), (b"empty", b""))
    assert engine.get("default", b"k") == b"v"
    assert engine.get("default", b"empty") == b""
    assert engine.get("default", b"absent") is None


def test_families_are_separate(engine: Engine) -> None:
    for cf in ALL_CFS:
        put(engine, (b"k", cf.encode()), cf=cf)
    assert [engine.get(cf, b"k") for cf in ALL_CFS] == [cf.encode() for cf in ALL_CFS]


def test_a_batch_applies_in_order_and_counts_its_operations(engine: Engine) -> None:
    batch = engine.batch()
    batch.put("default", b"k", b"1")
    batch.delete("default", b"k")
    batch.put("default", b"k", b"2")
    batch.put("lock", b"k", b"3")
    batch.delete("lock", b"k")
    assert len(batch) == 5
    engine.write(batch)
    assert engine.get("default", b"k") == b"2"
    assert engine.get("lock", b"k") is None


def test_nothing_of_a_batch_shows_before_it_is_written(engine: Engine) -> None:
    batch = engine.batch()
    batch.put("default", b"k", b"v")
    assert engine.get("default", b"k") is None
    engine.write(batch)
    assert engine.get("default", b"k") == b"v"


def test_a_batch_is_written_once(engine: Engine) -> None:
    batch = engine.batch()
    batch.put("default", b"k", b"v")
    engine.write(batch)
    with pytest.raises(InvalidRequest):
        engine.write(batch)


def test_an_empty_batch_changes_nothing(engine: Engine) -> None:
    engine.write(engine.batch())
    assert keys(engine) == []


def test_scans_are_half_open_and_in_byte_order(engine: Engine) -> None:
    put(engine, (b"\xff", b""), (b"b", b""), (b"a\0", b""), (b"a", b""), (b"c", b""))
    assert keys(engine) == [b"a", b"a\0", b"b", b"c", b"\xff"]
    assert keys(engine, b"a\0", b"c") == [b"a\0", b"b"]
    assert keys(engine, b"bb") == [b"c", b"\xff"]


def test_reverse_scans_yield_the_same_range_from_its_end(engine: Engine) -> None:
    put(engine, *LETTERS)
    assert keys(engine, reverse=True) == [b"d", b"c", b"b", b"a"]
    assert keys(engine, b"b", b"d", reverse=True) == [b"c", b"b"]
    assert keys(engine, b"b", reverse=True) == [b"d", b"c", b"b"]


@pytest.mark.parametrize(("start", "end"), [(b"c", b"b"), (b"b", b"b"), (b"", b""), (b"x", None)])
def test_empty_ranges_are_empty_both_ways(engine: Engine, start: bytes, end: bytes | None) -> None:
    put(engine, *LETTERS)
    assert keys(engine, start, end) == []
    assert keys(engine, start, end, reverse=True) == []


def test_long_scans_return_everything_once(engine: Engine) -> None:
    expected = [b"%06d" % number for number in range(2000)]
    put(engine, *((key, b"v") for key in expected))
    assert keys(engine) == expected
    assert keys(engine, reverse=True) == expected[::-1]
    assert keys(engine, b"000300", b"001700") == expected[300:1700]


def test_a_snapshot_shows_all_families_at_one_moment(engine: Engine) -> None:
    for cf in ALL_CFS:
        put(engine, (b"k", b"old"), (b"gone", b"soon"), cf=cf)
    with engine.snapshot() as snapshot:
        for cf in ALL_CFS:
            put(engine, (b"k", b"new"), (b"later", b"x"), cf=cf)
        delete_range(engine, b"gone", b"gonf")
        for cf in ALL_CFS:
            assert snapshot.get(cf, b"k") == b"old"
            assert snapshot.get(cf, b"later") is None
            assert list(snapshot.scan(cf, b"", None)) == [(b"gone", b"soon"), (b"k", b"old")]
            assert list(snapshot.scan(cf, b"", None, reverse=True)) == [(b"k", b"old"), (b"gone", b"soon")]
    assert keys(engine) == [b"k", b"later"]


def test_snapshots_of_several_moments_live_side_by_side(engine: Engine) -> None:
    snapshots = []
    for number in range(5):
        put(engine, (b"k", b"%d" % number))
        snapshots.append(engine.snapshot())
    batch = engine.batch()
    batch.delete("default", b"k")
    engine.write(batch)
    assert [snapshot.get("default", b"k") for snapshot in snapshots] == [b"0", b"1", b"2", b"3", b"4"]
    for number in (2, 0, 4):
        snapshots.pop(snapshots.index(snapshots[min(number, len(snapshots) - 1)])).close()
        put(engine, (b"other", b"x"))
    assert [snapshot.get("default", b"k") for snapshot in snapshots] == [b"1", b"3"]
    for snapshot in snapshots:
        snapshot.close()


def test_a_scan_shows_the_engine_as_it_was_when_called(engine: Engine) -> None:
    put(engine, *((b"%04d" % number, b"old") for number in range(600)))
    forward, backward = engine.scan("default", b"", None), engine.scan("default", b"", None, reverse=True)
    delete_range(engine, b"0100", b"0500")
    put(engine, (b"0001", b"new"), (b"0000x", b"new"))
    assert list(forward) == [(b"%04d" % number, b"old") for number in range(600)]
    assert len(list(backward)) == 600
    assert len(keys(engine)) == 201


def test_a_snapshot_may_be_read_in_another_thread_while_the_engine_is_written(engine: Engine) -> None:
    expected = [(b"%05d" % number, b"old") for number in range(3000)]
    put(engine, *expected)
    results: list[list[tuple[bytes, bytes]]] = []
    with engine.snapshot() as snapshot:
        reader = Thread(target=lambda: results.extend(list(snapshot.scan("default", b"", None)) for _ in range(3)))
        reader.start()
        for number in range(200):
            put(engine, (b"%05dx" % number, b"new"), (b"%05d" % number, b"new"))
            delete_range(engine, b"%05d" % (number + 1000), b"%05d" % (number + 1001))
        reader.join()
    assert results == [expected] * 3


def test_delete_range_is_seen_at_once_and_ordered_within_its_batch(engine: Engine) -> None:
    put(engine, *LETTERS)
    batch = engine.batch()
    batch.put("default", b"bb", b"doomed")
    batch.delete_range("default", b"b", b"d")
    batch.put("default", b"c", b"reborn")
    engine.write(batch)
    assert list(engine.scan("default", b"", None)) == [(b"a", b"A"), (b"c", b"reborn"), (b"d", b"D")]
    assert engine.get("default", b"b") is None


@pytest.mark.parametrize(("start", "end"), [(b"d", b"a"), (b"b", b"b")])
def test_deleting_an_empty_range_does_no_harm(engine: Engine, start: bytes, end: bytes) -> None:
    put(engine, *LETTERS)
    delete_range(engine, start, end)
    assert len(keys(engine)) == 4
    assert engine.ingest("default", iter([(b"e", b"E")])) == 1


def test_ingested_pairs_are_newer_than_what_was_written_before(engine: Engine) -> None:
    put(engine, *LETTERS)
    with engine.snapshot() as before:
        assert engine.ingest("default", iter([(b"b", b"ingested"), (b"bb", b"ingested")])) == 2
        assert before.get("default", b"b") == b"B"
        assert before.get("default", b"bb") is None
    assert list(engine.scan("default", b"b", b"c")) == [(b"b", b"ingested"), (b"bb", b"ingested")]
    put(engine, (b"b", b"newest"))
    assert engine.get("default", b"b") == b"newest"


def test_ingesting_nothing_is_allowed(engine: Engine) -> None:
    assert engine.ingest("write", iter([])) == 0


@pytest.mark.parametrize("pairs", [[(b"b", b""), (b"a", b"")], [(b"a", b""), (b"a", b"")]])
def test_ingest_refuses_keys_that_do_not_ascend(engine: Engine, pairs: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(InvalidRequest):
        engine.ingest("default", iter(pairs))
    assert keys(engine) == []


def test_sizes_grow_with_what_lies_in_the_range(engine: Engine) -> None:
    assert engine.approximate_size_bytes(b"", None) == 0
    put(engine, *((b"%06d" % number, b"x" * 94) for number in range(1000)), cf="write")
    assert engine.approximate_size_bytes(b"", None) == 100_000
    assert engine.approximate_size_bytes(b"000100", b"000200") == 10_000
    assert engine.approximate_size_bytes(b"1", b"0") == 0


def test_the_raft_family_does_not_count_as_data(engine: Engine) -> None:
    put(engine, (b"k", b"x" * 1000), cf="raft")
    assert engine.approximate_size_bytes(b"", None) == 0


CALLS: dict[str, Callable[[Engine], object]] = {
    "get": lambda engine: engine.get("default", b"k"),
    "scan": lambda engine: list(engine.scan("default", b"", None)),
    "write": lambda engine: put(engine, (b"k", b"v")),
    "sync": lambda engine: engine.sync(),
    "snapshot": lambda engine: engine.snapshot(),
    "ingest": lambda engine: engine.ingest("default", iter([(b"k", b"v")])),
    "size": lambda engine: engine.approximate_size_bytes(b"", None),
    "compact": lambda engine: engine.compact(b"", None),
}


def test_compaction_changes_nothing_that_can_be_read(engine: Engine) -> None:
    put(engine, (b"a", b"1"), (b"b", b"2"), (b"c", b"3"))
    with engine.snapshot() as snapshot:
        batch = engine.batch()
        batch.delete("default", b"a")
        batch.delete_range("default", b"b", b"c")
        engine.write(batch)
        for start, end in ((b"", None), (b"a", b"b"), (b"b", b"a")):
            engine.compact(start, end)
        assert list(engine.scan("default", b"", None)) == [(b"c", b"3")]
        assert [key for key, _ in snapshot.scan("default", b"", None)] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("call", CALLS)
def test_use_after_close_is_an_error(engine: Engine, call: str) -> None:
    engine.close()
    with pytest.raises(EngineClosed):
        CALLS[call](engine)


def test_closing_twice_is_harmless(engine: Engine) -> None:
    engine.close()
    engine.close()


def test_a_closed_snapshot_is_not_readable(engine: Engine) -> None:
    snapshot = engine.snapshot()
    snapshot.close()
    with pytest.raises(EngineClosed):
        snapshot.get("default", b"k")
    with pytest.raises(EngineClosed):
        snapshot.scan("default", b"", None)


def test_a_snapshot_ends_with_its_engine(engine: Engine) -> None:
    put(engine, (b"k", b"v"))
    snapshot = engine.snapshot()
    engine.close()
    with pytest.raises(EngineClosed):
        snapshot.get("default", b"k")

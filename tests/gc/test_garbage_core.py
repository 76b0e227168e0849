"""What is garbage: by example, and by a twin that reads at every timestamp before and after."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_kv.engine.api import CF_DEFAULT, CF_WRITE
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.mvcc.gc import Garbage, find_garbage, garbage
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import Write, WriteKind
from rutile_kv.txn.commands import CollectGarbage, Commit, Prewrite
from rutile_kv.txn.model import Mutation, Op
from rutile_proto.keys import storage_key, versioned_key

P, D, L, R = WriteKind.PUT, WriteKind.DELETE, WriteKind.LOCK, WriteKind.ROLLBACK
LONG = b"v" * 300


def records(*versions: tuple[int, WriteKind]) -> list[tuple[int, Write]]:
    return [(commit_ts, Write(kind, commit_ts if kind is R else commit_ts - 1)) for commit_ts, kind in versions]


@pytest.mark.parametrize(
    ("versions", "gone"),
    [
        ([], []),
        ([(20, P), (11, D)], []),
        ([(10, P)], []),
        ([(10, P), (5, P)], [5]),
        ([(14, P), (9, L), (7, P), (5, P), (3, D), (2, R)], [9, 5, 3, 2]),
        ([(9, D), (5, P)], [5, 9]),
        ([(9, D)], [9]),
        ([(9, R), (8, L)], [9, 8]),
        ([(9, R), (8, D), (7, L)], [9, 7, 8]),
    ],
)
def test_at_safe_point_ten(versions: list[tuple[int, WriteKind]], gone: list[int]) -> None:
    found = garbage(records(*versions), 10, 100)
    assert [commit_ts for commit_ts, _ in found.records] == gone
    assert found.is_all


def test_a_delete_marker_stays_until_all_behind_it_is_gone() -> None:
    versions = records((9, D), (5, P), (4, P), (3, P))
    assert garbage(versions, 10, 2) == Garbage(tuple(records((5, P), (4, P))), False)
    assert garbage(versions, 10, 3) == Garbage(tuple(records((5, P), (4, P), (3, P), (9, D))), True)


KEYS = [b"a", b"b", b"long key of more than eight bytes"]
HISTORY = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(1, 20), st.sampled_from([P, P, D, L, R]), st.booleans()), max_size=40
)


def write_history(engine: MemoryEngine, history: list[tuple[bytes, int, WriteKind, bool]]) -> None:
    """Each at its own timestamps: a version is committed at 3n and began at 3n - 1, a roll-back lies at 3n + 1."""
    batch = engine.batch()
    for key, at, kind, is_long in history:
        commit_ts = 3 * at + (kind is R)
        start_ts = commit_ts if kind is R else commit_ts - 1
        value = None if kind is not P else LONG + b"%d" % commit_ts if is_long else b"%d" % commit_ts
        if value is not None and is_long:
            batch.put(CF_DEFAULT, versioned_key(storage_key(key), start_ts), value)
        elif value is None or not is_long:
            batch.delete(CF_DEFAULT, versioned_key(storage_key(key), start_ts))
        short = None if is_long else value
        batch.put(CF_WRITE, versioned_key(storage_key(key), commit_ts), Write(kind, start_ts, short).to_bytes())
    engine.write(batch)


def collect(engine: MemoryEngine, safe_point: int, page: int, max_records: int) -> int:
    """What the collector does, without Raft; how many commands it took."""
    place: bytes | None = b""
    commands = 0
    while place is not None:
        found = find_garbage(engine, place, None, safe_point, page)
        keys = tuple(found.keys)
        while keys:
            outcome = CollectGarbage(keys, safe_point, max_records).process(MvccReader(engine), 0)
            assert len(outcome.modifies) <= 2 * (max_records + len(keys))
            batch = engine.batch()
            for cf, key, value in outcome.modifies:
                assert value is None
                batch.delete(cf, key)
            engine.write(batch)
            keys = outcome.result.unfinished
            commands += 1
        place = found.next_start
    return commands


def reads(engine: MemoryEngine, since_ts: int) -> dict[int, list[object]]:
    reader = MvccReader(engine)
    return {ts: [reader.scan(b"", b"", ts, 100), *(reader.get(key, ts) for key in KEYS)] for ts in range(since_ts, 64)}


@given(HISTORY, st.integers(1, 62), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_no_read_at_or_above_the_safe_point_changes(
    history: list[tuple[bytes, int, WriteKind, bool]], safe_point: int, page: int, max_records: int
) -> None:
    engine = MemoryEngine()
    write_history(engine, history)
    before = reads(engine, safe_point)
    collect(engine, safe_point, page, max_records)
    assert reads(engine, safe_point) == before
    # and nothing is left below it but one PUT a key, and the long values of PUTs that are left
    below: dict[bytes, int] = {}
    for key in KEYS:
        kinds = [write.kind for commit_ts, write in MvccReader(engine).writes(key, safe_point)]
        assert kinds in ([], [P])
        below[key] = len(kinds)
    kept = [
        versioned_key(storage_key(key), write.start_ts)
        for key in KEYS
        for _, write in MvccReader(engine).writes(key)
        if write.kind is P and write.short_value is None
    ]
    assert sorted(key for key, _ in engine.scan(CF_DEFAULT, b"", None)) == sorted(kept)
    assert find_garbage(engine, b"", None, safe_point, 1_000).keys == []


@given(HISTORY, st.integers(1, 62), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_reads_hold_after_every_single_command(
    history: list[tuple[bytes, int, WriteKind, bool]], safe_point: int, max_records: int
) -> None:
    engine = MemoryEngine()
    write_history(engine, history)
    before = reads(engine, safe_point)
    keys = tuple(KEYS)
    while keys:
        outcome = CollectGarbage(keys, safe_point, max_records).process(MvccReader(engine), 0)
        batch = engine.batch()
        for cf, key, _ in outcome.modifies:
            batch.delete(cf, key)
        engine.write(batch)
        assert reads(engine, safe_point) == before
        keys = outcome.result.unfinished


def test_a_page_tells_where_to_go_on_and_the_newest_it_saw() -> None:
    engine = MemoryEngine()
    write_history(engine, [(b"a", at, P, False) for at in range(1, 6)] + [(b"b", 9, P, False)])
    page = find_garbage(engine, b"", None, 100, 2)
    assert (page.keys, page.next_start, page.newest_ts) == ([b"a"], storage_key(b"b"), 15)
    page = find_garbage(engine, storage_key(b"b"), None, 100, 2)
    assert (page.keys, page.next_start, page.newest_ts) == ([], None, 27)


def test_what_is_written_meanwhile_is_left_alone() -> None:
    engine = MemoryEngine()
    write_history(engine, [(b"a", 1, P, False), (b"a", 2, P, False)])
    for command in (Prewrite((Mutation(Op.PUT, b"a", LONG),), b"a", 50, 100), Commit(50, 60, (b"a",))):
        outcome = command.process(MvccReader(engine), 0)
        batch = engine.batch()
        for cf, key, value in outcome.modifies:
            batch.put(cf, key, value) if value is not None else batch.delete(cf, key)
        engine.write(batch)
    collect(engine, 40, 10, 10)
    assert [commit_ts for commit_ts, _ in MvccReader(engine).writes(b"a")] == [60, 6]
    assert MvccReader(engine).get(b"a", 60) == LONG

"""The reader and the bulk scan against a twin: a list of committed versions per key, and a lock."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_coprocessor import row_bytes
from rutile_kv.engine.api import CF_DEFAULT, CF_LOCK, CF_WRITE
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.mvcc import bulk, bulk_values
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import SHORT_VALUE_LIMIT_BYTES, Lock, LockKind, Write, WriteKind
from rutile_proto.errors import EngineCorrupt, KeyIsLocked
from rutile_proto.keys import storage_bound, storage_key, versioned_key

MAX_TS = 40
LONG = bytes(SHORT_VALUE_LIMIT_BYTES + 1)


@dataclass
class Twin:
    """What was put into the engine, in the plainest form."""

    versions: dict[bytes, dict[int, tuple[WriteKind, bytes]]] = field(default_factory=dict)
    locks: dict[bytes, Lock] = field(default_factory=dict)

    def get(self, key: bytes, ts: int) -> bytes | None:
        at = [commit_ts for commit_ts in self.versions.get(key, {}) if commit_ts <= ts]
        for commit_ts in sorted(at, reverse=True):
            kind, value = self.versions[key][commit_ts]
            if kind in (WriteKind.PUT, WriteKind.DELETE):
                return value if kind is WriteKind.PUT else None
        return None

    def is_blocked(self, key: bytes, ts: int) -> bool:
        lock = self.locks.get(key)
        return lock is not None and lock.kind in (LockKind.PUT, LockKind.DELETE) and lock.start_ts <= ts

    def rows(self, start: bytes, end: bytes, ts: int) -> list[tuple[bytes, bytes]]:
        keys = [key for key in sorted(self.versions) if start <= key and (not end or key < end)]
        return [(key, value) for key in keys if (value := self.get(key, ts)) is not None]

    def store(self) -> MemoryEngine:
        engine = MemoryEngine()
        batch = engine.batch()
        for key, versions in self.versions.items():
            for commit_ts, (kind, value) in versions.items():
                short = value if kind is WriteKind.PUT and len(value) <= SHORT_VALUE_LIMIT_BYTES else None
                write = Write(kind, commit_ts - 1 if kind is not WriteKind.ROLLBACK else commit_ts, short)
                batch.put(CF_WRITE, versioned_key(storage_key(key), commit_ts), write.to_bytes())
                if kind is WriteKind.PUT and short is None:
                    batch.put(CF_DEFAULT, versioned_key(storage_key(key), commit_ts - 1), value)
        for key, lock in self.locks.items():
            batch.put(CF_LOCK, storage_key(key), lock.to_bytes())
        engine.write(batch)
        return engine


VALUES = st.one_of(st.binary(max_size=3), st.just(LONG))
VERSIONS = st.dictionaries(
    st.integers(1, MAX_TS).map(lambda n: 2 * n), st.tuples(st.sampled_from(WriteKind), VALUES), min_size=1, max_size=5
)
LOCKS = st.builds(Lock, st.sampled_from(LockKind), st.just(b"primary"), st.integers(1, MAX_TS), st.just(100))
MIXED_KEYS = st.binary(max_size=9)
FIXED_KEYS = st.binary(min_size=3, max_size=3)


def twins(keys: st.SearchStrategy[bytes], locks: st.SearchStrategy[Lock] = LOCKS) -> st.SearchStrategy[Twin]:
    return st.builds(Twin, st.dictionaries(keys, VERSIONS, max_size=8), st.dictionaries(keys, locks, max_size=2))


ANY_TWIN = st.one_of(twins(MIXED_KEYS), twins(FIXED_KEYS))
BOUNDS = st.one_of(st.just(b""), st.binary(max_size=3))
TS = st.integers(0, 2 * MAX_TS + 1)


@settings(deadline=None)
@given(ANY_TWIN, TS)
def test_get_equals_the_twin(twin: Twin, ts: int) -> None:
    reader = MvccReader(twin.store())
    for key in {*twin.versions, *twin.locks, b"absent"}:
        if twin.is_blocked(key, ts):
            with pytest.raises(KeyIsLocked):
                reader.get(key, ts)
        else:
            assert reader.get(key, ts) == twin.get(key, ts)


@settings(deadline=None)
@given(ANY_TWIN, BOUNDS, BOUNDS, TS, st.integers(0, 10), st.booleans())
def test_scan_equals_the_twin(twin: Twin, start: bytes, end: bytes, ts: int, limit: int, reverse: bool) -> None:
    expected: dict[bytes, bytes | None] = dict(twin.rows(start, end, ts))
    expected |= {
        key: None for key in twin.locks if twin.is_blocked(key, ts) and start <= key and (not end or key < end)
    }
    found = MvccReader(twin.store()).scan(start, end, ts, limit, reverse=reverse)
    shown = [(key, None if isinstance(value, KeyIsLocked) else value) for key, value in found]
    assert shown == sorted(expected.items(), reverse=reverse)[:limit]


@settings(deadline=None)
@given(ANY_TWIN, BOUNDS, BOUNDS, TS, st.integers(1, 5))
def test_bulk_reads_equal_the_twin(twin: Twin, start: bytes, end: bytes, ts: int, page: int) -> None:
    engine = twin.store()
    low, high = storage_bound(start), storage_bound(end) or None
    expected = twin.rows(start, end, ts)
    whole = bulk.read_visible(engine, low, high, ts)
    assert list(zip(whole.key_list(), whole.values, strict=True)) == expected
    assert whole.next_key is None
    pages: list[tuple[bytes, bytes]] = []
    at: bytes | None = low
    while at is not None:
        rows = bulk.read_visible(engine, at, high, ts, page)
        assert len(rows.values) == page or rows.next_key is None
        pages += zip(rows.key_list(), rows.values, strict=True)
        at = rows.next_key
    assert pages == expected


@settings(deadline=None)
@given(ANY_TWIN, TS)
def test_first_lock_is_the_first_that_blocks(twin: Twin, ts: int) -> None:
    blocked = sorted(key for key in twin.locks if twin.is_blocked(key, ts))
    found = bulk.first_lock(twin.store(), b"", None, ts)
    assert (found.key if found else None) == (blocked[0] if blocked else None)
    if blocked:
        everybody = frozenset(lock.start_ts for lock in twin.locks.values())
        assert bulk.first_lock(twin.store(), b"", None, ts, bypass=everybody) is None


def test_blocks_do_not_tear_versions_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {2 * n: (WriteKind.PUT, b"%d" % n) for n in range(1, 8)}
    twin = Twin({b"k%d" % n: versions for n in range(9)})
    engine = twin.store()
    for size in (1, 2, 5, 7, 8, 1000):
        monkeypatch.setattr(bulk, "BLOCK_RECORDS", size)
        rows = bulk.read_visible(engine, b"", None, 9)
        assert list(zip(rows.key_list(), rows.values, strict=True)) == twin.rows(b"", b"", 9)


def test_records_with_real_timestamps_are_sliced_at_once() -> None:
    start_ts = 450_000_000_000_000_000
    engine = MemoryEngine()
    batch = engine.batch()
    for number in range(100):
        write = Write(WriteKind.PUT, start_ts, b"%d" % number, overlapped_rollback=number == 50)
        batch.put(CF_WRITE, versioned_key(storage_key(b"key%05d" % number), start_ts + 1), write.to_bytes())
    engine.write(batch)
    rows = bulk.read_visible(engine, b"", None, start_ts + 1)
    assert rows.values == [b"%d" % number for number in range(100)]
    assert not isinstance(rows.keys, list)
    assert rows.keys.shape == (100, 8)
    assert bulk.read_visible(engine, b"", None, start_ts).values == []


def test_long_values_lie_behind_the_records_or_in_buffers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {b"k%d" % number: b"%d" % number * (300 if number % 3 else 1) for number in range(12)}
    engine = Twin({key: {8: (WriteKind.PUT, text)} for key, text in texts.items()}).store()
    whole = bulk.read_visible(engine, b"", None, 9)
    assert (len(whole.parts), whole.values) == (1, list(dict(sorted(texts.items())).values()))
    for module in (bulk_values, row_bytes):
        monkeypatch.setattr(module, "CHUNK_BYTES", 100)
    cut = bulk.read_visible(engine, b"", None, 9)
    assert len(cut.parts) > 1
    assert cut.values == whole.values


def test_a_missing_long_value_is_corruption() -> None:
    engine = MemoryEngine()
    batch = engine.batch()
    batch.put(CF_WRITE, versioned_key(storage_key(b"k"), 9), Write(WriteKind.PUT, 7).to_bytes())
    engine.write(batch)
    with pytest.raises(EngineCorrupt):
        MvccReader(engine).get(b"k", 9)
    with pytest.raises(EngineCorrupt):
        bulk.read_visible(engine, b"", None, 9)

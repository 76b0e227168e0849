"""Lock and write records: TiKV's bytes, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutile_kv.mvcc.records import PROTECTED_ROLLBACK, Lock, LockKind, Write, WriteKind
from rutile_proto.errors import MalformedEncoding

TS = st.integers(0, 2**64 - 1)
SHORT = st.one_of(st.none(), st.binary(max_size=255))
LOCKS = st.builds(
    Lock,
    st.sampled_from(LockKind),
    primary=st.binary(max_size=300),
    start_ts=TS,
    ttl_ms=TS,
    short_value=SHORT,
    for_update_ts=TS,
    txn_size=TS,
    min_commit_ts=TS,
    use_async_commit=st.just(True),
    secondaries=st.lists(st.binary(max_size=20), max_size=4).map(tuple),
    rollback_ts=st.lists(TS, max_size=3).map(tuple),
)
WRITES = st.builds(Write, st.sampled_from(WriteKind), TS, SHORT, st.booleans())


@given(LOCKS)
def test_locks_come_back(lock: Lock) -> None:
    assert Lock.from_bytes(lock.to_bytes()) == lock


@given(WRITES)
def test_writes_come_back(write: Write) -> None:
    assert Write.from_bytes(write.to_bytes()) == write


def test_lock_bytes_are_tikvs() -> None:
    lock = Lock(LockKind.PUT, b"pk", 300, 20, b"val", for_update_ts=1, txn_size=2, min_commit_ts=3)
    assert lock.to_bytes() == (
        b"P" + b"\x04pk" + b"\xac\x02" + b"\x14" + b"v\x03val"
        b"f" + bytes(7) + b"\x01" + b"t" + bytes(7) + b"\x02" + b"c" + bytes(7) + b"\x03"
    )
    both = Lock(LockKind.DELETE, b"", 1, 1, use_async_commit=True, secondaries=(b"a",), rollback_ts=(9,))
    assert both.to_bytes() == b"D\x00\x01\x01" + b"a\x01\x02a" + b"r\x01" + bytes(7) + b"\x09"


def test_write_bytes_are_tikvs() -> None:
    assert Write(WriteKind.PUT, 300, b"val").to_bytes() == b"P\xac\x02v\x03val"
    assert Write(WriteKind.DELETE, 1, overlapped_rollback=True).to_bytes() == b"D\x01R"
    rollback = Write.rollback(5, protected=True)
    assert rollback.to_bytes() == b"R\x05v\x01" + PROTECTED_ROLLBACK
    assert rollback.is_protected
    assert not Write.rollback(5, protected=False).is_protected


def test_tags_that_only_tikv_writes_are_skipped() -> None:
    last_change, source, fence = b"l" + bytes(8) + b"\x07", b"\x81\x01", b"F" + bytes(8)
    assert Write.from_bytes(b"P\x01v\x01x" + fence + last_change + b"S" + source) == Write(WriteKind.PUT, 1, b"x")
    generation = b"g" + bytes(8)
    lock = Lock.from_bytes(b"L\x00\x01\x02" + last_change + b"s" + source + b"F" + generation)
    assert lock == Lock(LockKind.LOCK, b"", 1, 2)


@pytest.mark.parametrize("data", [b"", b"P", b"X\x01", b"P\x01?", b"P\x01v", b"P\x01v\x05ab", b"P\xff"])
def test_other_bytes_are_no_write(data: bytes) -> None:
    with pytest.raises(MalformedEncoding):
        Write.from_bytes(data)


@pytest.mark.parametrize("data", [b"", b"P", b"X\x00\x01\x01", b"P\x00\x01", b"P\x00\x01\x01z", b"P\x00\x01\x01f\x00"])
def test_other_bytes_are_no_lock(data: bytes) -> None:
    with pytest.raises(MalformedEncoding):
        Lock.from_bytes(data)


def test_facts_tell_everything_a_resolver_needs() -> None:
    lock = Lock(LockKind.PESSIMISTIC, b"p", 7, 20, for_update_ts=8, txn_size=3, min_commit_ts=9)
    facts = lock.facts(b"k")
    assert (facts.key, facts.primary, facts.start_ts, facts.ttl_ms, facts.lock_type) == (b"k", b"p", 7, 20, 5)
    assert (facts.for_update_ts, facts.txn_size, facts.min_commit_ts) == (8, 3, 9)

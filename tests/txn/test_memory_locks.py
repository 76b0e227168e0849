"""Pessimistic locks in memory: under which leadership they count, what ends them, and what commands make of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_txn_twin import KEYS, TXNS, VERBS, World

from rutile_kv.engine.api import CF_LOCK, Engine, Modify
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import Lock, LockKind
from rutile_kv.txn import memory_locks
from rutile_kv.txn.commands import PersistLocks, PessimisticLock, PessimisticRollback, Prewrite
from rutile_kv.txn.events import LocksTaken, Reply, SnapshotTaken, Submit, WriteDone, WriteFailed, WriteModifies
from rutile_kv.txn.memory_locks import NO_LEADERSHIP, Leadership, MemoryLocks
from rutile_kv.txn.model import Command, Mutation, Op, PessimisticAction
from rutile_kv.txn.scheduler import Scheduler
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import NotLeader, TxnError, UndeterminedResult
from rutile_proto.keys import storage_key

HERE = Leadership(region_id=1, version=5, term=7)
K, L = storage_key(b"k"), storage_key(b"l")


def lock(start_ts: int = 10) -> bytes:
    return Lock(LockKind.PESSIMISTIC, b"k", start_ts, 3_000, for_update_ts=start_ts).to_bytes()


def put(*keys: bytes) -> list[Modify]:
    return [(CF_LOCK, key, lock()) for key in keys]


def write(engine: Engine, modifies: list[Modify]) -> None:
    batch = engine.batch()
    batch.extend(modifies)
    engine.write(batch)


def holding(*keys: bytes, under: Leadership = HERE) -> MemoryLocks:
    locks = MemoryLocks()
    assert locks.take(locks.over(MemoryEngine(), under), put(*keys))
    return locks


def region(region_id: int = 1, start: bytes = b"", end: bytes = b"", version: int = 6) -> metapb.Region:
    return metapb.Region(
        id=region_id, start_key=start, end_key=end, region_epoch=metapb.RegionEpoch(version=version, conf_ver=1)
    )


def seen(locks: MemoryLocks, under: Leadership) -> list[bytes]:
    return [key for key, _ in locks.over(MemoryEngine(), under).scan(CF_LOCK, b"", None)]


# --- under which leadership ---


@pytest.mark.parametrize("later", [Leadership(1, 5, 8), Leadership(1, 6, 7)])
def test_locks_of_another_term_or_version_do_not_count_and_are_gone(later: Leadership) -> None:
    locks = holding(K)
    assert seen(locks, HERE) == [K]
    assert seen(locks, later) == []
    assert (len(locks), locks.size_bytes) == (0, 0)


def test_a_view_of_no_leader_or_of_another_region_sees_none_and_takes_none() -> None:
    locks = holding(K)
    for other in (NO_LEADERSHIP, Leadership(1, 5, 0), Leadership(2, 5, 7)):
        assert seen(locks, other) == []
    assert not locks.take(locks.over(MemoryEngine(), Leadership(1, 5, 0)), put(L))
    assert seen(locks, HERE) == [K]


def test_a_view_from_before_the_leadership_ended_takes_none() -> None:
    locks = MemoryLocks()
    old = locks.over(MemoryEngine(), HERE)
    assert locks.take(locks.over(MemoryEngine(), Leadership(1, 5, 8)), put(L))
    assert not locks.take(old, put(K))


def test_a_region_that_shrinks_keeps_the_locks_in_its_range() -> None:
    locks = holding(K, L)
    locks.region_changed(region(start=L))
    assert seen(locks, Leadership(1, 6, 7)) == [L]
    locks.region_changed(region(end=L, version=7))
    assert seen(locks, Leadership(1, 7, 7)) == []
    assert locks.size_bytes == 0


def test_a_forgotten_region_and_one_that_was_never_known() -> None:
    locks = holding(K)
    for region_id in (1, 1, 9):
        locks.forget_region(region_id)
    assert (len(locks), locks.size_bytes, locks.keys(1)) == (0, 0, [])
    locks.region_changed(region(9))
    locks.open_region(9)


# --- what is kept ---


def test_a_lock_that_is_written_stays_written() -> None:
    engine = MemoryEngine()
    write(engine, put(K))
    locks = MemoryLocks()
    view = locks.over(engine, HERE)
    assert view.get(CF_LOCK, K) == lock()
    assert view.get(CF_LOCK, L) is None
    assert not locks.take(view, put(K, L))
    assert len(locks) == 0
    assert locks.take(locks.over(engine, HERE), put(L))


def test_where_both_have_a_lock_the_engine_is_right() -> None:
    locks, engine = holding(K), MemoryEngine()
    write(engine, [(CF_LOCK, K, lock(20))])
    view = locks.over(engine, HERE)
    assert view.get(CF_LOCK, K) == lock(20)
    assert list(view.scan(CF_LOCK, b"", None)) == [(K, lock(20))]


def test_locks_stand_in_key_order_among_those_of_the_engine() -> None:
    locks, engine = holding(K), MemoryEngine()
    write(engine, put(b"\0", L))
    view = locks.over(engine, HERE)
    assert [key for key, _ in view.scan(CF_LOCK, b"", None)] == [b"\0", K, L]
    assert [key for key, _ in view.scan(CF_LOCK, b"", L, reverse=True)] == [K, b"\0"]


def test_a_region_holds_so_many_and_the_store_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    one = holding(K).size_bytes
    monkeypatch.setattr(memory_locks, "MAX_REGION_BYTES", one)
    locks = holding(K)
    view = locks.over(MemoryEngine(), HERE)
    assert not locks.take(view, put(L))
    assert locks.take(view, [(CF_LOCK, K, None)])
    monkeypatch.setattr(memory_locks, "MAX_STORE_BYTES", one)
    assert locks.take(locks.over(MemoryEngine(), Leadership(2, 5, 7)), put(L))
    assert not locks.take(view, put(K))
    assert MemoryLocks(enabled=False).take(view, put(K)) is False


def test_a_closed_region_gives_locks_up_and_takes_none() -> None:
    locks = holding(K)
    assert not locks.close_region(2), "it has no locks"
    assert locks.close_region(1)
    assert locks.close_region(1), "two changes at a time"
    view = locks.over(MemoryEngine(), HERE)
    locks.open_region(1)
    assert not locks.take(view, put(L))
    locks.open_region(1)
    assert locks.take(view, put(L))


# --- in the scheduler ---

PESSIMISTIC = PessimisticLock((Mutation(Op.PESSIMISTIC_LOCK, b"k"),), b"k", 10, 10, 3_000)
PREWRITE = Prewrite(
    (Mutation(Op.PUT, b"k", b"v", pessimistic_action=PessimisticAction.LOCKED),), b"k", 10, 3_000, for_update_ts=10
)


def scheduled(core: Scheduler, command: Command[Any], engine: Engine, token: int = 1) -> list[Any]:
    core.handle(Submit(token, command))
    return core.handle(SnapshotTaken(token, engine, leadership=HERE))


def test_a_lock_is_answered_without_a_write_and_released_without_one() -> None:
    core, engine = Scheduler(), MemoryEngine()
    taken, reply = scheduled(core, PESSIMISTIC, engine)
    assert isinstance(taken, LocksTaken)
    assert isinstance(reply, Reply)
    assert core.memory_locks.keys(1) == [K]
    assert isinstance(scheduled(core, PessimisticRollback(10, 10, (b"k",)), engine)[0], LocksTaken)
    assert len(core.memory_locks) == 0


def test_a_written_lock_takes_the_place_of_the_one_in_memory_once_it_is_applied() -> None:
    core, engine = Scheduler(), MemoryEngine()
    scheduled(core, PESSIMISTIC, engine)
    (wanted,) = scheduled(core, PREWRITE, engine)
    assert isinstance(wanted, WriteModifies)
    assert core.memory_locks.keys(1) == [K]
    core.handle(WriteDone(1))
    assert core.memory_locks.keys(1) == []


@pytest.mark.parametrize(("error", "left"), [(NotLeader(1), [K]), (UndeterminedResult(0, "cut off"), [])])
def test_a_write_that_failed_leaves_the_lock_unless_nobody_knows(error: Exception, left: list[bytes]) -> None:
    core, engine = Scheduler(), MemoryEngine()
    scheduled(core, PESSIMISTIC, engine)
    scheduled(core, PREWRITE, engine)
    core.handle(WriteFailed(1, error))
    assert core.memory_locks.keys(1) == left


def test_locks_are_written_out_as_they_are() -> None:
    core, engine = Scheduler(), MemoryEngine()
    scheduled(core, PESSIMISTIC, engine)
    (wanted,) = scheduled(core, PersistLocks((b"k", b"none")), engine)
    assert wanted == WriteModifies(1, [(CF_LOCK, K, lock())])


# --- like locks in the engine, whatever happens ---


class MemoryWorld(World):
    """The twin's world with locks in memory, which now and then get lost or are written out."""

    def __init__(self) -> None:
        super().__init__()
        self.locks = MemoryLocks()
        self.leadership = HERE

    def execute(self, command: Command[Any]) -> Any:
        view = self.locks.over(self.engine, self.leadership)
        try:
            outcome = command.process(MvccReader(view), 0)
        except TxnError:
            return None
        if not (outcome.may_be_lost and self.locks.take(view, outcome.modifies)):
            write(self.engine, outcome.modifies)
            self.locks.written(self.leadership, outcome.modifies)
        return outcome

    def reader(self) -> MvccReader:
        return MvccReader(self.locks.over(self.engine, self.leadership))

    def lose(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        for key in KEYS:
            if storage_key(key) in self.locks.keys(1):
                del self.twin.locks[key]
        self.leadership = Leadership(1, 5, self.leadership.term + 1)

    def persist(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        self.execute(PersistLocks(keys))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((*VERBS, "lock", "lock", "unlock", "lose", "persist")),
            st.integers(0, TXNS - 1),
            st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True).map(tuple),
        ),
        max_size=25,
    )
)
def test_commands_equal_the_twin_with_locks_in_memory(steps: list[tuple[str, int, tuple[bytes, ...]]]) -> None:
    world = MemoryWorld()
    for step in steps:
        world.step(*step)
        assert not [key for key in world.locks.keys(1) if world.engine.get(CF_LOCK, key) is not None]

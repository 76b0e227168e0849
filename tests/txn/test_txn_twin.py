"""Transaction commands in random interleavings, against a dumb twin that knows every transaction's fate per key."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import LockKind, WriteKind
from rutile_kv.txn.commands import (
    BatchRollback,
    CheckTxnStatus,
    Cleanup,
    Commit,
    PessimisticLock,
    PessimisticRollback,
    Prewrite,
    ResolveLock,
    TxnHeartBeat,
)
from rutile_kv.txn.model import Command, Mutation, Op
from rutile_kv.txn.settle import commit_time, is_rolled_back
from rutile_proto.errors import TxnError
from rutile_proto.timestamps import MAX_TIMESTAMP

KEYS = (b"a", b"b", b"c")
TXNS = 4
VERBS = (
    *("prewrite", "prewrite", "commit", "commit", "rollback", "cleanup"),
    *("check_alive", "check_expired", "resolve", "heart_beat", "lock", "unlock"),
)


@dataclass
class Twin:
    """Per key: who holds it, what was committed when, who was rolled back."""

    locks: dict[bytes, tuple[int, LockKind, bytes]] = field(default_factory=dict)
    commits: dict[bytes, dict[int, tuple[int, LockKind, bytes]]] = field(default_factory=dict)
    """key -> commit_ts -> (start_ts, kind, value)."""
    rolled_back: set[tuple[bytes, int]] = field(default_factory=set)

    def own_lock(self, key: bytes, start_ts: int) -> LockKind | None:
        lock = self.locks.get(key)
        return lock[1] if lock is not None and lock[0] == start_ts else None

    def commit_ts(self, key: bytes, start_ts: int) -> int | None:
        found = [ts for ts, (start, _, _) in self.commits.get(key, {}).items() if start == start_ts]
        return found[0] if found else None

    def newest_record(self, key: bytes) -> int:
        return max([*self.commits.get(key, {}), *(ts for at, ts in self.rolled_back if at == key)], default=0)

    def read(self, key: bytes, ts: int) -> bytes | None:
        for commit_ts in sorted(self.commits.get(key, {}), reverse=True):
            _, kind, value = self.commits[key][commit_ts]
            if commit_ts <= ts and kind is not LockKind.LOCK:
                return value if kind is LockKind.PUT else None
        return None

    # Each verb: False if refused, and then nothing has changed.

    def prewrite(self, start_ts: int, writes: dict[bytes, tuple[LockKind, bytes]]) -> bool:
        fresh = []
        committed = False
        for key in writes:
            own = self.own_lock(key, start_ts)
            if own is not None and own is not LockKind.PESSIMISTIC:
                continue
            if self.commit_ts(key, start_ts) is not None:
                committed = True
            elif own is None and (key in self.locks or self.newest_record(key) >= start_ts):
                return False
            else:
                fresh.append(key)
        for key in [] if committed else fresh:
            self.locks[key] = (start_ts, *writes[key])
        return True

    def commit(self, start_ts: int, commit_ts: int, keys: tuple[bytes, ...]) -> bool:
        for key in keys:
            own = self.own_lock(key, start_ts)
            if own in (None, LockKind.PESSIMISTIC) and self.commit_ts(key, start_ts) is None:
                return False
        for key in keys:
            if self.own_lock(key, start_ts) is not None:
                self.commits.setdefault(key, {})[commit_ts] = self.locks.pop(key)
        return True

    def rollback(self, start_ts: int, keys: tuple[bytes, ...]) -> bool:
        if any(self.commit_ts(key, start_ts) is not None for key in keys):
            return False
        for key in keys:
            if self.own_lock(key, start_ts) is not None:
                del self.locks[key]
            self.rolled_back.add((key, start_ts))
        return True

    def settle(self, start_ts: int, commit_ts: int, keys: tuple[bytes, ...]) -> None:
        for key in keys:
            own = self.own_lock(key, start_ts)
            if own is None:
                continue
            if not commit_ts:
                self.rollback(start_ts, (key,))
            elif own is LockKind.PESSIMISTIC:
                del self.locks[key]
            else:
                self.commits.setdefault(key, {})[commit_ts] = self.locks.pop(key)

    def lock(self, start_ts: int, for_update_ts: int, keys: tuple[bytes, ...]) -> bool:
        for key in keys:
            own = self.own_lock(key, start_ts)
            if own is None and (
                key in self.locks
                or self.newest_record(key) > for_update_ts
                or (key, start_ts) in self.rolled_back
                or self.commit_ts(key, start_ts) is not None
            ):
                return False
            if own not in (None, LockKind.PESSIMISTIC):
                return False
        for key in keys:
            self.locks[key] = (start_ts, LockKind.PESSIMISTIC, b"")
        return True


class World:
    """The twin and the real thing, driven together."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.twin = Twin()
        self.clock = 10
        self.starts: dict[int, int] = {}

    def tick(self) -> int:
        self.clock += 10
        return self.clock

    def start_ts(self, txn: int) -> int:
        return self.starts.get(txn) or self.starts.setdefault(txn, self.tick())

    def execute(self, command: Command[Any]) -> Any:
        """The result, or None if it was refused."""
        try:
            outcome = command.process(MvccReader(self.engine), 0)
        except TxnError:
            return None
        batch = self.engine.batch()
        for cf, key, value in outcome.modifies:
            if value is None:
                batch.delete(cf, key)
            else:
                batch.put(cf, key, value)
        self.engine.write(batch)
        return outcome

    def step(self, verb: str, txn: int, keys: tuple[bytes, ...]) -> None:
        start_ts = self.start_ts(txn)
        getattr(self, verb)(start_ts, keys)
        self.check()

    # --- verbs ---

    def prewrite(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        value = b"%d" % start_ts * (1 if start_ts % 20 else 100)
        kinds = {b"a": Op.PUT, b"b": Op.DELETE, b"c": Op.LOCK} if start_ts % 30 == 0 else dict.fromkeys(KEYS, Op.PUT)
        locks = {Op.PUT: LockKind.PUT, Op.DELETE: LockKind.DELETE, Op.LOCK: LockKind.LOCK}
        mutations = tuple(Mutation(kinds[key], key, value) for key in keys)
        done = self.execute(Prewrite(mutations, keys[0], start_ts, ttl_ms=100))
        assert (done is not None) == self.twin.prewrite(start_ts, {key: (locks[kinds[key]], value) for key in keys})

    def commit(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        commit_ts = self.tick()
        done = self.execute(Commit(start_ts, commit_ts, keys))
        assert (done is not None) == self.twin.commit(start_ts, commit_ts, keys)

    def rollback(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        done = self.execute(BatchRollback(start_ts, keys))
        assert (done is not None) == self.twin.rollback(start_ts, keys)

    def cleanup(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        done = self.execute(Cleanup(keys[0], start_ts, 0))
        committed = self.twin.commit_ts(keys[0], start_ts)
        assert done.result.commit_ts == (committed or 0)
        if committed is None:
            self.twin.rollback(start_ts, keys[:1])

    def check_alive(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        done = self.execute(CheckTxnStatus(keys[0], start_ts, 0, 0))
        known = self.twin.own_lock(keys[0], start_ts) or self.twin.commit_ts(keys[0], start_ts)
        assert (done is not None) == bool(known or (keys[0], start_ts) in self.twin.rolled_back)

    def check_expired(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        request = CheckTxnStatus(keys[0], start_ts, 0, MAX_TIMESTAMP, rollback_if_not_exist=True)
        done = self.execute(request)
        committed = self.twin.commit_ts(keys[0], start_ts)
        assert (done.result.commit_ts, done.result.lock) == (committed or 0, None)
        if committed is None:
            self.twin.rollback(start_ts, keys[:1])

    def resolve(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        """As a resolver does: only with the fate that some key tells."""
        fates = [ts for key in KEYS if (ts := self.twin.commit_ts(key, start_ts)) is not None]
        if not fates and not any((key, start_ts) in self.twin.rolled_back for key in KEYS):
            return
        commit_ts = fates[0] if fates else 0
        self.execute(ResolveLock(start_ts, commit_ts, keys))
        self.twin.settle(start_ts, commit_ts, keys)

    def heart_beat(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        done = self.execute(TxnHeartBeat(keys[0], start_ts, 200))
        assert (done is not None) == (self.twin.own_lock(keys[0], start_ts) is not None)

    def lock(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        for_update_ts = self.tick()
        mutations = tuple(Mutation(Op.PESSIMISTIC_LOCK, key) for key in keys)
        done = self.execute(PessimisticLock(mutations, keys[0], start_ts, for_update_ts, ttl_ms=100))
        assert (done is not None) == self.twin.lock(start_ts, for_update_ts, keys)

    def unlock(self, start_ts: int, keys: tuple[bytes, ...]) -> None:
        self.execute(PessimisticRollback(start_ts, MAX_TIMESTAMP, keys))
        for key in keys:
            if self.twin.own_lock(key, start_ts) is LockKind.PESSIMISTIC:
                del self.twin.locks[key]

    # --- comparison ---

    def reader(self) -> MvccReader:
        return MvccReader(self.engine)

    def check(self) -> None:
        reader = self.reader()
        for key in KEYS:
            lock = reader.load_lock(key)
            expected = self.twin.locks.get(key)
            assert (lock and (lock.start_ts, lock.kind)) == (expected and expected[:2])
            for start_ts in self.starts.values():
                record = reader.get_txn_commit_record(key, start_ts)
                assert commit_time(record) == self.twin.commit_ts(key, start_ts)
                assert is_rolled_back(record) == ((key, start_ts) in self.twin.rolled_back)
            for ts in range(10, self.clock + 10, 10):
                found = reader.seek_data(key, ts)
                value = None if found is None else reader.value_of(key, found[1])
                assert value == self.twin.read(key, ts)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(VERBS),
        st.integers(0, TXNS - 1),
        st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True).map(tuple),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_commands_equal_the_twin(steps: list[tuple[str, int, tuple[bytes, ...]]]) -> None:
    world = World()
    for step in steps:
        world.step(*step)


def test_the_twin_meets_every_kind_of_write() -> None:
    world = World()
    for txn in range(TXNS):
        world.step("prewrite", txn, KEYS)
        world.step("commit", txn, KEYS)
    kinds = {write.kind for key in KEYS for _, write in MvccReader(world.engine).writes(key)}
    assert {WriteKind.PUT, WriteKind.DELETE, WriteKind.LOCK} <= kinds

"""Percolator on dicts: what the stores of the fake cluster keep, slow and obvious. Keys are user keys."""

from dataclasses import dataclass, field

from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import (
    AlreadyExist,
    CommitTsExpired,
    ConflictReason,
    KeyIsLocked,
    LockFacts,
    TxnAborted,
    TxnLockNotFound,
    TxnNotFound,
    WriteConflict,
)
from rutile_proto.timestamps import MAX_TIMESTAMP, physical_ms

PUT, DELETE, LOCK, INSERT, CHECK = (
    kvrpcpb.Put,
    kvrpcpb.Del,
    kvrpcpb.Lock,
    kvrpcpb.Insert,
    kvrpcpb.CheckNotExists,
)


@dataclass
class Held:
    op: int
    value: bytes
    primary: bytes
    start_ts: int
    ttl_ms: int
    min_commit_ts: int
    txn_size: int


@dataclass
class Version:
    commit_ts: int
    start_ts: int
    op: int
    value: bytes


@dataclass
class Mvcc:
    versions: dict[bytes, list[Version]] = field(default_factory=dict)
    locks: dict[bytes, Held] = field(default_factory=dict)
    rolled_back: set[tuple[bytes, int]] = field(default_factory=set)
    max_ts: int = 0

    # --- reads ----------------------------------------------------------------------------------------------------

    def facts(self, key: bytes) -> LockFacts:
        held = self.locks[key]
        op = PUT if held.op == INSERT else held.op
        return LockFacts(
            key, held.primary, held.start_ts, held.ttl_ms, op, held.txn_size, min_commit_ts=held.min_commit_ts
        )

    def get(self, key: bytes, ts: int, bypass: set[int]) -> bytes | None:
        self.max_ts = max(self.max_ts, 0 if ts == MAX_TIMESTAMP else ts)
        held = self.locks.get(key)
        if held and held.start_ts <= ts and held.op != LOCK and held.start_ts not in bypass:
            raise KeyIsLocked(self.facts(key))
        for version in sorted(self.versions.get(key, []), key=lambda v: -v.commit_ts):
            if version.commit_ts <= ts and version.op != LOCK:
                return version.value if version.op == PUT else None
        return None

    def keys(self, start: bytes, end: bytes) -> list[bytes]:
        every = set(self.versions) | set(self.locks)
        return sorted(key for key in every if start <= key and (not end or key < end))

    # --- writes ---------------------------------------------------------------------------------------------------

    def committed_at(self, key: bytes, start_ts: int) -> int:
        return next((v.commit_ts for v in self.versions.get(key, []) if v.start_ts == start_ts), 0)

    def check_prewrite(self, op: int, key: bytes, start_ts: int) -> bool:
        """Whether there is anything to write; raises what forbids it."""
        held = self.locks.get(key)
        if held and held.start_ts != start_ts:
            raise KeyIsLocked(self.facts(key))
        if (held and held.start_ts == start_ts) or self.committed_at(key, start_ts):
            return False
        if (key, start_ts) in self.rolled_back:
            raise WriteConflict(start_ts, start_ts, start_ts, key, reason=ConflictReason.SELF_ROLLED_BACK)
        newest = max(self.versions.get(key, []), key=lambda v: v.commit_ts, default=None)
        if newest and newest.commit_ts > start_ts:
            raise WriteConflict(start_ts, newest.start_ts, newest.commit_ts, key)
        if op in (INSERT, CHECK) and self.get(key, MAX_TIMESTAMP, set()) is not None:
            raise AlreadyExist(key)
        return op != CHECK

    def prewrite(self, request: kvrpcpb.PrewriteRequest, one_phase: bool) -> int:
        """Locks everything or nothing; the commit timestamp if it committed at once."""
        todo = [m for m in request.mutations if self.check_prewrite(m.op, m.key, request.start_version)]
        commit_ts = max(request.min_commit_ts, self.max_ts + 1, request.start_version + 1)
        for m in todo:
            self.locks[m.key] = Held(
                m.op,
                m.value,
                request.primary_lock,
                request.start_version,
                request.lock_ttl,
                request.min_commit_ts,
                request.txn_size,
            )
        if not one_phase:
            return 0
        before = self.committed_at(request.primary_lock, request.start_version)
        for m in todo:
            self.turn(m.key, commit_ts)
        return before or commit_ts

    def turn(self, key: bytes, commit_ts: int) -> None:
        held = self.locks.pop(key)
        op = PUT if held.op == INSERT else held.op
        self.versions.setdefault(key, []).append(Version(commit_ts, held.start_ts, op, held.value))

    def commit(self, keys: list[bytes], start_ts: int, commit_ts: int) -> None:
        for key in keys:
            held = self.locks.get(key)
            if held and held.start_ts == start_ts:
                if commit_ts < held.min_commit_ts:
                    raise CommitTsExpired(start_ts, commit_ts, key, held.min_commit_ts)
            elif not self.committed_at(key, start_ts):
                raise TxnLockNotFound(start_ts, commit_ts, key)
        for key in keys:
            if key in self.locks and self.locks[key].start_ts == start_ts:
                self.turn(key, commit_ts)

    def rollback(self, keys: list[bytes], start_ts: int) -> None:
        for key in keys:
            if self.committed_at(key, start_ts):
                raise TxnAborted("already committed")
            if key in self.locks and self.locks[key].start_ts == start_ts:
                del self.locks[key]
            self.rolled_back.add((key, start_ts))

    def check_txn_status(self, request: kvrpcpb.CheckTxnStatusRequest) -> kvrpcpb.CheckTxnStatusResponse:
        key, start_ts = request.primary_key, request.lock_ts
        held = self.locks.get(key)
        if held and held.start_ts == start_ts:
            return self._check_held(request, held)
        if commit_ts := self.committed_at(key, start_ts):
            return kvrpcpb.CheckTxnStatusResponse(commit_version=commit_ts)
        if (key, start_ts) in self.rolled_back:
            return kvrpcpb.CheckTxnStatusResponse()
        if not request.rollback_if_not_exist:
            raise TxnNotFound(start_ts, key)
        self.rolled_back.add((key, start_ts))
        return kvrpcpb.CheckTxnStatusResponse(action=kvrpcpb.LockNotExistRollback)

    def _check_held(self, request: kvrpcpb.CheckTxnStatusRequest, held: Held) -> kvrpcpb.CheckTxnStatusResponse:
        if physical_ms(held.start_ts) + held.ttl_ms < physical_ms(request.current_ts):
            self.rollback([request.primary_key], request.lock_ts)
            return kvrpcpb.CheckTxnStatusResponse(action=kvrpcpb.TTLExpireRollback)
        action = kvrpcpb.NoAction
        if held.min_commit_ts and request.caller_start_ts:
            action = kvrpcpb.MinCommitTSPushed
            if request.caller_start_ts != MAX_TIMESTAMP:
                held.min_commit_ts = max(held.min_commit_ts, request.caller_start_ts + 1)
        info = kvrpcpb.LockInfo(primary_lock=held.primary, lock_version=held.start_ts, key=request.primary_key)
        return kvrpcpb.CheckTxnStatusResponse(lock_ttl=held.ttl_ms, lock_info=info, action=action)

    def resolve(self, keys: list[bytes], start_ts: int, commit_ts: int) -> None:
        mine = [key for key in keys if key in self.locks and self.locks[key].start_ts == start_ts]
        if commit_ts:
            self.commit(mine, start_ts, commit_ts)
        else:
            self.rollback(mine, start_ts)

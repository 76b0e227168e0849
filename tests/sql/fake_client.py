"""A key-value client over one dict: the SQL engine's tests run on it, with no server and no wire.

It keeps every version, so snapshots and write conflicts are those of the real client; the transaction's buffer is the
real one. Fragments run in the real coprocessor. The table is cut into two stores at `split`, so that a fragment in mode
per_store sees two parts, and `whole_possible` says whether one of them has everything.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from rutile_coprocessor.execute import run_fragment
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import HIDDEN_HANDLE
from rutile_kv.client.bulk_load import CommittedRows
from rutile_kv.client.fragment_plan import WholeNotPossible
from rutile_kv.client.membuffer import Change, MemBuffer
from rutile_kv.client.pd import RegionInfo
from rutile_kv.client.prewrite_requests import CommitLimit
from rutile_kv.env.prompt import NotNow
from rutile_proto import keys
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.codec import decode_bytes
from rutile_proto.errors import AlreadyExist, LockFacts, LockWaitTimeout, TxnAborted, WriteConflict
from rutile_proto.timestamps import MAX_TIMESTAMP
from rutile_proto.types import Timestamp

KeyRange = tuple[bytes, bytes]
MAX_BUFFER_BYTES = 64 << 20


@dataclass
class Calls:
    """How often the engine asked for what."""

    gets: int = 0
    scans: int = 0
    timestamps: int = 0
    commits: int = 0
    locks: int = 0
    fragments: list[tuple[str, str]] = field(default_factory=list)
    """(mode, SQL)."""


class FakeStore:
    """Every version of every key."""

    def __init__(self) -> None:
        self.versions: dict[bytes, list[tuple[int, bytes | None]]] = {}
        self.ordered: list[bytes] = []
        self.clock = 0
        self.safe_point = 0
        """Versions that only older snapshots see are gone: those cannot be read."""
        self.claims: dict[str, int] = {}
        """What is claimed, by whom."""
        self.locks: dict[bytes, int] = {}
        """Pessimistic locks: key to the transaction that holds it."""
        self._noted: dict[bytes, int] = {}

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def get(self, key: bytes, ts: int) -> bytes | None:
        return next((value for commit_ts, value in reversed(self.versions.get(key, [])) if commit_ts <= ts), None)

    def newest(self, key: bytes) -> int:
        versions = self.versions.get(key)
        return max(versions[-1][0] if versions else 0, self._noted.get(key, 0))

    def note(self, key: bytes, ts: int) -> None:
        """A lock was committed on the key: no version, but a conflict for those who began before."""
        self._noted[key] = ts

    def put(self, key: bytes, ts: int, value: bytes | None) -> None:
        if key not in self.versions:
            self.versions[key] = []
            self.ordered.insert(bisect_left(self.ordered, key), key)
        self.versions[key].append((ts, value))

    def put_past(self, key: bytes, ts: int, value: bytes) -> None:
        """A version below those that may be there already."""
        newer = [version for version in self.versions.get(key, []) if version[0] > ts]
        older = [version for version in self.versions.get(key, []) if version[0] < ts]
        self.put(key, ts, value)
        self.versions[key] = [*older, (ts, value), *newer]

    def scan(self, start: bytes, end: bytes, ts: int) -> Iterator[tuple[bytes, bytes]]:
        high = bisect_left(self.ordered, end) if end else len(self.ordered)
        for key in self.ordered[bisect_left(self.ordered, start) : high]:
            value = self.get(key, ts)
            if value is not None:
                yield key, value


class FakeSnapshot:
    def __init__(self, client: FakeClient, ts: int) -> None:
        self._client = client
        self._ts = ts

    async def get(self, key: bytes) -> bytes | None:
        self._client.calls.gets += 1
        return self._client.store.get(key, self._ts)

    def scan_now(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        if not self._client.prompt:
            raise NotNow
        return list(itertools.islice(self._client.store.scan(start, end, self._ts), limit))

    def get_now(self, key: bytes) -> bytes | None:
        if not self._client.prompt:
            raise NotNow
        return self._client.store.get(key, self._ts)

    async def batch_get(self, wanted: Iterable[bytes]) -> dict[bytes, bytes]:
        self._client.calls.gets += 1
        found = {key: self._client.store.get(key, self._ts) for key in sorted(wanted)}
        return {key: value for key, value in found.items() if value is not None}

    async def scan(
        self, start: bytes, end: bytes, limit: int | None = None, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        self._client.calls.scans += 1
        if self._ts < self._client.store.safe_point:
            raise TxnAborted(f"{self._ts} is below the safe point")
        pairs = list(self._client.store.scan(start, end, self._ts))
        return pairs[:: -1 if reverse else 1][:limit]


class FakeTransaction(FakeSnapshot):
    def __init__(self, client: FakeClient, start_ts: int) -> None:
        super().__init__(client, start_ts)
        self.start_ts = Timestamp(start_ts)
        self.buffer = MemBuffer(MAX_BUFFER_BYTES)
        self.limit: CommitLimit | None = None
        self.at_once = False
        self._locked: set[bytes] = set()
        self.put = self.buffer.put
        self.delete, self.lock = self.buffer.delete, self.buffer.lock
        self.savepoint, self.rollback_to, self.release = (
            self.buffer.savepoint,
            self.buffer.rollback_to,
            self.buffer.release,
        )

    def insert(self, key: bytes, value: bytes) -> None:
        if key in self._locked and self.buffer.get(key) is None and self._client.store.get(key, MAX_TIMESTAMP):
            raise AlreadyExist(key)
        self.buffer.insert(key, value)

    async def get(self, key: bytes) -> bytes | None:
        own = self.buffer.get(key)
        return own.visible if own is not None and own.hides else await super().get(key)

    def scan_now(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        if any(True for _ in self.buffer.items(start, end)):
            raise NotNow
        return super().scan_now(start, end, limit)

    def get_now(self, key: bytes) -> bytes | None:
        own = self.buffer.get(key)
        return own.visible if own is not None and own.hides else super().get_now(key)

    async def batch_get(self, wanted: Iterable[bytes]) -> dict[bytes, bytes]:
        found = {key: await self.get(key) for key in sorted(wanted)}
        return {key: value for key, value in found.items() if value is not None}

    async def scan(
        self, start: bytes, end: bytes, limit: int | None = None, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        rows = dict(await super().scan(start, end))
        for key, entry in self.buffer.items(start, end):
            if entry.hides:
                rows.pop(key, None)
                if entry.visible is not None:
                    rows[key] = entry.visible
        return sorted(rows.items(), reverse=reverse)[:limit]

    async def commit(self) -> Timestamp:
        store = self._client.store
        self._client.calls.commits += 1
        for key in self._locked:
            self.buffer.lock(key)
        for key, entry in self.buffer.items():
            self._refuse_locked(key)
            if key not in self._locked and store.newest(key) > self.start_ts:
                raise WriteConflict(self.start_ts, store.newest(key) - 1, store.newest(key), key)
            if entry.change in (Change.INSERT, Change.CHECK_NOT_EXISTS) and store.get(key, MAX_TIMESTAMP) is not None:
                raise AlreadyExist(key)
        commit_ts = store.tick()
        for key, entry in self.buffer.items():
            if entry.change in (Change.PUT, Change.INSERT, Change.DELETE):
                store.put(key, commit_ts, entry.visible)
            elif key in self._locked or entry.change is Change.LOCK:
                store.note(key, commit_ts)
        self._release()
        return Timestamp(commit_ts)

    async def rollback(self) -> None:
        self.buffer = MemBuffer(MAX_BUFFER_BYTES)
        self._release()

    # --- locks: nobody waits here, the statement that would have to fails ---

    async def lock_keys(
        self, wanted: Iterable[bytes], *, wait_s: float | None = None, as_of: int | None = None
    ) -> dict[bytes, bool]:
        store = self._client.store
        fresh = sorted(set(wanted) - self._locked)
        if fresh:
            self._client.calls.locks += 1
        for key in fresh:
            self._refuse_locked(key)
            if as_of is not None and store.newest(key) > as_of:
                raise WriteConflict(self.start_ts, store.newest(key) - 1, store.newest(key), key)
            own = self.buffer.get(key)
            exists = store.get(key, MAX_TIMESTAMP) is not None
            if exists and own is not None and own.change in (Change.INSERT, Change.CHECK_NOT_EXISTS):
                raise AlreadyExist(key)
        store.locks.update(dict.fromkeys(fresh, self.start_ts))
        self._locked.update(fresh)
        return {key: store.get(key, MAX_TIMESTAMP) is not None for key in fresh}

    async def batch_get_for_update(self, wanted: Iterable[bytes], *, wait_s: float | None = None) -> dict[bytes, bytes]:
        keys = sorted(set(wanted))
        await self.lock_keys(keys, wait_s=wait_s)
        newest = {key: self._newest(key) for key in keys}
        return {key: value for key, value in newest.items() if value is not None}

    def _newest(self, key: bytes) -> bytes | None:
        own = self.buffer.get(key)
        hides = own is not None and own.hides
        return own.visible if own is not None and hides else self._client.store.get(key, MAX_TIMESTAMP)

    def _refuse_locked(self, key: bytes) -> None:
        holder = self._client.store.locks.get(key, self.start_ts)
        if holder != self.start_ts:
            raise LockWaitTimeout(LockFacts(key, key, holder, 0, 5))

    def _release(self) -> None:
        for key in self._locked:
            self._client.store.locks.pop(key, None)
        self._locked.clear()


@dataclass
class FakeResult:
    batches: Sequence[pa.RecordBatch]
    summaries: Sequence[rutilepb.FragmentSummary]
    schema: pa.Schema | None


class FakeClient:
    """Two stores: keys below `split` of each scan's rows in store 1, the others in store 2."""

    runs_fragments = False
    """Not by tickets."""

    def __init__(self, store: FakeStore | None = None, *, whole_possible: bool = True) -> None:
        self.store = store or FakeStore()
        self.whole_possible = whole_possible
        self.prompt = False
        """Whether it answers in the turn of the loop that asks, as a store in the same process does."""
        self.calls = Calls()

    async def timestamp(self) -> Timestamp:
        self.calls.timestamps += 1
        return Timestamp(self.store.tick())

    def snapshot(self, ts: int) -> FakeSnapshot:
        return FakeSnapshot(self, ts)

    async def stores(self) -> list[metapb.Store]:
        return []

    async def regions_in(self, start: bytes, end: bytes) -> list[RegionInfo]:
        return []

    async def begin(self, *, pessimistic: bool = False) -> FakeTransaction:
        return FakeTransaction(self, await self.timestamp())

    async def claim_versions(self, holder: str, ts: int, ttl_s: int) -> bool:
        if ttl_s and ts > self.store.safe_point:
            self.store.claims[holder] = ts
        elif not ttl_s:
            self.store.claims.pop(holder, None)
        return ts > self.store.safe_point

    async def bulk_load(self, rows: CommittedRows) -> None:
        for key, value in zip(rows.storage_keys.to_pylist(), rows.values.to_pylist(), strict=True):
            self.store.put_past(decode_bytes(key)[0], rows.commit_ts, value)

    async def run_fragment(
        self,
        fragment: rutilepb.Fragment,
        ranges: Mapping[str, Sequence[KeyRange]],
        ts: int,
        mode: str,
        timeout_s: float,
    ) -> FakeResult:
        if mode == "whole" and not self.whole_possible:
            raise WholeNotPossible("no store has a replica of every region")
        parsed = Fragment.from_proto(fragment)
        self.calls.fragments.append((mode, parsed.sql))
        parts = [(7, None)] if mode == "whole" else [(1, 0), (2, 1)]
        results = [self._run(parsed, ranges, ts, store_id, parity) for store_id, parity in parts]
        batches = [batch for found, _, _ in results for batch in found]
        return FakeResult(batches, [summary for _, summary, _ in results], results[0][2])

    def _run(
        self, fragment: Fragment, ranges: Mapping[str, Sequence[KeyRange]], ts: int, store_id: int, parity: int | None
    ) -> tuple[list[pa.RecordBatch], rutilepb.FragmentSummary, pa.Schema]:
        tables = {scan.name: [self._scan(scan, ranges[scan.name], ts, parity)] for scan in fragment.scans}
        with run_fragment(fragment, tables) as pages:
            batches = list(pages)
            facts = pages.summary
        scans = [
            rutilepb.ScanSummary(
                name=run.name, rows_read=run.rows_read, rows_out=run.rows_out, regions=1, path="rows", seconds=0.0
            )
            for run in facts.scans
        ]
        summary = rutilepb.FragmentSummary(
            store_id=store_id, scans=scans, rows_out=facts.rows_out, region_ids=[store_id * 10]
        )
        return batches, summary, pages.schema

    def _scan(self, scan: Scan, ranges: Sequence[KeyRange], ts: int, parity: int | None) -> pa.RecordBatch:
        """The rows of the ranges that this store has: those whose key has the parity."""
        pairs = [pair for start, end in ranges for pair in self.store.scan(start, end, ts)]
        kept = [pair for pair in pairs if parity is None or pair[0][-1] % 2 == parity]
        handles = None
        if HIDDEN_HANDLE in scan.columns:
            prefix = len(keys.record_prefix(scan.schema.table_id))
            handles = np.array([int.from_bytes(key[prefix:], "big") - (1 << 63) for key, _ in kept], np.int64)
        return RowCodec(scan.schema).decode_batch([value for _, value in kept], handles, scan.columns)

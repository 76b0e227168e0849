"""What became of the transactions whose locks a reader met, found out by the store before it answers "locked".

A transaction is decided at its primary key. When the primary has committed, its other locks still lie about for a
moment, or for as long as it takes if its client died then. Clients of our day ask at the primary and read on; but the
Python wheels wait until such a lock has outlived its time to live, three seconds, and give up before that (wire.md 7.5,
consequence 1). So the store asks for them: itself where it leads the primary's region, else the store that does.

What it learns is final: a transaction that has committed or was rolled back stays so. A reader then reads the lock as
what it has become, at once and without a write, and the locks are settled behind it. Of a transaction that still runs
nothing is learned, and nothing is done to it, whatever its time to live: that is for clients to decide.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.parallel import cancel_all
from rutile_kv.mvcc.reader import MvccReader, NotRecorded, OverlappedRollback, Recorded
from rutile_kv.mvcc.records import WriteKind
from rutile_kv.server.region_store import RegionStore
from rutile_kv.txn.commands import ResolveLock
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import LockFacts, RegionError, RegionNotFound, RutileError
from rutile_proto.keys import storage_key

log = logging.getLogger(__name__)

MAX_KNOWN = 4096
"""Ended transactions remembered."""
MAX_ASKED = 16
"""Transactions asked about for one request; the locks of others are told as they are."""
MAX_SETTLING = 64
"""Locks' settlements under way; the locks beyond lie until they are met again."""
REMOTE_BUDGET_SECONDS = 0.3
"""How long another store may take to tell: clients would wait about as long before they ask themselves."""


@dataclass(frozen=True, slots=True)
class Fates:
    """Transactions whose locks a reader at some timestamp need not stop at (MvccReader's arguments)."""

    bypass: frozenset[int] = frozenset()
    """Rolled back, or committed above the reader's timestamp."""
    access: frozenset[int] = frozenset()
    """Committed at or below it."""

    def __or__(self, more: Fates) -> Fates:
        return Fates(self.bypass | more.bypass, self.access | more.access)

    def __bool__(self) -> bool:
        return bool(self.bypass or self.access)


class LockFates:
    """Asks at primaries, remembers what is final, and settles the locks of ended transactions."""

    def __init__(self, store_id: int, kv: RegionStore, scheduler: TxnScheduler, cluster: Cluster | None = None) -> None:
        """`cluster` reaches the other stores; None if there are none to ask."""
        self._store_id = store_id
        self._kv = kv
        self._scheduler = scheduler
        self._cluster = cluster
        self._known: OrderedDict[int, int] = OrderedDict()
        self._settling: dict[asyncio.Task[None], None] = {}

    async def learn(self, context: kvrpcpb.Context, locks: Sequence[LockFacts], version: int) -> Fates:
        """What can be learned for a reader at `version` about the owners of `locks`, met in the region of `context`."""
        owned: dict[int, list[LockFacts]] = {}
        for lock in locks:
            owned.setdefault(lock.start_ts, []).append(lock)
        bypass: set[int] = set()
        access: set[int] = set()
        for start_ts, mine in list(owned.items())[:MAX_ASKED]:
            commit_ts = await self._fate(mine[0])
            if commit_ts is not None:
                (access if 0 < commit_ts <= version else bypass).add(start_ts)
                self._settle(context, start_ts, commit_ts, [lock.key for lock in mine])
        return Fates(frozenset(bypass), frozenset(access))

    async def close(self) -> None:
        """Settle nothing more."""
        await cancel_all(list(self._settling))

    # --- fates --------------------------------------------------------------------------------------------------------

    async def _fate(self, lock: LockFacts) -> int | None:
        """The owner's commit_ts, 0 if it was rolled back, None if it is not over or that cannot be told."""
        if lock.start_ts in self._known:
            return self._known[lock.start_ts]
        try:
            fate = await self._fate_here(lock)
        except RegionError:  # its primary is led elsewhere
            fate = await self._fate_there(lock)
        if fate is not None:
            self._known[lock.start_ts] = fate
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return fate

    async def _fate_here(self, lock: LockFacts) -> int | None:
        region = self._kv.find_region(storage_key(lock.primary))
        if region is None:
            raise RegionNotFound(0)
        peer = next((each for each in region.peers if each.store_id == self._store_id), None)
        context = kvrpcpb.Context(region_id=region.id, region_epoch=region.region_epoch, peer=peer)
        reader = MvccReader(self._scheduler.over(await self._kv.read_view(context)))
        held = reader.load_lock(lock.primary)
        if held is not None and held.start_ts == lock.start_ts:
            return None
        match reader.get_txn_commit_record(lock.primary, lock.start_ts):
            case Recorded(commit_ts, write):
                return 0 if write.kind is WriteKind.ROLLBACK else commit_ts
            case OverlappedRollback():
                return 0
            case NotRecorded():
                return None

    async def _fate_there(self, lock: LockFacts) -> int | None:
        """As the primary's leader tells. The question changes nothing: nobody's time runs out at timestamp 0."""
        if self._cluster is None:
            return None
        backoff = Backoff("ask a primary", REMOTE_BUDGET_SECONDS, self._cluster.pace)
        try:
            status = await self._cluster.locks.ask_primary(
                lock.primary, lock.start_ts, backoff, now=0, rollback_if_missing=False
            )
        except RutileError as error:  # nothing to be learned: the reader is told of the lock
            log.debug("transaction %d: %s", lock.start_ts, error)
            return None
        return status.commit_version if status.commit_version or not status.lock_ttl else None

    # --- settling -----------------------------------------------------------------------------------------------------

    def _settle(self, context: kvrpcpb.Context, start_ts: int, commit_ts: int, keys: Sequence[bytes]) -> None:
        """Turn the locks into what their transaction decided, behind the reader's back."""
        if context.replica_read or len(self._settling) >= MAX_SETTLING:
            return
        command = ResolveLock(start_ts, commit_ts, tuple(keys))
        task = asyncio.ensure_future(self._carry_out(context, command))
        self._settling[task] = None
        task.add_done_callback(self._settling.pop)

    async def _carry_out(self, context: kvrpcpb.Context, command: ResolveLock) -> None:
        try:
            await self._scheduler.execute(context, command)
        except RutileError as error:  # whoever meets the locks next tries again
            log.debug("locks of transaction %d were not settled: %s", command.start_ts, error)

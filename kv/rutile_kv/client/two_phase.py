"""Two-phase commit, as Percolator does it.

    1. prewrite   every key gets a lock that carries its new value and names the primary key; all batches in parallel.
                  Refused by a newer version (WriteConflict) or a key that should not exist (AlreadyExist).
    2. commit     a timestamp is drawn, and the primary's lock becomes a version at that timestamp. That single write
                  decides the whole transaction: before it, anyone may roll it back; after it, anyone may finish it.
    3. the rest   the other locks are turned in the background. Whoever meets one before looks at the primary.

The primary is the smallest key that is locked. Keys of its region that fit the same request are committed with it, so a
small transaction in one region costs one prewrite and one commit; if the store grants one-phase commit, the prewrite
alone. A transaction that fails before step 2 is rolled back in the background.

A small transaction over several regions asks for async commit: if every store grants it, the transaction is committed
the moment the last key is prewritten, at the largest of the timestamps the stores answered, and step 2 joins the third
in the background. Nobody but the keys themselves knows then; whoever wants to know asks all of them.

A pessimistic transaction brings its locks along: its primary is the one they point to, keys it has locked must still be
locked, and the others are checked like an optimistic transaction's.

A transaction whose writes are only right as long as something else holds (a table's definition) brings a
`CommitLimit`: it is not committed after that timestamp without asking again.

When the answer to the deciding request is lost, the outcome is found out by asking the primary, which either finds the
commit or rolls the transaction back for good. Only if that fails too, `UndeterminedResult` reaches the caller.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence

from rutile_kv.client.async_commit import AsyncCommit
from rutile_kv.client.backoff import COMMIT_TS_BEHIND, Backoff
from rutile_kv.client.batches import Again, Batch, Errand, cut, has_errors, pieces, send_all
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.heartbeat import keep_alive, lock_ttl_ms
from rutile_kv.client.lock_resolver import lock_of
from rutile_kv.client.membuffer import MemBuffer
from rutile_kv.client.outcome import committed_at, find_out, roll_back
from rutile_kv.client.parallel import cancel_all
from rutile_kv.client.pessimistic_locks import PessimisticLocks
from rutile_kv.client.prewrite_requests import CommitLimit, PrewriteRequests
from rutile_kv.client.secondaries import commit_keys, commit_request
from rutile_kv.client.sender import Missed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import CommitTsExpired, RutileError, TxnError, TxnLockNotFound
from rutile_proto.keys import storage_key
from rutile_proto.types import Timestamp
from rutile_proto.values import valueclass
from rutile_proto.wire_errors import key_error_from_pb

MAX_BACKGROUND = 256
"""With more commits than this still being finished behind the callers' backs, the next caller waits for its own."""


@valueclass
class _Tried:
    """A batch whose prewrite has left."""

    keys: Sequence[bytes]
    doubtful: bool
    """Whether an earlier prewrite of it left and may have arrived."""


class TwoPhaseCommit:
    """Commits one buffer, once."""

    def __init__(
        self,
        cluster: Cluster,
        start_ts: int,
        buffer: MemBuffer,
        age_ms: Callable[[], int],
        pessimistic: PessimisticLocks | None = None,
        limit: CommitLimit | None = None,
        *,
        at_once: bool = False,
    ) -> None:
        """`at_once`: see `Transaction.at_once`."""
        self._cluster = cluster
        self._start_ts = start_ts
        self._buffer = buffer
        self._age_ms = age_ms
        self._requests = PrewriteRequests(start_ts, buffer, age_ms, pessimistic, limit)
        self._keys, self._locked = self._requests.keys, self._requests.locked
        self._primary = self._requests.primary
        self._pessimistic = pessimistic
        self._limit = limit
        self._at_once = at_once
        self._async = AsyncCommit()
        self._min_commit_ts = start_ts + 1
        self._may_be_locked: dict[bytes, _Tried] = {}
        """Batches sent, by their first key."""
        self._one_phase = False
        self._one_phase_ts = 0
        self._one_phase_lost: BaseException | None = None
        self._undecided: BaseException | None = None
        """Why a request that may have committed the transaction has no known outcome. Nothing may be rolled back then:
        were it committed after all, that would undo half of it."""

    async def commit(self) -> Timestamp:
        """The commit timestamp (the start timestamp if there was nothing to lock).

        Raises WriteConflict, AlreadyExist, TxnLockNotFound and other `TxnError`s; RetriesExhausted if not committed in
        time; `UndeterminedResult` if that is not known.
        """
        try:
            await self._prewrite_all()
            if self._one_phase_ts:
                return Timestamp(self._one_phase_ts)
            if not self._locked:
                return Timestamp(self._start_ts)
            if self._async.commit_ts:
                commit_ts, done = Timestamp(self._async.commit_ts), range(0)
            else:
                commit_ts, done = await self._commit_primary(self._cluster.write_backoff("commit"))
        except BaseException:
            if self._undecided is None:
                self._roll_back_later()
            raise
        await self._commit_rest(commit_ts, done)
        return commit_ts

    # --- first phase ----------------------------------------------------------------------------------------------

    async def _prewrite_all(self) -> None:
        backoff = self._cluster.write_backoff("prewrite")
        batches = await cut(self._cluster, self._keys, self._requests.size_of, backoff)
        self._one_phase = len(batches) == 1 and bool(self._locked) and self._cluster.options.one_phase_commit
        self._async.wanted = (
            not self._one_phase and self._cluster.options.async_commit and self._requests.fit_async_commit
        )
        if (self._one_phase or self._async.wanted) and not self._at_once:
            # A commit timestamp chosen by the stores must still lie above everything committed before now.
            self._min_commit_ts = await self._cluster.pd.timestamp() + 1
        if len(batches) == 1 and not self._async.wanted:
            await self._prewrite_keys(backoff)
            return
        hearts = [] if self._pessimistic else [self._start_heart()]
        try:
            await self._prewrite_keys(backoff)
        except RutileError as error:
            await self._find_out_async(error)
        finally:
            await cancel_all(hearts)

    async def _prewrite_keys(self, backoff: Backoff) -> None:
        errand = Errand("KvPrewrite", self._prewrite_request, has_errors, self._prewritten)
        try:
            await send_all(self._cluster, self._keys, self._requests.size_of, errand, backoff, budget_each=True)
        except RutileError as error:
            if self._one_phase_lost is None or isinstance(error, TxnError):
                raise
            self._one_phase_ts = await self._find_out(self._one_phase_lost)
        if self._one_phase_lost is not None and not self._one_phase_ts:
            self._one_phase_ts = await committed_at(self._cluster, self._primary, self._start_ts)

    def _prewrite_request(self, batch: Batch) -> kvrpcpb.PrewriteRequest:
        first = batch.keys[0]
        self._may_be_locked[first] = _Tried(batch.keys, first in self._may_be_locked)
        request = self._requests.of(
            batch,
            min_commit_ts=self._min_commit_ts,
            one_phase=self._one_phase,
            async_commit=self._async.wanted,
        )
        if request.use_async_commit:  # any prewrite may be the one that commits
            self._undecided = self._async.sent(batch.keys)
        return request

    async def _prewritten(
        self,
        batch: Batch,
        request: kvrpcpb.PrewriteRequest,
        answer: kvrpcpb.PrewriteResponse | Missed,
        backoff: Backoff,
    ) -> Missed | Again | None:
        done = answer if isinstance(answer, kvrpcpb.PrewriteResponse) and not answer.errors else None
        if done is not None:
            self._async.granted(done.min_commit_ts)
        self._undecided = self._async.heard(batch.keys, answer)
        if isinstance(answer, Missed) and answer.answer_lost:
            self._one_phase_lost = answer.cause if request.try_one_pc else self._one_phase_lost
            return answer
        if done is not None:
            self._one_phase_ts = done.one_pc_commit_ts
            return None
        if not self._may_be_locked[batch.keys[0]].doubtful:
            del self._may_be_locked[batch.keys[0]]  # refused as a whole: nothing to roll back
        if isinstance(answer, Missed):
            return answer
        await self._cluster.locks.resolve([lock_of(error) for error in answer.errors], 0, backoff)
        return Again.SAME

    def _start_heart(self) -> asyncio.Task[None]:
        every_ms = lock_ttl_ms(self._buffer.size_bytes, 0) / 2
        beat = keep_alive(self._cluster, self._primary, self._start_ts, every_ms, self._age_ms)
        return asyncio.get_running_loop().create_task(beat, name=f"heartbeat of {self._start_ts}")

    # --- second phase ---------------------------------------------------------------------------------------------

    async def _commit_primary(self, backoff: Backoff) -> tuple[Timestamp, range]:
        """The commit timestamp, and which of the locked keys it covers already."""
        try:
            return await self._decide(backoff)
        except RutileError as error:
            if isinstance(error, TxnLockNotFound):
                self._undecided = None  # a committed primary would have said so
            if self._undecided is None:
                raise
            return await self._find_out(self._undecided), range(0)

    async def _decide(self, backoff: Backoff) -> tuple[Timestamp, range]:
        commit_ts = await self._cluster.pd.timestamp()
        while True:
            while self._limit is not None and commit_ts > self._limit.max_commit_ts:
                self._limit.max_commit_ts = await self._limit.extend()
            batch = await self._primary_batch(backoff)
            before, self._undecided = self._undecided, self._undecided or asyncio.CancelledError("while in flight")
            answer = await self._commit_once(batch, commit_ts, backoff)
            self._undecided = answer.cause if isinstance(answer, Missed) and answer.answer_lost else before
            if isinstance(answer, Missed):
                await answer.wait(backoff)
            elif answer.HasField("error"):
                commit_ts = await self._later(answer.error, backoff)
            else:
                at = bisect_left(self._locked, self._primary)
                return Timestamp(answer.commit_version or commit_ts), range(at, at + len(batch.keys))

    async def _primary_batch(self, backoff: Backoff) -> Batch:
        region = await self._cluster.regions.locate(storage_key(self._primary), backoff)
        upto = bisect_left(self._locked, region.user_end) if region.user_end else len(self._locked)
        return Batch(region, next(pieces(self._locked[bisect_left(self._locked, self._primary) : upto], len)))

    async def _commit_once(self, batch: Batch, commit_ts: int, backoff: Backoff) -> kvrpcpb.CommitResponse | Missed:
        request = commit_request(batch, self._start_ts, self._primary, commit_ts)
        answer: kvrpcpb.CommitResponse | Missed = await self._cluster.sender.send(
            batch.region, "KvCommit", request, backoff
        )
        return answer

    async def _later(self, error: kvrpcpb.KeyError, backoff: Backoff) -> Timestamp:
        """A reader has pushed our minimum: take a newer commit timestamp. Every other error is raised."""
        typed = key_error_from_pb(error)
        if not isinstance(typed, CommitTsExpired):
            raise self._named(typed)
        await backoff.wait(COMMIT_TS_BEHIND, typed)
        return await self._cluster.pd.timestamp()

    def _named(self, error: RutileError) -> RutileError:
        """TxnLockNotFound says which transaction it was, which does not travel."""
        if isinstance(error, TxnLockNotFound):
            return TxnLockNotFound(self._start_ts, error.commit_ts, error.key)
        return error

    async def _find_out(self, cause: BaseException) -> Timestamp:
        """The commit timestamp after a lost answer. TxnLockNotFound: certainly not committed, now or later."""
        self._undecided = cause
        try:
            return await find_out(self._cluster, self._primary, self._start_ts, cause)
        except TxnLockNotFound:
            self._undecided = None
            raise

    async def _find_out_async(self, error: RutileError) -> None:
        """All keys may be prewritten although we did not hear of it; then the transaction is committed, and that is
        found out. Raises `error` or UndeterminedResult otherwise."""
        if self._undecided is None or isinstance(error, TxnError):
            self._undecided = None  # a key that was refused is not prewritten, and never will be
            raise error
        try:
            self._async.commit_ts = await self._find_out(self._undecided)
        except TxnLockNotFound:
            raise error from None
        self._undecided = None

    # --- afterwards -----------------------------------------------------------------------------------------------

    async def _commit_rest(self, commit_ts: Timestamp, done: range) -> None:
        rest = [*self._locked[: done.start], *self._locked[done.stop :]]
        if not rest:
            return
        work = commit_keys(self._cluster, self._start_ts, self._primary, rest, commit_ts)
        task = self._cluster.background.start(work, f"secondaries of {self._start_ts}")
        if len(self._cluster.background) > MAX_BACKGROUND:
            await asyncio.wait([task])

    def _roll_back_later(self) -> None:
        locked = set(self._locked)
        found = {key for tried in self._may_be_locked.values() for key in tried.keys if key in locked}
        keys = sorted(found.union(self._pessimistic.touched() if self._pessimistic else ()))
        if keys:
            self._cluster.background.start(
                roll_back(self._cluster, self._start_ts, keys), f"roll-back of {self._start_ts}"
            )

"""The locks a pessimistic transaction holds while it runs.

The first key locked becomes the primary: its lock is taken before all others, and kept alive from then on, because
everyone who meets one of the locks judges their owner by it. A store lets a request wait for at most a second; until
the caller's own patience ends the request is sent again, and in between the holder is looked at: the locks of a dead
one are removed.

Locks are asked for as of the newest timestamp that the transaction has anyway. A key that somebody committed after it
is locked again as of a new one: what is read under a lock is always the newest value there is. Who has read before it
locks says as of when, and is told of the conflict instead.

A store may lose a lock (`txn.memory_locks`), which the commit finds out. Until then a key once locked counts as locked
and is never locked anew: that would hide that somebody wrote it in between. Values read under a lock are remembered;
those that were not asked for are read as of when the lock was taken, or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.batches import Again, Batch, Errand, cut, has_errors, send_all
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.heartbeat import MAX_TTL_MS
from rutile_kv.client.sender import Missed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import KeyIsLocked, LockWaitTimeout, RutileError, TxnError, TxnRetryable, WriteConflict
from rutile_proto.values import valueclass
from rutile_proto.wire_errors import key_error_from_pb

NO_WAIT = -1
"""PessimisticLockRequest.wait_timeout: answer at once."""
RPC_WAIT_MS = 1_000
"""What a store waits at most for one request."""
SLACK_S = 10.0
"""Beyond the time to wait for others: for finding regions and the like."""


@valueclass
class Found:
    """What was under a lock when it was taken."""

    value: bytes | None
    """None if there was nothing, or if values were not asked for."""
    exists: bool
    for_update_ts: int
    """Nobody has written the key since, as long as the lock is there."""
    has_value: bool
    """Whether it was asked for."""


@valueclass
class _Wish:
    """One call of `acquire`."""

    absent: frozenset[bytes]
    with_values: bool
    as_of: int
    """Above 0: with this for_update_ts and no newer one."""
    deadline_s: float
    found: dict[bytes, Found]


class PessimisticLocks:
    """Those of one transaction. Not for concurrent calls: the transaction's own order is the order of its locks."""

    def __init__(self, cluster: Cluster, start_ts: int, age_ms: Callable[[], int]) -> None:
        self.primary = b""
        """Empty before the first lock."""
        self.for_update_ts = start_ts
        """The newest any lock was taken at."""
        self.held: dict[bytes, Found] = {}
        """Keys locked, with what was there then."""
        self.requests = 0
        """How many requests took locks: those of one were all taken at one moment."""
        self._cluster = cluster
        self._start_ts = start_ts
        self._age_ms = age_ms
        self._touched: dict[bytes, None] = {}
        """Keys that may be locked: asked for, not released since."""
        self._heart: asyncio.Task[None] | None = None

    async def acquire(
        self,
        keys: Iterable[bytes],
        *,
        absent: frozenset[bytes],
        with_values: bool,
        wait_s: float,
        as_of: int | None = None,
    ) -> dict[bytes, Found]:
        """Lock `keys`, all or none; what was found under each lock, in key order.

        Of those in `absent` nothing may exist. Waits up to `wait_s` seconds for others, not at all if that is 0. Raises
        LockWaitTimeout, Deadlock, AlreadyExist, TxnAborted (the transaction was rolled back by others), and
        RetriesExhausted when stores are out of reach; with `as_of`, a timestamp no older than that of any lock before,
        also WriteConflict, when one of the keys was committed after it. Whatever is raised, the keys that were not
        locked before are not locked after.
        """
        wanted = sorted(set(keys))
        fresh = [key for key in wanted if key not in self.held]
        deadline_s = self._cluster.pace.clock.monotonic() + wait_s
        if with_values:
            await self._read_held([key for key in wanted if key in self.held and not self.held[key].has_value])
        if fresh:
            self.for_update_ts = max(self.for_update_ts, as_of or 0)
            wish = _Wish(absent, with_values, as_of or 0, deadline_s, {})
            await self._lock_all(fresh, wish, Backoff("lock keys", wait_s + SLACK_S, self._cluster.pace))
        return {key: self.held[key] for key in (wanted if with_values else fresh)}

    async def release(self, keys: Iterable[bytes]) -> None:
        """Give locks up before the transaction ends. What cannot be reached is left to its time to live."""
        gone = sorted(key for key in keys if key in self._touched)
        for key in gone:
            self.held.pop(key, None)
            del self._touched[key]
        try:
            errand = Errand("KVPessimisticRollback", self._release_request, has_errors, self._released)
            await send_all(self._cluster, gone, len, errand, self._cluster.write_backoff("release locks"))
        except RutileError:
            return

    async def release_all(self) -> None:
        """The same for all, when the transaction ends without a commit."""
        await self._give_primary_up()
        await self.release(list(self._touched))

    def touched(self) -> list[bytes]:
        """Keys that may be locked, whether or not we heard so."""
        return sorted(self._touched)

    async def stop_heart(self) -> None:
        """The transaction is over: let its locks live no longer than they do."""
        heart, self._heart = self._heart, None
        if heart is not None:
            await self._cluster.hearts.stop(heart)

    # --- taking -------------------------------------------------------------------------------------------------------

    async def _lock_all(self, keys: Sequence[bytes], wish: _Wish, backoff: Backoff) -> None:
        had_primary = bool(self.primary)
        try:
            await self._lock(keys, wish, backoff)
        except BaseException:
            if not had_primary:
                await self._give_primary_up()
            await asyncio.shield(self._cluster.background.start(self.release(keys), "release of locks", awaited=True))
            raise
        self.held.update(wish.found)

    async def _read_held(self, keys: Sequence[bytes]) -> None:
        """The values of keys locked without asking for them. Raises TxnRetryable if a lock was lost and its key
        written: as of when it was taken, it cannot be taken again."""
        for ts in sorted({self.held[key].for_update_ts for key in keys}):
            wish = _Wish(frozenset(), True, ts, 0.0, {})
            backoff = Backoff("read under locks", SLACK_S, self._cluster.pace)
            try:
                await self._lock([key for key in keys if self.held[key].for_update_ts == ts], wish, backoff)
            except (WriteConflict, LockWaitTimeout) as error:
                raise TxnRetryable(f"a lock of transaction {self._start_ts} was lost: {error}") from error
            self.held.update(wish.found)

    async def _lock(self, keys: Sequence[bytes], wish: _Wish, backoff: Backoff) -> None:
        """The primary and its region first, if there is none yet: the other locks point to it."""
        errand = self._errand(wish)
        rest = keys
        if not self.primary:
            self.primary = keys[0]
            head = len((await cut(self._cluster, keys, len, backoff))[0].keys)
            rest = keys[head:]
            await send_all(self._cluster, keys[:head], len, errand, backoff)
            self._heart = self._cluster.hearts.start(self.primary, self._start_ts, self._age_ms)
        await send_all(self._cluster, rest, len, errand, backoff)

    def _errand(self, wish: _Wish) -> Errand:
        def ask(batch: Batch) -> kvrpcpb.PessimisticLockRequest:
            self._touched.update(dict.fromkeys(batch.keys))
            return self._request(batch, wish)

        async def hear(
            batch: Batch,
            request: kvrpcpb.PessimisticLockRequest,
            answer: kvrpcpb.PessimisticLockResponse | Missed,
            backoff: Backoff,
        ) -> Missed | Again | None:
            if isinstance(answer, Missed):
                return answer
            if answer.errors:
                await self._overcome(key_error_from_pb(answer.errors[0]), wish, backoff)
                return Again.SAME
            self.requests += 1
            self._note(batch.keys, request.for_update_ts, answer, wish)
            return None

        return Errand("KvPessimisticLock", ask, has_errors, hear)

    async def _overcome(self, error: TxnError, wish: _Wish, backoff: Backoff) -> None:
        """Do what makes another try worth while; raise `error` if nothing does."""
        if isinstance(error, WriteConflict) and not wish.as_of:
            self.for_update_ts = max(self.for_update_ts, await self._cluster.pd.timestamp())
        elif isinstance(error, KeyIsLocked):
            ended = await self._cluster.locks.release_if_ended(error.lock, backoff)
            if not ended and self._left_ms(wish) <= 0:
                raise LockWaitTimeout(error.lock)
        else:
            raise error

    def _request(self, batch: Batch, wish: _Wish) -> kvrpcpb.PessimisticLockRequest:
        first = len(self._touched) == len(batch.keys) and not self.held
        request = kvrpcpb.PessimisticLockRequest(
            context=batch.region.plain_context,
            primary_lock=self.primary,
            start_version=self._start_ts,
            lock_ttl=self._age_ms() + MAX_TTL_MS,
            for_update_ts=wish.as_of or self.for_update_ts,
            is_first_lock=first,
            wait_timeout=min(RPC_WAIT_MS, self._left_ms(wish)) or NO_WAIT,
            return_values=wish.with_values,
            check_existence=True,
        )
        for key in batch.keys:
            mutation = request.mutations.add(op=kvrpcpb.PessimisticLock, key=key)
            if key in wish.absent:
                mutation.assertion = kvrpcpb.NotExist
        return request

    def _left_ms(self, wish: _Wish) -> int:
        return max(0, round((wish.deadline_s - self._cluster.pace.clock.monotonic()) * 1000))

    def _note(self, keys: Sequence[bytes], ts: int, answer: kvrpcpb.PessimisticLockResponse, wish: _Wish) -> None:
        values = answer.values if wish.with_values else [b""] * len(keys)
        for key, value, missing in zip(keys, values, answer.not_founds, strict=True):
            found = value if wish.with_values and not missing else None
            wish.found[key] = Found(found, not missing, ts, wish.with_values)

    # --- giving up ----------------------------------------------------------------------------------------------------

    async def _give_primary_up(self) -> None:
        await self.stop_heart()
        self.primary = b""

    def _release_request(self, batch: Batch) -> kvrpcpb.PessimisticRollbackRequest:
        return kvrpcpb.PessimisticRollbackRequest(
            context=batch.region.plain_context,
            start_version=self._start_ts,
            for_update_ts=self.for_update_ts,
            keys=batch.keys,
        )

    async def _released(
        self,
        batch: Batch,
        request: kvrpcpb.PessimisticRollbackRequest,
        answer: kvrpcpb.PessimisticRollbackResponse | Missed,
        backoff: Backoff,
    ) -> Missed | None:
        if isinstance(answer, Missed):
            return answer
        for error in answer.errors:
            raise key_error_from_pb(error)
        return None

"""Locks of others: find out what became of their owner, then finish or undo them.

A transaction's fate is written at its primary key and nowhere else. So the resolver asks there (`KvCheckTxnStatus`):

* committed or rolled back: the lock is turned into a version or removed (`KvResolveLock`), with the keys at hand if the
  transaction is small, else for the whole region at once;
* expired, that is its time to live has run out on the placement driver's clock: the same question rolls it back;
* alive: a reader's question pushes the owner's minimum commit timestamp above the reader's, after which the lock does
  not concern the reader; anyone else waits.

With async commit the primary alone does not decide: the transaction is committed as soon as all its keys are locked, at
the largest of their min_commit_ts. Once the owner of such locks is taken for dead, the secondaries are asked too
(`KvCheckSecondaryLocks`); one that is not locked never will be after that, which settles it for good either way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rutile_kv.client.backoff import LOCK_ALIVE, Backoff
from rutile_kv.client.parallel import run_bounded
from rutile_kv.client.pd import PdClient
from rutile_kv.client.router import Router
from rutile_kv.client.sender import Missed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import KeyIsLocked, LockFacts, TxnNotFound
from rutile_proto.timestamps import MAX_TIMESTAMP, physical_ms
from rutile_proto.wire_errors import key_error_from_pb, lock_from_pb

LITE_LIMIT = 512
"""Locks of a transaction with fewer keys are resolved one by one; of a bigger one, a region at a time."""
KNOWN_LIMIT = 2048
"""Ended transactions remembered."""
PARALLEL = 8
"""Transactions asked about at a time."""


@dataclass(frozen=True, slots=True)
class TxnStatus:
    """What a primary says of its transaction: committed, else alive if `ttl_ms`, else rolled back."""

    commit_ts: int = 0
    ttl_ms: float = 0
    """Milliseconds until the lock expires, as of the timestamp asked with."""
    pushed: bool = False
    """Alive, and certain to commit above the asking reader's timestamp."""

    @property
    def ended(self) -> bool:
        return self.commit_ts > 0 or not self.ttl_ms


class LockResolver:
    """Answers `KeyIsLocked` for reads and writes alike."""

    def __init__(self, router: Router, pd: PdClient) -> None:
        self._router = router
        self._pd = pd
        self._known: OrderedDict[int, TxnStatus] = OrderedDict()

    async def resolve(self, locks: Sequence[LockFacts], reader_ts: int, backoff: Backoff) -> list[int]:
        """Deal with the locks that stopped a request; waits if one must be waited for. Then send the request again.

        `reader_ts` is the timestamp a reader reads at, 0 for a writer. Returns the transactions whose locks that
        reader may pass over. RetriesExhausted, with KeyIsLocked as its cause, if the budget ends before the lock.
        """
        by_txn: dict[tuple[int, bytes], list[LockFacts]] = {}
        for lock in locks:
            by_txn.setdefault((lock.start_ts, lock.primary), []).append(lock)
        groups = list(by_txn.values())
        jobs = [lambda group=group: self._resolve_one(group, reader_ts, backoff) for group in groups]
        statuses = await run_bounded(jobs, PARALLEL)
        held = [(status.ttl_ms, group[0]) for status, group in zip(statuses, groups, strict=True) if _blocks(status)]
        if held:
            ttl_ms, lock = min(held, key=lambda each: each[0])
            await backoff.wait(LOCK_ALIVE, KeyIsLocked(lock), at_most_ms=ttl_ms + 1)
        return [group[0].start_ts for status, group in zip(statuses, groups, strict=True) if status.pushed]

    async def release_if_ended(self, lock: LockFacts, backoff: Backoff) -> bool:
        """Whether the lock's owner has ended; the lock is gone then. Does not wait for one that has not."""
        return (await self._resolve_one([lock], 0, backoff)).ended

    async def status(self, lock: LockFacts, reader_ts: int, backoff: Backoff) -> TxnStatus:
        """The fate of the lock's owner; an expired owner is rolled back by asking."""
        if (known := self._known.get(lock.start_ts)) is not None:
            return known
        now = await self._pd.timestamp()
        left_ms = physical_ms(lock.start_ts) + lock.ttl_ms - physical_ms(now)
        try:
            answer = await self.ask_primary(
                lock.primary,
                lock.start_ts,
                backoff,
                reader_ts=reader_ts,
                now=now,
                rollback_if_missing=left_ms < 0,
                pessimistic=lock.lock_type == kvrpcpb.PessimisticLock,
            )
        except TxnNotFound:
            return TxnStatus(ttl_ms=max(1.0, left_ms))  # its primary is still on the way
        return await self._judge(lock, answer, now, backoff)

    async def ask_primary(
        self,
        primary: bytes,
        start_ts: int,
        backoff: Backoff,
        *,
        reader_ts: int = 0,
        now: int = MAX_TIMESTAMP,
        rollback_if_missing: bool = True,
        pessimistic: bool = False,
        force_sync: bool = False,
    ) -> kvrpcpb.CheckTxnStatusResponse:
        """KvCheckTxnStatus. As it stands by default, it ends the transaction: committed, or rolled back for good."""

        answer: kvrpcpb.CheckTxnStatusResponse = await self._router.call(
            primary,
            "KvCheckTxnStatus",
            lambda region: kvrpcpb.CheckTxnStatusRequest(
                context=region.context(),
                primary_key=primary,
                lock_ts=start_ts,
                caller_start_ts=reader_ts,
                current_ts=now,
                rollback_if_not_exist=rollback_if_missing,
                resolving_pessimistic_lock=pessimistic,
                force_sync_commit=force_sync,
            ),
            backoff,
        )
        if answer.HasField("error"):
            raise key_error_from_pb(answer.error)
        return answer

    async def settle_async(self, primary: LockFacts, backoff: Backoff) -> int | None:
        """The commit_ts of an async-commit transaction, 0 if it is rolled back, by all its locks: decided for good.

        `primary` is the primary's lock. None: one of the locks is for a commit in two phases, so the primary decides.
        """
        commit_ts = primary.min_commit_ts
        left = sorted(primary.secondaries)
        while left:
            region, keys = (await self._router.group(left, backoff))[0]
            request = kvrpcpb.CheckSecondaryLocksRequest(
                context=region.context(), start_version=primary.start_ts, keys=keys
            )
            answer = await self._router.sender.send(region, "KvCheckSecondaryLocks", request, backoff)
            if isinstance(answer, Missed):
                await answer.wait(backoff)
                continue
            if answer.HasField("error"):
                raise key_error_from_pb(answer.error)
            if len(answer.locks) < len(keys):
                return int(answer.commit_ts)
            if not all(lock.use_async_commit for lock in answer.locks):
                return None
            commit_ts = max(commit_ts, *(lock.min_commit_ts for lock in answer.locks))
            left = left[len(keys) :]
        return commit_ts

    async def _judge(
        self, lock: LockFacts, answer: kvrpcpb.CheckTxnStatusResponse, now: int, backoff: Backoff
    ) -> TxnStatus:
        if not answer.lock_ttl or answer.commit_version:
            return self._ended(lock, answer.commit_version)
        left_ms = physical_ms(lock.start_ts) + answer.lock_ttl - physical_ms(now)
        if not answer.lock_info.use_async_commit or left_ms >= 0:
            return TxnStatus(ttl_ms=max(1.0, left_ms), pushed=answer.action == kvrpcpb.MinCommitTSPushed)
        primary = lock_from_pb(answer.lock_info)
        commit_ts = await self.settle_async(primary, backoff)
        if commit_ts is None:
            forced = await self.ask_primary(lock.primary, lock.start_ts, backoff, now=now, force_sync=True)
            return await self._judge(lock, forced, now, backoff) if not forced.lock_ttl else TxnStatus(ttl_ms=1.0)
        status = self._ended(lock, commit_ts)
        await self._release([primary], status, backoff)
        return status

    def _ended(self, lock: LockFacts, commit_ts: int) -> TxnStatus:
        status = TxnStatus(commit_ts=commit_ts)
        if lock.lock_type != kvrpcpb.PessimisticLock:  # "nothing found" is not final for those
            self._remember(lock.start_ts, status)
        return status

    async def _resolve_one(self, locks: Sequence[LockFacts], reader_ts: int, backoff: Backoff) -> TxnStatus:
        status = await self.status(locks[0], reader_ts, backoff)
        if status.ended:
            await self._release(locks, status, backoff)
        return status

    async def _release(self, locks: Sequence[LockFacts], status: TxnStatus, backoff: Backoff) -> None:
        """Finish the locks according to their owner's fate, one RPC a region."""
        left = {lock.key: lock for lock in locks}
        while left:
            for region, keys in await self._router.group(sorted(left), backoff):
                first = left[keys[0]]
                if first.lock_type == kvrpcpb.PessimisticLock and not status.commit_ts:
                    method, request = "KVPessimisticRollback", _pessimistic_rollback(first, keys)
                else:
                    method, request = "KvResolveLock", _resolve_request(first, keys, status)
                request.context.CopyFrom(region.context())
                answer = await self._router.sender.send(region, method, request, backoff)
                if isinstance(answer, Missed):
                    await answer.wait(backoff)
                    break  # cut what is left by the regions as they are now
                _raise_key_errors(answer)
                for key in keys:
                    del left[key]

    def _remember(self, start_ts: int, status: TxnStatus) -> None:
        self._known[start_ts] = status
        if len(self._known) > KNOWN_LIMIT:
            self._known.popitem(last=False)


def lock_of(error: kvrpcpb.KeyError) -> LockFacts:
    """The lock in a key error; any other error is raised."""
    typed = key_error_from_pb(error)
    if isinstance(typed, KeyIsLocked):
        return typed.lock
    raise typed


def _blocks(status: TxnStatus) -> bool:
    return not status.ended and not status.pushed


def _resolve_request(lock: LockFacts, keys: Sequence[bytes], status: TxnStatus) -> kvrpcpb.ResolveLockRequest:
    lite = 0 < lock.txn_size < LITE_LIMIT
    return kvrpcpb.ResolveLockRequest(
        start_version=lock.start_ts, commit_version=status.commit_ts, keys=keys if lite else ()
    )


def _pessimistic_rollback(lock: LockFacts, keys: Sequence[bytes]) -> kvrpcpb.PessimisticRollbackRequest:
    return kvrpcpb.PessimisticRollbackRequest(start_version=lock.start_ts, for_update_ts=MAX_TIMESTAMP, keys=keys)


def _raise_key_errors(
    answer: kvrpcpb.ResolveLockResponse | kvrpcpb.PessimisticRollbackResponse,
) -> None:
    if isinstance(answer, kvrpcpb.ResolveLockResponse):
        errors: Iterable[kvrpcpb.KeyError] = [answer.error] if answer.HasField("error") else []
    else:
        errors = answer.errors
    for error in errors:
        raise key_error_from_pb(error)

"""The shell round the scheduler core: gets views and has modifies written, through the store's regions."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from rutile_kv.engine.api import Modify, Reader, Snapshot
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.txn.commands.pessimistic_lock import PessimisticLock
from rutile_kv.txn.commands.prewrite import Prewrite
from rutile_kv.txn.commands.resolve_lock import BATCH_LOCKS, ResolveLock
from rutile_kv.txn.events import (
    Effect,
    Event,
    Fail,
    LocksTaken,
    Reply,
    SnapshotFailed,
    SnapshotTaken,
    Submit,
    TakeSnapshot,
    WriteDone,
    WriteFailed,
    WriteModifies,
)
from rutile_kv.txn.max_ts import MaxTs
from rutile_kv.txn.memory_locks import Leadership, MemoryLocks
from rutile_kv.txn.model import Command
from rutile_kv.txn.safe_point import SafePoint
from rutile_kv.txn.scheduler import Scheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.timestamps import MAX_TIMESTAMP
from rutile_proto.types import LogIndex
from rutile_proto.values import valueclass

ResultT = TypeVar("ResultT")


class Answer(Protocol):
    """Where a command's end is put, in the very turn of the loop it comes about: an asyncio.Future, or like one."""

    def done(self) -> bool:
        """Whether nobody waits any more."""

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, error: BaseException, /) -> None: ...

    def cancel(self) -> bool:
        """The scheduler is being closed."""


WriteListener: TypeAlias = Callable[[Sequence[Modify], bool], None]
"""Told how a write ended, before the answer is given: the changes, and whether they are certainly applied."""


class RegionKv(Protocol):
    """A store's regions, as transactions want them. The context names the region, its epoch and the peer."""

    async def read_view(self, context: kvrpcpb.Context) -> Reader:
        """The live engine, linearizable, within the region; good until the next await. Raises RegionError.

        May note the term it was led in as `context.term`: a `write` with that context must then fail (StaleCommand) if
        another leader may have been in between, for what the command read may be out of date.
        """

    def view_now(self, context: kvrpcpb.Context) -> tuple[Reader, metapb.Region] | None:
        """The same with the region, if it takes no await; else None. Notes the term as well. Raises RegionError."""

    async def snapshot(self, context: kvrpcpb.Context) -> tuple[Snapshot, metapb.Region, LogIndex]:
        """The same as a snapshot for any thread, with the region and the index applied. The caller closes it."""

    async def write(self, context: kvrpcpb.Context, modifies: Sequence[Modify]) -> None:
        """Returns when applied here. Raises RegionError if surely not applied, UndeterminedResult if unknown."""


MAX_HELD = 4096
"""Calls that wait for locks to land; those beyond are dropped, and whoever asked asks again."""


@valueclass
class _Held:
    start: bytes
    end: bytes | None
    ts: int
    act: Callable[[], None]


class TxnScheduler:
    """Runs transaction commands of all regions of a store. To be used from one event loop."""

    def __init__(self, kv: RegionKv, max_ts: MaxTs | None = None, *, locks_in_memory: bool = True) -> None:
        self.max_ts = MaxTs() if max_ts is None else max_ts
        self.safe_point = SafePoint()
        self._kv = kv
        self._core = Scheduler(locks_in_memory=locks_in_memory)
        self._tokens = count(1)
        self._contexts: dict[int, kvrpcpb.Context] = {}
        self._answers: dict[int, Answer] = {}
        self._begun: dict[int, int] = {}
        """Start timestamps of commands that may only begin what garbage collection has not passed yet."""
        self._running: dict[asyncio.Task[None], None] = {}
        self._listeners: list[WriteListener] = []
        self._held: list[_Held] = []
        self._due: deque[Event] = deque()
        """Events to be handled in this turn; the first is being handled."""

    async def execute(self, context: kvrpcpb.Context, command: Command[ResultT]) -> ResultT:
        """The command's result, once what it wrote is applied. Raises TxnError, RegionError, UndeterminedResult.

        A caller that is cancelled does not stop its command. ResolveLock without keys cleans the whole region.
        """
        if isinstance(command, ResolveLock) and not command.keys:
            await self._resolve_region(context, command)
            return cast(ResultT, None)
        result: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self.submit(context, command, result)
        return await result

    def submit(self, context: kvrpcpb.Context, command: Command[Any], answer: Answer) -> None:
        """The same for those who must hear of the end before anything else happens."""
        token = next(self._tokens)
        self._contexts[token] = _own_copy(context)
        self._answers[token] = answer
        if isinstance(command, Prewrite | PessimisticLock):
            self._begun[token] = command.start_ts
        self._handle(Submit(token, command))

    def listen(self, listener: WriteListener) -> None:
        """Let `listener` hear of every write from now on."""
        self._listeners.append(listener)

    def over(self, reader: Reader) -> Reader:
        """`reader` as reads must see it: with the locks that are on their way. Call after raising max_ts."""
        return self._core.guards.over(reader)

    @property
    def memory_locks(self) -> MemoryLocks:
        """The pessimistic locks that only this process knows."""
        return self._core.memory_locks

    def with_memory_locks(self, view: Reader, context: kvrpcpb.Context) -> Reader:
        """`view`, just taken with `context`, for those who look for locks of every kind. Plain reads need it not:
        pessimistic locks are not in their way."""
        return view if context.replica_read else self.memory_locks.over(view, _leadership(context))

    def when_landed(self, start: bytes, end: bytes | None, ts: int, act: Callable[[], None]) -> None:
        """Call `act` as soon as no lock on its way to [start, end) (storage keys) may be committed at or below `ts`;
        at once if there is none. Raise max_ts to `ts` before: then no new one comes. Beyond MAX_HELD it is dropped."""
        if not self._core.guards.blocks(start, end, ts):
            act()
        elif len(self._held) < MAX_HELD:
            self._held.append(_Held(start, end, ts, act))

    async def close(self) -> None:
        """Cancel what is under way; callers get CancelledError."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for answer in self._answers.values():
            answer.cancel()
        self._answers.clear()
        self._contexts.clear()

    # --- effects ---

    def _handle(self, event: Event) -> None:
        """What is due on the way (views that could be had at once, commands of those who were told) comes after it."""
        self._due.append(event)
        if len(self._due) > 1:
            return
        while self._due:
            for effect in self._core.handle(self._due[0]):
                self._perform(effect)
            self._due.popleft()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case TakeSnapshot(token):
                if (taken := self._snapshot_now(token)) is not None:
                    self._due.append(taken)
                else:
                    self._start(self._take_snapshot(token))
            case WriteModifies(token, modifies):
                self._start(self._write(token, modifies))
            case LocksTaken(_, modifies):
                for listener in self._listeners:
                    listener(modifies, True)
            case Reply(token, result):
                answer = self._finish(token)
                if not answer.done():
                    answer.set_result(result)
            case Fail(token, error):
                answer = self._finish(token)
                if not answer.done():
                    answer.set_exception(error)

    def _finish(self, token: int) -> Answer:
        del self._contexts[token]
        self._begun.pop(token, None)
        return self._answers.pop(token)

    def _start(self, work: Awaitable[Event]) -> None:
        task = asyncio.ensure_future(self._then_handle(work))
        self._running[task] = None
        task.add_done_callback(self._running.pop)

    async def _then_handle(self, work: Awaitable[Event]) -> None:
        self._handle(await work)
        if self._held:
            held, self._held = self._held, []
            for each in held:
                self.when_landed(each.start, each.end, each.ts, each.act)

    def _snapshot_now(self, token: int) -> Event | None:
        """The view, where a leader has its lease; None where it takes an await."""
        context = self._contexts[token]
        try:
            found = self._kv.view_now(context)
            return None if found is None else self._taken(token, context, found[0])
        except Exception as error:
            return SnapshotFailed(token, error)

    async def _take_snapshot(self, token: int) -> Event:
        context = self._contexts[token]
        try:
            return self._taken(token, context, await self._kv.read_view(context))
        except Exception as error:
            return SnapshotFailed(token, error)

    def _taken(self, token: int, context: kvrpcpb.Context, reader: Reader) -> SnapshotTaken:
        self.safe_point.check(self._begun.get(token, MAX_TIMESTAMP))
        return SnapshotTaken(token, reader, self.max_ts.for_region(context.region_id), _leadership(context))

    async def _write(self, token: int, modifies: list[Modify]) -> Event:
        ending: Event = WriteDone(token)
        try:
            await self._kv.write(self._contexts[token], modifies)
        except Exception as error:
            ending = WriteFailed(token, error)
        for listener in self._listeners:
            listener(modifies, isinstance(ending, WriteDone))
        return ending

    # --- whole regions ---

    async def _resolve_region(self, context: kvrpcpb.Context, command: ResolveLock) -> None:
        """Find the transactions' locks in bounded batches, and resolve each batch as a command of its own."""
        statuses = command.statuses()
        start = b""
        while statuses:
            view = await self._kv.read_view(context)
            reader = MvccReader(self.with_memory_locks(view, context))
            found = reader.scan_locks(start, b"", max(statuses), BATCH_LOCKS, owners=frozenset(statuses))
            if found:
                await self.execute(context, command.on([lock.key for lock in found]))
            if len(found) < BATCH_LOCKS:
                return
            start = found[-1].key + b"\0"


def _leadership(context: kvrpcpb.Context) -> Leadership:
    """What a view taken with this context was taken under."""
    return Leadership(context.region_id, context.region_epoch.version, context.term)


def _own_copy(context: kvrpcpb.Context) -> kvrpcpb.Context:
    """A context that the view may write its term to, though several commands share the request's."""
    copy = kvrpcpb.Context()
    copy.CopyFrom(context)
    return copy

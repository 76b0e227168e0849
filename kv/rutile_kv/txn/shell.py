"""The shell round the scheduler core: gets views and has modifies written, through the store's regions."""

import asyncio
from collections.abc import Awaitable, Sequence
from itertools import count
from typing import Any, Protocol, TypeVar, cast

from rutile_kv.engine.api import Modify, Reader, Snapshot
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.txn.commands.resolve_lock import BATCH_LOCKS, ResolveLock
from rutile_kv.txn.events import (
    Effect,
    Event,
    Fail,
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
from rutile_kv.txn.model import Command
from rutile_kv.txn.scheduler import Scheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.types import LogIndex

ResultT = TypeVar("ResultT")


class RegionKv(Protocol):
    """A store's regions, as transactions want them. The context names the region, its epoch and the peer."""

    async def read_view(self, context: kvrpcpb.Context) -> Reader:
        """The live engine, linearizable, within the region; good until the next await. Raises RegionError.

        May note the term it was led in as `context.term`: a `write` with that context must then fail (StaleCommand) if
        another leader may have been in between, for what the command read may be out of date.
        """

    async def snapshot(self, context: kvrpcpb.Context) -> tuple[Snapshot, metapb.Region, LogIndex]:
        """The same as a snapshot for any thread, with the region and the index applied. The caller closes it."""

    async def write(self, context: kvrpcpb.Context, modifies: Sequence[Modify]) -> None:
        """Returns when applied here. Raises RegionError if surely not applied, UndeterminedResult if unknown."""


class TxnScheduler:
    """Runs transaction commands of all regions of a store. To be used from one event loop."""

    def __init__(self, kv: RegionKv, max_ts: MaxTs | None = None) -> None:
        self.max_ts = MaxTs() if max_ts is None else max_ts
        self._kv = kv
        self._core = Scheduler()
        self._tokens = count(1)
        self._contexts: dict[int, kvrpcpb.Context] = {}
        self._results: dict[int, asyncio.Future[Any]] = {}
        self._running: dict[asyncio.Task[None], None] = {}

    async def execute(self, context: kvrpcpb.Context, command: Command[ResultT]) -> ResultT:
        """The command's result, once what it wrote is applied. Raises TxnError, RegionError, UndeterminedResult.

        A caller that is cancelled does not stop its command. ResolveLock without keys cleans the whole region.
        """
        if isinstance(command, ResolveLock) and not command.keys:
            await self._resolve_region(context, command)
            return cast(ResultT, None)
        token = next(self._tokens)
        result: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._contexts[token] = _own_copy(context)
        self._results[token] = result
        self._handle(Submit(token, command))
        return await result

    def over(self, reader: Reader) -> Reader:
        """`reader` as reads must see it: with the locks that are on their way. Call after raising max_ts."""
        return self._core.guards.over(reader)

    async def close(self) -> None:
        """Cancel what is under way; callers get CancelledError."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for result in self._results.values():
            result.cancel()
        self._results.clear()
        self._contexts.clear()

    # --- effects ---

    def _handle(self, event: Event) -> None:
        for effect in self._core.handle(event):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case TakeSnapshot(token):
                self._start(self._take_snapshot(token))
            case WriteModifies(token, modifies):
                self._start(self._write(token, modifies))
            case Reply(token, result):
                future = self._finish(token)
                if not future.done():
                    future.set_result(result)
            case Fail(token, error):
                future = self._finish(token)
                if not future.done():
                    future.set_exception(error)

    def _finish(self, token: int) -> "asyncio.Future[Any]":
        del self._contexts[token]
        return self._results.pop(token)

    def _start(self, work: Awaitable[Event]) -> None:
        task = asyncio.ensure_future(self._then_handle(work))
        self._running[task] = None
        task.add_done_callback(self._running.pop)

    async def _then_handle(self, work: Awaitable[Event]) -> None:
        self._handle(await work)

    async def _take_snapshot(self, token: int) -> Event:
        context = self._contexts[token]
        try:
            reader = await self._kv.read_view(context)
        except Exception as error:
            return SnapshotFailed(token, error)
        return SnapshotTaken(token, reader, self.max_ts.for_region(context.region_id))

    async def _write(self, token: int, modifies: list[Modify]) -> Event:
        try:
            await self._kv.write(self._contexts[token], modifies)
        except Exception as error:
            return WriteFailed(token, error)
        return WriteDone(token)

    # --- whole regions ---

    async def _resolve_region(self, context: kvrpcpb.Context, command: ResolveLock) -> None:
        """Find the transactions' locks in bounded batches, and resolve each batch as a command of its own."""
        statuses = command.statuses()
        start = b""
        while statuses:
            reader = MvccReader(await self._kv.read_view(context))
            found = reader.scan_locks(start, b"", max(statuses), BATCH_LOCKS, owners=frozenset(statuses))
            if found:
                await self.execute(context, command.on([lock.key for lock in found]))
            if len(found) < BATCH_LOCKS:
                return
            start = found[-1].key + b"\0"


def _own_copy(context: kvrpcpb.Context) -> kvrpcpb.Context:
    """A context that the view may write its term to, though several commands share the request's."""
    copy = kvrpcpb.Context()
    copy.CopyFrom(context)
    return copy

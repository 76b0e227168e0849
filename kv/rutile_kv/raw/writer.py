"""The shell round raw writes: latches, views, decisions, and the region's log."""

import asyncio
from collections.abc import Collection, Coroutine, Hashable, Sequence
from itertools import count, islice
from typing import Any, Protocol, TypeVar

from rutile_kv.engine.api import Cf, Modify, Reader
from rutile_kv.raw.commands import Command
from rutile_kv.raw.latches import Latches
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import ServerIsBusy

MAX_WRITES = 10_000
"""Writes under way at a time; more are told that the server is busy."""
DELETE_BATCH_KEYS = 1024
"""Keys that a range deletion removes with one log entry."""

ResultT = TypeVar("ResultT")


class RegionKv(Protocol):
    """A store's regions, as raw writes want them. The context names the region, its epoch and the peer."""

    async def read_view(self, context: kvrpcpb.Context) -> Reader:
        """The live engine, linearizable, within the region; good until the next await. Raises RegionError.

        May note the term it was led in as `context.term`, so that a `write` with that context fails if another leader
        may have been in between.
        """

    async def write(self, context: kvrpcpb.Context, modifies: Sequence[Modify]) -> None:
        """Returns when applied here. Raises RegionError if surely not applied, UndeterminedResult if unknown."""


class RawWriter:
    """All raw writes of a store. To be used from one event loop.

    A caller that is cancelled does not stop its write: the latches have to be held until its outcome is known.
    """

    def __init__(self, kv: RegionKv) -> None:
        self._kv = kv
        self._latches = Latches()
        self._tokens = count(1)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._running: dict[asyncio.Task[Any], None] = {}

    async def write(self, context: kvrpcpb.Context, modifies: Sequence[Modify]) -> None:
        """Make the changes, in their order, whatever was there. Raises RegionError, UndeterminedResult."""
        keys = {(cf, key): None for cf, key, _ in modifies}
        await self._start(self._write(context, modifies, keys))

    async def execute(self, context: kvrpcpb.Context, command: Command[ResultT]) -> ResultT:
        """The command's result, once what it decided is applied. Raises RegionError, UndeterminedResult."""
        return await self._start(self._execute(_own_copy(context), command))

    async def delete_range(self, context: kvrpcpb.Context, cf: Cf, start: bytes, end: bytes) -> None:
        """Delete what is in [start, end) of the region; an empty end is infinite. Raises as `write`.

        Goes forward in batches, each of them atomic; stopped half way, it has deleted the lower part.
        """
        while True:
            reader = await self._kv.read_view(context)
            keys = [key for key, _ in islice(reader.scan(cf, start, end or None), DELETE_BATCH_KEYS)]
            if keys:
                await self.write(context, [(cf, key, None) for key in keys])
            if len(keys) < DELETE_BATCH_KEYS:
                return
            start = keys[-1] + b"\0"

    async def close(self) -> None:
        """Cancel what is under way; callers get CancelledError."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    # --- inside ---

    async def _start(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        if len(self._running) >= MAX_WRITES:
            work.close()
            raise ServerIsBusy(f"{MAX_WRITES} raw writes are under way")
        task = asyncio.ensure_future(work)
        self._running[task] = None
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        del self._running[task]
        if not task.cancelled():
            task.exception()  # asked for here, so that it is no surprise when the caller has gone

    async def _write(self, context: kvrpcpb.Context, modifies: Sequence[Modify], keys: Collection[Hashable]) -> None:
        token = await self._acquire(keys, alone=False)
        try:
            await self._kv.write(context, modifies)
        finally:
            self._release(token)

    async def _execute(self, context: kvrpcpb.Context, command: Command[ResultT]) -> ResultT:
        token = await self._acquire([(command.cf, key) for key in command.keys], alone=True)
        try:
            outcome = command.process(await self._kv.read_view(context))
            if outcome.modifies:
                await self._kv.write(context, outcome.modifies)
            return outcome.result
        finally:
            self._release(token)

    async def _acquire(self, keys: Collection[Hashable], *, alone: bool) -> int:
        """The token to release them with."""
        token = next(self._tokens)
        if not self._latches.acquire(token, keys, alone=alone):
            turn = self._waiting[token] = asyncio.get_running_loop().create_future()
            await turn
        return token

    def _release(self, held: int) -> None:
        for token in self._latches.release(held):
            turn = self._waiting.pop(token)
            if not turn.done():
                turn.set_result(None)


def _own_copy(context: kvrpcpb.Context) -> kvrpcpb.Context:
    """A context that the view may write its term to."""
    copy = kvrpcpb.Context()
    copy.CopyFrom(context)
    return copy

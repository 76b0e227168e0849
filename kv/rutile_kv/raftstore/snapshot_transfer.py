"""Snapshots on their way out, in, and into the engine: the driver's slow tasks, in slices, beside the rounds."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Executor
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from google.protobuf.message import DecodeError

from rutile_kv.engine.api import Cf, Engine
from rutile_kv.env.clock import Clock
from rutile_kv.raftstore.events import (
    Event,
    InstallSnapshot,
    SendSnapshot,
    SnapshotInstalled,
    SnapshotReceived,
    SnapshotSent,
)
from rutile_kv.raftstore.rate_limit import RateLimit
from rutile_kv.raftstore.snapshot import SpooledSnapshot, encode_snapshot
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import InvalidRequest, ServerIsBusy

log = logging.getLogger(__name__)

SPOOL_IN_MEMORY_BYTES = 4 << 20
"""A received snapshot up to this size never touches the disk before it is installed."""
INSTALL_RECORDS = 4096
"""Records written to the engine in one turn of the loop: a few milliseconds."""


class Transport(Protocol):
    """How stores reach each other."""

    def send(self, messages: Sequence[raft_serverpb.RaftMessage]) -> None:
        """Send each to its `to_peer.store_id`, at once; what goes to one store goes together. Never blocks, may
        drop."""

    async def send_snapshot(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        """Stream a snapshot: its message, then the data. Returns when the receiver has all of it, raises if not."""


class SnapshotTransfer:
    """Runs the transfers of one store: all it sends share `bytes_per_second`, all it receives does too (0: no limit).
    `step` takes events into the core."""

    def __init__(
        self,
        engine: Engine,
        transport: Transport,
        executor: Executor,
        spool_directory: Path | None,
        max_receiving: int,
        bytes_per_second: int,
        clock: Clock,
        step: Callable[[Event], None],
        is_wanted: Callable[[int, int], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engine = engine
        self._transport = transport
        self._executor = executor
        self._spool_directory = spool_directory
        self._receiving = 0
        self._max_receiving = max_receiving
        self._clock = clock
        self._sending, self._taking = RateLimit(bytes_per_second), RateLimit(bytes_per_second)
        self._step = step
        self._sleep = sleep
        self._is_wanted = is_wanted

    async def send(self, send: SendSnapshot) -> None:
        """Stream a snapshot out and report how it went."""
        to_peer, ok = send.message.to_peer, False
        try:
            await self._transport.send_snapshot(send.message, self._chunks(send))
            ok = True
        except Exception as error:
            # Whatever a network raises: Raft hears of it and tries again.
            log.warning("snapshot of region %d to store %d failed: %r", send.region.id, to_peer.store_id, error)
        finally:
            send.data.close()
            self._step(SnapshotSent(send.region.id, to_peer.id, ok))

    async def _chunks(self, send: SendSnapshot) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        chunks = encode_snapshot(send.data, send.region)
        while (chunk := await loop.run_in_executor(self._executor, next, chunks, None)) is not None:
            await self._pace(self._sending, len(chunk))
            yield chunk

    async def _pace(self, limit: RateLimit, size_bytes: int) -> None:
        """Wait until so many bytes may pass. The receiver's wait reaches the sender as a stream that does not take."""
        delay_seconds = limit.delay_seconds(self._clock.monotonic(), size_bytes)
        if delay_seconds:
            await self._sleep(delay_seconds)

    async def receive(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        """Spool a snapshot, verify it, hand it to the core. Raises InvalidRequest when it is torn, ServerIsBusy when
        too many are on their way."""
        if self._receiving >= self._max_receiving:
            raise ServerIsBusy("too many snapshots are being received")
        self._receiving += 1
        payload = SpooledSnapshot(self._spool())
        try:
            region = _region_of(message)
            loop = asyncio.get_running_loop()
            async for chunk in chunks:
                await self._pace(self._taking, len(chunk))
                await loop.run_in_executor(self._executor, payload.write, chunk)
            await loop.run_in_executor(self._executor, payload.verify, region)
        except BaseException:
            payload.close()
            raise
        finally:
            self._receiving -= 1
        self._step(SnapshotReceived(message, payload))

    def _spool(self) -> BinaryIO:
        directory = None if self._spool_directory is None else str(self._spool_directory)
        # Opened here and closed by whoever owns the payload in the end.
        spool = tempfile.SpooledTemporaryFile(SPOOL_IN_MEMORY_BYTES, dir=directory)  # noqa: SIM115
        return cast(BinaryIO, spool)

    async def install(self, install: InstallSnapshot) -> None:
        """Write a snapshot's records, a slice a turn, as long as anybody wants them."""
        loop = asyncio.get_running_loop()
        region_id, index = install.region.id, install.meta.index
        records = install.payload.records()

        def next_slice() -> list[tuple[Cf, bytes, bytes]]:
            return list(islice(records, INSTALL_RECORDS))

        while True:
            try:
                pairs = await loop.run_in_executor(self._executor, next_slice)
            except ValueError:
                if self._is_wanted(region_id, index):
                    raise
                return
            if not self._is_wanted(region_id, index):
                return
            if not pairs:
                break
            batch = self._engine.batch()
            for cf, key, value in pairs:
                batch.put(cf, key, value)
            self._engine.write(batch)
        self._step(SnapshotInstalled(region_id, index))


def _region_of(message: raft_serverpb.RaftMessage) -> metapb.Region:
    """The region that a snapshot message is about."""
    try:
        about: raft_serverpb.RaftSnapshotData = raft_serverpb.RaftSnapshotData.FromString(message.message.snapshot.data)
    except DecodeError as cause:
        raise InvalidRequest(f"region {message.region_id}: a malformed snapshot message: {cause}") from cause
    return about.region

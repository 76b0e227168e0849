"""A disk that forgets: an engine in memory which, when the power goes, loses what was not synced.

What was written since the last sync is kept as a list of undo records, so a crash costs what is lost and not what is
kept. A crash ends this *life* of the disk: whoever still holds it (tasks of the crashed process that are being wound
up) may read what is there, but its writes go nowhere. `reboot` gives the disk's next life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from rutile_kv.engine.api import DATA_CFS, Cf, Snapshot, WriteBatch
from rutile_kv.engine.memory import MemoryBatch, MemoryEngine
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import StorageError

Undo: TypeAlias = dict[tuple[Cf, bytes], bytes | None]
"""What each touched key held before a batch."""
Fault: TypeAlias = Callable[[str], None]
"""Called with "write" or "sync" before each; raises StorageError to make it fail."""


def no_fault(operation: str) -> None:
    """A disk that works."""


class ForgetfulDisk:
    """The Engine protocol, and `reboot`."""

    def __init__(self, memory: MemoryEngine | None = None, fault: Fault = no_fault) -> None:
        self.fault = fault
        self.is_dead = False
        """True once the power went: writes of this life have no effect any more."""
        self._memory = memory or MemoryEngine()
        self._unsynced: list[Undo] = []

    # --- power --------------------------------------------------------------------------------------------------------

    @property
    def unsynced_batches(self) -> int:
        """How many batches a crash now could lose."""
        return len(self._unsynced)

    def reboot(self, survivors: int = 0) -> ForgetfulDisk:
        """Cut the power, letting the first `survivors` of the unsynced batches through; the disk as found
        afterwards."""
        self.is_dead = True
        lost, self._unsynced = self._unsynced[survivors:], []
        for undo in reversed(lost):
            batch = self._memory.batch()
            batch.extend((cf, key, before) for (cf, key), before in undo.items())
            self._memory.write(batch)
        return ForgetfulDisk(self._memory, self.fault)

    # --- Engine -------------------------------------------------------------------------------------------------------

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        return self._memory.get(cf, key)

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._memory.scan(cf, start, end, reverse=reverse)

    def snapshot(self) -> Snapshot:
        return self._memory.snapshot()

    def batch(self) -> MemoryBatch:
        return self._memory.batch()

    def write(self, batch: WriteBatch) -> None:
        if self.is_dead:
            return
        self.fault("write")
        if not isinstance(batch, MemoryBatch):
            raise TypeError("a batch belongs to the kind of engine that made it")
        self._unsynced.append(self._before(batch))
        self._memory.write(batch)

    def sync(self) -> None:
        if not self.is_dead:
            self.fault("sync")
            self._unsynced.clear()

    def ingest(self, cf: Cf, pairs: Iterator[tuple[bytes, bytes]]) -> int:
        if self.is_dead:
            return sum(1 for _ in pairs)
        count = self._memory.ingest(cf, pairs)
        self.sync()
        return count

    def approximate_size_bytes(self, start: bytes, end: bytes | None) -> int:
        return self._memory.approximate_size_bytes(start, end)

    def compact(self, start: bytes, end: bytes | None) -> None:
        self._memory.compact(start, end)

    def close(self) -> None:
        """A clean shutdown syncs; the data stays for whoever opens the disk again."""
        self.sync()

    # --- looking in ---------------------------------------------------------------------------------------------------

    def contents(self, region: metapb.Region) -> list[tuple[Cf, bytes, bytes]]:
        """The data of a region."""
        return [
            (cf, key, value)
            for cf in DATA_CFS
            for key, value in self._memory.scan(cf, region.start_key, region.end_key or None)
        ]

    def _before(self, batch: MemoryBatch) -> Undo:
        undo: Undo = {}
        for cf, key, _, end in batch.operations:
            keys = [key] if end is None else [found for found, _ in self._memory.scan(cf, key, end)]
            for each in keys:
                if (cf, each) not in undo:
                    undo[cf, each] = self._memory.get(cf, each)
        return undo


class DiskError(StorageError):
    """A disk error that a test asked for."""

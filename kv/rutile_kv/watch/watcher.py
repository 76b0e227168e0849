"""One watcher of one region: what was applied for it and not yet sent. Bounded: who reads too slowly is ended."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rutile_kv.engine.api import Cf, Modify
from rutile_kv.watch.changes import RawRow, Version, brings_files, committed, raw_rows
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import RutileError, WatchFellBehind, WatchHistoryGone

PAGE_BYTES = 1 << 20
"""Changes handed out at a time, about; a log entry is never cut."""

Change: TypeAlias = Version | RawRow


@dataclass(frozen=True, slots=True)
class Entry:
    """What log entry `index` changed for the watcher, and the region at that moment."""

    region: metapb.Region
    index: int
    changes: Sequence[Change]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything up to log entry `index` has been handed out, and of transactions everything up to `resolved_ts`."""

    region: metapb.Region
    index: int
    resolved_ts: int
    held_by: bytes | None = None
    """A storage key with the oldest lock, if that keeps resolved_ts back."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be sent next: entries in log order, then perhaps progress."""

    entries: Sequence[Entry]
    progress: Progress | None


class Watcher(ABC):
    """Follows [start, end) of engine keys in one region. `wake` is called whenever there is something to take."""

    def __init__(self, start: bytes, end: bytes | None, wake: Callable[[], None], queue_bytes: int) -> None:
        self.start = start
        self.end = end
        self.ended: RutileError | None = None
        """Why nothing more comes, once what waits is taken."""
        self.resolved_ts = 0
        """The newest that was handed out."""
        self._wake = wake
        self._queue_bytes = queue_bytes
        self._waiting: deque[Entry | Progress] = deque()
        self._waiting_bytes = 0

    # --- the core puts in ---------------------------------------------------------------------------------------------

    def applied(self, region: metapb.Region, index: int, modifies: Sequence[Modify]) -> None:
        """A log entry was applied."""
        entry = self.entry(region, index, modifies)
        if entry is not None and self.ended is None:
            self._add(entry)

    def entry(self, region: metapb.Region, index: int, modifies: Sequence[Modify]) -> Entry | None:
        """What this watcher is told of a log entry; None if that does not concern it."""
        changes = self._select(modifies)
        return Entry(region, index, changes, sum(change.size_bytes for change in changes)) if changes else None

    def progressed(self, progress: Progress) -> None:
        """Takes the place of progress that still waits, so that a slow reader gathers none."""
        if self.ended is not None:
            return
        if self._waiting and isinstance(self._waiting[-1], Progress):
            self._waiting.pop()
        self._waiting.append(progress)
        self._wake()

    def finish(self, error: RutileError) -> None:
        """Nothing more will come; the first reason stands."""
        if self.ended is None:
            self.ended = error
            self._wake()

    # --- the shell takes out ------------------------------------------------------------------------------------------

    def take(self) -> Page | None:
        """The next page; None if nothing waits."""
        entries: list[Entry] = []
        size_bytes = 0
        while self._waiting and size_bytes < PAGE_BYTES:
            item = self._waiting.popleft()
            if isinstance(item, Progress):
                self.resolved_ts = max(self.resolved_ts, item.resolved_ts)
                return Page(entries, item)
            entries.append(item)
            size_bytes += item.size_bytes
            self._waiting_bytes -= item.size_bytes
        return Page(entries, None) if entries else None

    # --- inside -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _select(self, modifies: Sequence[Modify]) -> list[Change]:
        """The changes this watcher is about."""

    def _add(self, entry: Entry) -> None:
        """A single entry may be larger than the bound: it is kept if nothing else waits."""
        if self._waiting_bytes and self._waiting_bytes + entry.size_bytes > self._queue_bytes:
            self.finish(WatchFellBehind(self._promised_ts()))
            return
        self._waiting.append(entry)
        self._waiting_bytes += entry.size_bytes
        self._wake()

    def _promised_ts(self) -> int:
        """What the reader will have been promised once it has taken all that waits."""
        waiting = [item.resolved_ts for item in self._waiting if isinstance(item, Progress)]
        return max([self.resolved_ts, *waiting])


class TransactionalWatcher(Watcher):
    """Follows commits above `from_ts`; its range is in storage keys."""

    def __init__(
        self,
        start: bytes,
        end: bytes | None,
        from_ts: int,
        wake: Callable[[], None],
        queue_bytes: int,
    ) -> None:
        super().__init__(start, end, wake, queue_bytes)
        self.from_ts = from_ts
        self.resolved_ts = from_ts

    def applied(self, region: metapb.Region, index: int, modifies: Sequence[Modify]) -> None:
        """A load's table files end the watch: their rows were committed before now, and are not told one by one."""
        super().applied(region, index, modifies)
        if brings_files(modifies, self.start, self.end):
            self.finish(WatchHistoryGone(region.id, index))

    def _select(self, modifies: Sequence[Modify]) -> list[Change]:
        return [each for each in committed(modifies, self.start, self.end) if each.commit_ts > self.from_ts]


class RawWatcher(Watcher):
    """Follows one raw family."""

    def __init__(self, start: bytes, end: bytes | None, cf: Cf, wake: Callable[[], None], queue_bytes: int) -> None:
        super().__init__(start, end, wake, queue_bytes)
        self.cf = cf

    def _select(self, modifies: Sequence[Modify]) -> list[Change]:
        return list(raw_rows(modifies, self.cf, self.start, self.end))

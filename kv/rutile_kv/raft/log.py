"""The replicated log as one peer sees it: what is durable in the storage, and after it what is not yet.

    compacted │ durable (storage) │ unstable (here)
              first_index         offset          last_index
                 applied ≤ handed_out ≤ committed ≤ last_index

The Log Matching property (paper §5.3, Figure 3) lives here: entries are appended only behind an entry both sides agree
on, and a conflict deletes everything from it on, but never what is committed.
"""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.raft.errors import AppliedOutOfOrder, Compacted, StorageAnswer, Unavailable
from rutile_kv.raft.messages import Entry, EntryKind, SnapshotMeta
from rutile_kv.raft.storage import Storage, limit_bytes
from rutile_kv.raft.unstable import Unstable

_PAGE_BYTES = 1 << 20
"""How much of the log is looked at in one piece when it is searched."""


class Log:
    """Entries and the three indexes that move over them."""

    __slots__ = ("_storage", "_unstable", "applied", "committed", "handed_out")

    def __init__(self, storage: Storage, committed: int, applied: int) -> None:
        """The log of a restarted peer. Raises AppliedOutOfOrder if `applied` contradicts the storage."""
        first, last = storage.first_index(), storage.last_index()
        self._storage = storage
        self._unstable = Unstable(last + 1)
        self.applied = max(applied, first - 1)
        self.committed = max(committed, self.applied)
        self.handed_out = self.applied
        """Of committed entries: up to here a Ready gave them out to be applied."""
        if self.committed > last:
            raise AppliedOutOfOrder(f"applied {self.applied}, committed {self.committed}, last {last}")

    # --- reading ------------------------------------------------------------------------------------------------------

    @property
    def first_index(self) -> int:
        """The lowest index whose entry is there; the entry before it is known by its term only."""
        snapshot = self._unstable.snapshot
        return self._storage.first_index() if snapshot is None else snapshot.index + 1

    @property
    def last_index(self) -> int:
        return self._unstable.last_index

    @property
    def last_term(self) -> int:
        return self.term(self.last_index)

    @property
    def persisted(self) -> int:
        """Up to here the log is durable as it stands; 0 while a snapshot is being installed."""
        return 0 if self._unstable.snapshot is not None else self._unstable.offset - 1

    @property
    def pending_snapshot(self) -> SnapshotMeta | None:
        """A snapshot received and not yet installed."""
        return self._unstable.snapshot

    def term(self, index: int) -> int:
        """The term of the entry at `index`; also known for first_index - 1. Raises Compacted, Unavailable."""
        unstable = self._unstable
        if index >= unstable.offset:
            if index > unstable.last_index:
                raise Unavailable(index)
            return unstable.entries[index - unstable.offset].term
        if unstable.snapshot is None:
            return self._storage.term(index)
        if index == unstable.snapshot.index:
            return unstable.snapshot.term
        raise Compacted(index)

    def matches(self, index: int, term: int) -> bool:
        """True if the entry at `index` is there and has `term` (the consistency check of paper §5.3)."""
        try:
            return self.term(index) == term
        except StorageAnswer:
            return False

    def slice(self, low: int, high: int, max_bytes: int | None) -> list[Entry]:
        """The entries of [low, high), as many as fit in `max_bytes` but at least one. Raises Compacted."""
        offset = self._unstable.offset
        if low >= offset:
            return limit_bytes(self._unstable.slice(low, high), max_bytes)
        if self._unstable.snapshot is not None:
            raise Compacted(low)
        durable = self._storage.entries(low, min(high, offset), max_bytes)
        if low + len(durable) < offset or high <= offset:
            return durable
        return limit_bytes(durable + self._unstable.slice(offset, high), max_bytes)

    def is_up_to_date(self, index: int, term: int) -> bool:
        """True if a log that ends in (index, term) is at least as up-to-date as this one (paper §5.4.1, last
        paragraph)."""
        return (term, index) >= (self.last_term, self.last_index)

    def last_index_within_term(self, index: int, term: int) -> tuple[int, int]:
        """The highest position at or below `index` whose term is at most `term`, and its term (0 if only its index is
        known).

        Where two logs may agree at the latest: the follower answers with it, the leader continues from it, so a
        conflict costs one round trip per term (the accelerated back-off of paper §5.3). Terms never fall along the log,
        so bisect.
        """
        low, high = self.first_index - 1, min(index, self.last_index)
        if high < low or self.term(low) > term:
            return max(min(high, low - 1), 0), 0
        while low < high:
            middle = (low + high + 1) // 2
            if self.term(middle) <= term:
                low = middle
            else:
                high = middle - 1
        return low, self.term(low)

    def has_unapplied_conf_change(self) -> bool:
        """True if a configuration change is committed but not applied."""
        low = self.applied + 1
        while low <= self.committed:
            page = self.slice(low, self.committed + 1, _PAGE_BYTES)
            if any(entry.kind is EntryKind.CONF_CHANGE for entry in page):
                return True
            low += len(page)
        return False

    # --- growing ------------------------------------------------------------------------------------------------------

    def append(self, entry: Entry) -> None:
        """Add a leader's own entry (Leader Append-Only, paper Figure 3)."""
        assert entry.index == self.last_index + 1, f"appended {entry.index} after {self.last_index}"
        self._unstable.append((entry,))

    def append_after(self, index: int, term: int, entries: Sequence[Entry]) -> int | None:
        """Add a leader's entries behind (index, term), and return the last index known to match; None if there is no
        such entry (paper Figure 2, AppendEntries RPC, steps 2 to 4). `index` must not be below the commit index."""
        assert index >= self.committed, f"entries after {index} would replace committed ones up to {self.committed}"
        if not self.matches(index, term):
            return None
        fresh = self._without_known(entries)
        if fresh:
            self._unstable.append(fresh)
        return index + len(entries)

    def _without_known(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """`entries` from the first one on that the log does not have."""
        last_index = self.last_index
        for position, entry in enumerate(entries):
            if entry.index > last_index or not self.matches(entry.index, entry.term):
                return entries[position:]
        return ()

    def restore(self, snapshot: SnapshotMeta) -> None:
        """Replace the log by a snapshot that is ahead of it (paper §7)."""
        assert snapshot.index > self.committed, f"snapshot {snapshot.index} is behind commit {self.committed}"
        self._unstable.restore(snapshot)
        self.committed = snapshot.index

    # --- the indexes --------------------------------------------------------------------------------------------------

    def commit_to(self, index: int) -> bool:
        """Move the commit index up to `index`; it never moves back. Returns whether it moved."""
        if index <= self.committed:
            return False
        assert index <= self.last_index, f"commit {index} is beyond the last index {self.last_index}"
        self.committed = index
        return True

    def has_committed(self) -> bool:
        """True if `take_committed` would return something."""
        return self.committed > self.handed_out and self._unstable.snapshot is None

    def take_committed(self, max_bytes: int) -> list[Entry]:
        """The next committed entries to apply; each is given out once. None while a snapshot waits to be installed."""
        if not self.has_committed():
            return []
        entries = self.slice(self.handed_out + 1, self.committed + 1, max_bytes)
        self.handed_out = entries[-1].index
        return entries

    def applied_to(self, index: int) -> None:
        """The state machine has everything up to `index`. Raises AppliedOutOfOrder if that was never given out."""
        if index > self.handed_out:
            raise AppliedOutOfOrder(f"applied {index}, but only {self.handed_out} was handed out")
        self.applied = max(self.applied, index)

    # --- becoming durable ---------------------------------------------------------------------------------------------

    def has_unstable(self) -> bool:
        return bool(self._unstable.entries) or self._unstable.snapshot is not None

    def unstable_entries(self) -> list[Entry]:
        """What has to be written."""
        return self._unstable.entries.copy()

    def written(self, index: int, term: int) -> None:
        """The entries up to (index, term) are durable."""
        self._unstable.written(index, term)

    def installed(self, snapshot: SnapshotMeta) -> None:
        """The snapshot is durable and in the state machine."""
        self._unstable.installed(snapshot.index)
        self.applied = max(self.applied, snapshot.index)
        self.handed_out = max(self.handed_out, snapshot.index)

    def make_snapshot(self, request_index: int) -> SnapshotMeta:
        """A snapshot for a peer that needs entries already compacted. Raises SnapshotTemporarilyUnavailable."""
        return self._storage.snapshot(request_index)

"""The end of the log that is not durable yet: entries, and perhaps a snapshot, that the caller has still to write."""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.raft.messages import Entry, SnapshotMeta


class Unstable:
    """Entries from `offset` on; they hide whatever the storage holds at or after it.

    While a Ready is being written its entries stay here, so a newer leader may replace them meanwhile: what was written
    is dropped from here only if it is still what the log says.
    """

    __slots__ = ("entries", "offset", "snapshot")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.entries: list[Entry] = []
        self.snapshot: SnapshotMeta | None = None

    @property
    def last_index(self) -> int:
        """Of the whole log, as `offset` follows whatever is durable."""
        return self.offset + len(self.entries) - 1

    def append(self, entries: Sequence[Entry]) -> None:
        """Add `entries`, replacing what stands at or after the first of them."""
        at = entries[0].index
        assert at <= self.last_index + 1, f"a gap: last index {self.last_index}, appended {at}"
        assert self.snapshot is None or at > self.snapshot.index, f"index {at} is inside the pending snapshot"
        if at <= self.offset:
            self.offset, self.entries = at, list(entries)
        else:
            del self.entries[at - self.offset :]
            self.entries.extend(entries)

    def slice(self, low: int, high: int) -> list[Entry]:
        """The entries of [low, high), which must all be here."""
        return self.entries[low - self.offset : high - self.offset]

    def restore(self, snapshot: SnapshotMeta) -> None:
        """Forget the entries: the log begins after `snapshot` now."""
        self.offset, self.entries, self.snapshot = snapshot.index + 1, [], snapshot

    def written(self, index: int, term: int) -> None:
        """The entries up to `index`, the last of which has `term`, are durable. Nothing happens if they were
        replaced."""
        position = index - self.offset
        if 0 <= position < len(self.entries) and self.entries[position].term == term:
            self.offset = index + 1
            del self.entries[: position + 1]

    def installed(self, index: int) -> None:
        """The snapshot up to `index` is durable. Nothing happens if a newer one took its place."""
        if self.snapshot is not None and self.snapshot.index == index:
            self.snapshot = None

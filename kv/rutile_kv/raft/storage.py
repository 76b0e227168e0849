"""Where Raft reads what the caller made durable: the protocol, and a storage in memory.

The core only reads. The caller writes what a `Ready` holds and the core sees it here. What is not yet written
the core keeps itself (`unstable.py`), so a storage answers only for what it was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rutile_kv.raft.errors import Compacted, SnapshotTemporarilyUnavailable, Unavailable
from rutile_kv.raft.messages import ConfState, Entry, HardState, SnapshotMeta


class Storage(Protocol):
    """The durable log and states of one peer. The log holds [first_index, last_index]; index 0 is the empty start."""

    def initial_state(self) -> tuple[HardState, ConfState]:
        """The hard state as last written, and the configuration as of the applied index. Asked once, at the start."""

    def entries(self, low: int, high: int, max_bytes: int | None) -> list[Entry]:
        """The entries of [low, high), cut where `Entry.size_bytes` would sum to more than `max_bytes` (None: no cut),
        but at least one. Raises Compacted if low < first_index, Unavailable if high > last_index + 1."""

    def term(self, index: int) -> int:
        """The term of the entry at `index`; also answers for first_index - 1.
        Raises Compacted below that, Unavailable above last_index."""

    def first_index(self) -> int:
        """The lowest index that `entries` has: one above the last compacted entry."""

    def last_index(self) -> int:
        """The highest index there is; first_index - 1 when the log is empty."""

    def snapshot(self, request_index: int) -> SnapshotMeta:
        """A snapshot that covers at least `request_index`; its data stays with the caller, which sends it when it sees
        the SNAPSHOT message. Raises SnapshotTemporarilyUnavailable while it is being made: the core asks again."""


class MemoryStorage:
    """A storage in a list. It is durable in so far as its owner keeps it."""

    def __init__(self, conf_state: ConfState | None = None) -> None:
        self.hard_state = HardState()
        self.conf_state = conf_state or ConfState()
        self._compacted = SnapshotMeta(0, 0, self.conf_state)
        self._snapshot: SnapshotMeta | None = None
        self._entries: list[Entry] = []

    # --- what the core asks -------------------------------------------------------------------------------------------

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self.hard_state, self.conf_state

    def entries(self, low: int, high: int, max_bytes: int | None) -> list[Entry]:
        first = self.first_index()
        if low < first:
            raise Compacted(low)
        if high > self.last_index() + 1:
            raise Unavailable(high - 1)
        return limit_bytes(self._entries[low - first : high - first], max_bytes)

    def term(self, index: int) -> int:
        if index == self._compacted.index:
            return self._compacted.term
        if index < self._compacted.index:
            raise Compacted(index)
        if index > self.last_index():
            raise Unavailable(index)
        return self._entries[index - self.first_index()].term

    def first_index(self) -> int:
        return self._compacted.index + 1

    def last_index(self) -> int:
        return self._compacted.index + len(self._entries)

    def snapshot(self, request_index: int) -> SnapshotMeta:
        if self._snapshot is None or self._snapshot.index < request_index:
            raise SnapshotTemporarilyUnavailable()
        return self._snapshot

    # --- what its owner does ------------------------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> None:
        """Write `entries` and forget whatever stood at or after the first of them."""
        if not entries:
            return
        first, last = self.first_index(), self.last_index()
        assert first <= entries[0].index <= last + 1, f"a gap: log [{first}, {last}], appended {entries[0].index}"
        del self._entries[entries[0].index - first :]
        self._entries.extend(entries)

    def install(self, snapshot: SnapshotMeta) -> None:
        """Replace the whole log by a received snapshot."""
        self._compacted = self._snapshot = snapshot
        self.conf_state = snapshot.conf_state
        self._entries.clear()

    def make_snapshot(self, index: int, conf_state: ConfState) -> SnapshotMeta:
        """Remember that a snapshot up to `index` exists, to be handed to peers that lag behind the log."""
        self._snapshot = SnapshotMeta(index, self.term(index), conf_state)
        return self._snapshot

    def compact(self, index: int) -> None:
        """Forget the entries up to and including `index`. Raises Compacted if they are gone, Unavailable if not
        there."""
        term = self.term(index)
        del self._entries[: index - self._compacted.index]
        self._compacted = SnapshotMeta(index, term, self.conf_state)


def limit_bytes(entries: list[Entry], max_bytes: int | None) -> list[Entry]:
    """The longest head of `entries` within `max_bytes`, but at least one if there is one."""
    if max_bytes is None or len(entries) <= 1:
        return entries
    total = 0
    for position, entry in enumerate(entries):
        total += entry.size_bytes
        if total > max_bytes and position > 0:
            return entries[:position]
    return entries

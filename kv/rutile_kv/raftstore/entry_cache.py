"""The newest log entries of one peer, without gaps, bounded in bytes."""

from collections.abc import Sequence

from rutile_kv.raft.messages import Entry


class EntryCache:
    """A list of consecutive entries. When it grows over its limit the older half goes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._entries: list[Entry] = []
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def first_index(self) -> int:
        """Of the oldest entry held; 0 when there is none."""
        return self._entries[0].index if self._entries else 0

    def get(self, index: int) -> Entry | None:
        position = index - self.first_index
        return self._entries[position] if self._entries and 0 <= position < len(self._entries) else None

    def slice(self, low: int, high: int) -> list[Entry]:
        """The entries of [low, high), all of which must be held."""
        first = self.first_index
        return self._entries[low - first : high - first]

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries; whatever is held at or after the first of them is replaced."""
        first = entries[0].index
        if self._entries and not self.first_index <= first <= self._entries[-1].index + 1:
            self.clear()
        elif self._entries and first <= self._entries[-1].index:
            replaced = self._entries[first - self.first_index :]
            self._size_bytes -= sum(entry.size_bytes for entry in replaced)
            del self._entries[len(self._entries) - len(replaced) :]
        self._entries.extend(entries)
        self._size_bytes += sum(entry.size_bytes for entry in entries)
        while self._size_bytes > self._limit_bytes and len(self._entries) > 1:
            self.forget_through(self._entries[len(self._entries) // 2 - 1].index)

    def forget_through(self, index: int) -> None:
        """Drop the entries up to and including `index`."""
        count = max(0, min(index - self.first_index + 1, len(self._entries)))
        self._size_bytes -= sum(entry.size_bytes for entry in self._entries[:count])
        del self._entries[:count]

    def clear(self) -> None:
        self._entries.clear()
        self._size_bytes = 0

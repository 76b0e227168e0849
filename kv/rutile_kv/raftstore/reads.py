"""Reads that wait: first for Raft to confirm an index (ReadIndex), then for that index to be applied here.

All reads of a round share one ReadIndex. Its context is a number that no earlier life of this peer can have used, so
that a late answer to a forgotten question confirms nothing.
"""

from dataclasses import dataclass, field

from rutile_kv.raftstore.config import StoreConfig


@dataclass(slots=True)
class ReadBatch:
    """Reads that share a ReadIndex."""

    tokens: list[object]
    asked_at_tick: int
    since_tick: int
    contexts: list[bytes] = field(default_factory=list)
    """Every context asked with; the answer to any of them confirms the batch."""


class ReadQueue:
    """The reads of one peer."""

    def __init__(self, config: StoreConfig, first_number: int) -> None:
        self._config = config
        self._number = first_number
        self.fresh: list[object] = []
        """Came since the last round."""
        self._asked: list[ReadBatch] = []
        self._confirmed: list[tuple[int, list[object]]] = []

    def __len__(self) -> int:
        return len(self.fresh) + len(self._asked) + len(self._confirmed)

    def ask(self, tick: int) -> bytes | None:
        """The context to ask Raft with for the reads that came since; None if there are none."""
        if not self.fresh:
            return None
        batch = ReadBatch(self.fresh, tick, tick)
        self.fresh = []
        self._asked.append(batch)
        return self._new_context(batch)

    def ask_again(self, tick: int) -> list[bytes]:
        """Contexts for batches whose question or answer seems lost."""
        late = [batch for batch in self._asked if tick - batch.asked_at_tick >= self._config.read_retry_ticks]
        for batch in late:
            batch.asked_at_tick = tick
        return [self._new_context(batch) for batch in late]

    def expire(self, tick: int) -> list[object]:
        """Reads that waited too long for a confirmation, given up."""
        limit = self._config.read_timeout_ticks
        expired = [batch for batch in self._asked if tick - batch.since_tick >= limit]
        self._asked = [batch for batch in self._asked if tick - batch.since_tick < limit]
        return [token for batch in expired for token in batch.tokens]

    def drop(self, context: bytes) -> list[object]:
        """Raft did not take the question: give the reads up that asked it."""
        for position, batch in enumerate(self._asked):
            if context in batch.contexts:
                del self._asked[position]
                return batch.tokens
        return []

    def confirm(self, index: int, context: bytes) -> None:
        """Raft answered: the batch may be read at `index`."""
        for position, batch in enumerate(self._asked):
            if context in batch.contexts:
                self._confirmed.append((index, batch.tokens))
                del self._asked[position]
                return

    def release(self, applied_index: int) -> list[object]:
        """Confirmed reads that `applied_index` is enough for."""
        if not self._confirmed:
            return []
        ready = [token for index, tokens in self._confirmed if index <= applied_index for token in tokens]
        self._confirmed = [pair for pair in self._confirmed if pair[0] > applied_index]
        return ready

    def take_unconfirmed(self) -> list[object]:
        """Give up everything Raft has not confirmed; what is confirmed stays right whoever leads."""
        taken = [*self.fresh, *(token for batch in self._asked for token in batch.tokens)]
        self.fresh, self._asked = [], []
        return taken

    def take_all(self) -> list[object]:
        taken = self.take_unconfirmed() + [token for _, tokens in self._confirmed for token in tokens]
        self._confirmed = []
        return taken

    def _new_context(self, batch: ReadBatch) -> bytes:
        self._number += 1
        context = self._number.to_bytes(16, "big")
        batch.contexts.append(context)
        return context

"""Requests whose entry is in the log and not yet applied, in log order.

An entry is named by its index and term. When an entry of another term is applied at a proposal's index, or an entry of
a later term anywhere before it, the proposal was overwritten by another leader and will never be applied: StaleCommand
is safe. As long as neither has happened, nobody knows, and nobody is told.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Proposal:
    """Everybody who waits for one entry."""

    index: int
    term: int
    tokens: Sequence[object]


class ProposalQueue:
    """A queue by (term, index), both rising."""

    def __init__(self) -> None:
        self._queue: deque[Proposal] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, index: int, term: int, tokens: Sequence[object]) -> None:
        self._queue.append(Proposal(index, term, tokens))

    def resolve(self, index: int, term: int) -> tuple[Sequence[object], list[Proposal]]:
        """(tokens of the entry applied now, proposals that this entry proves lost)."""
        lost: list[Proposal] = []
        queue = self._queue
        while queue and (queue[0].term < term or (queue[0].term == term and queue[0].index < index)):
            lost.append(queue.popleft())
        if queue and queue[0].term == term and queue[0].index == index:
            return queue.popleft().tokens, lost
        return (), lost

    def take_all(self) -> list[Proposal]:
        """Empty the queue: the peer goes away, or a snapshot jumped over them."""
        taken = list(self._queue)
        self._queue.clear()
        return taken

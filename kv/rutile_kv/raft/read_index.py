"""ReadIndex: linearizable reads without writing to the log (thesis §6.4).

1. The leader must have committed an entry of its own term, or it may not know what is committed: until then reads wait.
2. It remembers its commit index as the read index and begins a heartbeat round (`lease.py`).
3. When a majority has answered that round, or a later one, the reads of the round are confirmed.
4. Whoever asked waits until it has applied the read index, and reads.

All reads that arrive between two Readys share one round. A follower's question needs none while the leader's lease is
valid: no other leader can have committed anything that this one does not know of.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from rutile_kv.raft.messages import Message, MessageKind
from rutile_kv.raft.ready import ReadState
from rutile_proto.values import valueclass

if TYPE_CHECKING:
    from rutile_kv.raft.core import Core


@valueclass
class ReadRequest:
    """Somebody's wish to read."""

    peer_id: int
    context: bytes


@valueclass
class ReadRound:
    """Reads that share a heartbeat round, and the index they may read at."""

    number: int
    index: int
    requests: tuple[ReadRequest, ...]


class ReadIndexQueue:
    """Reads on their way from asked to confirmed."""

    __slots__ = ("_count", "_rounds", "waiting")

    def __init__(self) -> None:
        self.waiting: list[ReadRequest] = []
        """Not yet in a round."""
        self._rounds: deque[ReadRound] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, request: ReadRequest) -> None:
        self.waiting.append(request)
        self._count += 1

    def assign(self, number: int, index: int) -> None:
        """Put all that wait into round `number`, to read at `index`."""
        self._rounds.append(ReadRound(number, index, tuple(self.waiting)))
        self.waiting.clear()

    def take_confirmed(self, number: int) -> list[ReadRound]:
        """The rounds up to `number`, which are confirmed now."""
        confirmed = []
        while self._rounds and self._rounds[0].number <= number:
            confirmed.append(self._rounds.popleft())
            self._count -= len(confirmed[-1].requests)
        return confirmed


def answer_reads(core: Core, confirmed: ReadRound) -> None:
    """Tell whoever asked, here or at a follower, from which applied index on it may read. A follower hears with it what
    is committed, or it would wait for the next heartbeat to apply it."""
    committed = core.log.committed
    for request in confirmed.requests:
        if request.peer_id == core.id:
            core.read_states.append(ReadState(confirmed.index, request.context))
        else:
            core.messages.append(
                Message(
                    MessageKind.READ_INDEX_RESPONSE,
                    request.peer_id,
                    core.id,
                    core.term,
                    index=confirmed.index,
                    commit=committed,
                    commit_term=core.log.term(committed),
                    context=request.context,
                )
            )

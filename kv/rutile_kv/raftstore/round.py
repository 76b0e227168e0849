"""One round in the making: the batch and effects of all regions, and who has to be told when it is durable."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rutile_kv.engine.api import WriteBatch
from rutile_kv.raft.ready import Ready
from rutile_kv.raftstore.events import Completion, Result, StoreReady
from rutile_proto.errors import RutileError

if TYPE_CHECKING:
    from rutile_kv.raftstore.peer import Peer


class Round:
    """Gathers a StoreReady."""

    def __init__(self, batch: WriteBatch) -> None:
        self.batch = batch
        self.ready = StoreReady(batch)
        self.taken: list[tuple[Peer, Ready]] = []
        """Peers whose Ready this round makes durable."""
        self.hashed: dict[int, None] = {}
        """Regions that apply nothing more in this round: the data is to be hashed as it is now."""

    def complete(self, tokens: Iterable[object], result: Result = None) -> None:
        self.ready.completions.extend(Completion(token, result) for token in tokens)

    def fail(self, tokens: Iterable[object], error: RutileError) -> None:
        self.ready.completions.extend(Completion(token, None, error) for token in tokens)

    def is_empty(self) -> bool:
        ready = self.ready
        return not (
            self.taken
            or len(self.batch)
            or ready.messages
            or ready.persisted_messages
            or ready.completions
            or ready.snapshots_to_send
            or ready.installs
            or ready.heartbeats
            or ready.splits
            or ready.split_checks
            or ready.doubts
            or ready.hashes
            or ready.alarms
        )

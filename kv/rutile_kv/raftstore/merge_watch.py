"""When a store looks after its merges: on ticks, when one has just been prepared, and first of all in a round."""

from collections.abc import Iterable

from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.merge_proposals import advance_merge
from rutile_kv.raftstore.peer import Peer
from rutile_kv.raftstore.registry import Registry
from rutile_kv.raftstore.round import Round


class MergeWatch:
    """The merges of one store."""

    def __init__(self, registry: Registry, config: StoreConfig) -> None:
        self._registry = registry
        self._config = config

    def tick(self, tick: int, round_: Round) -> None:
        """See how the merges that are prepared get on."""
        if self._registry.merging and tick % self._config.merge_check_ticks == 0:
            self._advance(list(self._registry.merging), round_)

    def begin_round(self, round_: Round) -> list[Peer]:
        """Before anybody else has a part in the round: let those apply who wait for others to have none (returned), and
        see to the merges prepared in the last round."""
        stalled, self._registry.stalled = self._registry.stalled, {}
        peers = [self._registry.peers[region_id] for region_id in stalled]
        for peer in peers:
            peer.resume_apply(round_)
            self._registry.touch(peer.region_id)
        fresh, self._registry.fresh_merges = self._registry.fresh_merges, {}
        self._advance(fresh, round_)
        return peers

    def _advance(self, region_ids: Iterable[int], round_: Round) -> None:
        for region_id in region_ids:
            source = self._registry.peers.get(region_id)
            if source is None or source.storage.merge_state is None:
                continue
            advance_merge(source, self._registry, round_)
            for touched in (region_id, source.storage.merge_state.target.id):
                if touched in self._registry.peers:
                    self._registry.touch(touched)

"""What unsafe recovery makes of a store's regions."""

from __future__ import annotations

import pytest

from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.bootstrap import bootstrap_store
from rutile_kv.raftstore.peer_storage import write_region_state
from rutile_kv.raftstore.unsafe_recovery import plan_recovery, recover
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import DataDirMismatch, InvalidRequest

State = raft_serverpb.PeerState
OWN = 1


def engine_with(*peers: tuple[int, int], state: int = State.Normal) -> MemoryEngine:
    """Store 1 with region 10, whose peers are given as (store, role); the peer's id is 100 and the store's."""
    engine = MemoryEngine()
    bootstrap_store(engine, 7, OWN)
    region = metapb.Region(id=10, region_epoch=metapb.RegionEpoch(conf_ver=5, version=3))
    for store_id, role in peers:
        region.peers.add(id=100 + store_id, store_id=store_id, role=role)  # type: ignore[arg-type]
    batch = engine.batch()
    write_region_state(batch, raft_serverpb.RegionLocalState(state=state, region=region))  # type: ignore[arg-type]
    engine.write(batch)
    return engine


V, L, IN, OUT = metapb.Voter, metapb.Learner, metapb.IncomingVoter, metapb.DemotingVoter


@pytest.mark.parametrize(
    ("peers", "lost", "left"),
    [
        (((1, V), (2, V), (3, V)), (2, 3), ((1, V),)),
        (((1, V), (2, V), (3, V)), (3,), None),
        (((1, V), (2, V)), (2,), ((1, V),)),
        (((1, L), (2, V), (3, V)), (2, 3), ((1, V),)),
        (((1, V), (2, V), (3, V), (4, L)), (2, 3), ((1, V), (4, L))),
        (((1, V), (2, OUT), (3, IN)), (2,), ((1, V), (3, V))),
        (((1, V), (2, V), (3, V), (4, V), (5, V)), (3, 4, 5), ((1, V), (2, V))),
    ],
)
def test_only_regions_without_a_majority_are_touched(
    peers: tuple[tuple[int, int], ...], lost: tuple[int, ...], left: tuple[tuple[int, int], ...] | None
) -> None:
    engine = engine_with(*peers)
    plan = plan_recovery(engine, lost)
    if left is None:
        assert plan == []
        return
    assert recover(engine, plan) == 1
    state = local_keys.load_region_state(engine, 10)
    assert state is not None
    assert [(peer.store_id, peer.role) for peer in state.region.peers] == list(left)
    assert state.region.region_epoch.conf_ver == 5 + 2 * (len(peers) - len(left))
    assert state.region.region_epoch.version == 3
    assert plan_recovery(engine, lost) == []


def test_a_region_whose_data_never_came_is_left_and_a_tombstone_ignored() -> None:
    engine = engine_with((1, V), (2, V), (3, V), state=State.Applying)
    plan = plan_recovery(engine, (2, 3))
    assert [each.is_installing for each in plan] == [True]
    assert recover(engine, plan) == 0
    assert plan_recovery(engine_with((1, V), (2, V), (3, V), state=State.Tombstone), (2, 3)) == []


def test_the_wrong_directory_or_list_is_refused() -> None:
    with pytest.raises(DataDirMismatch, match="no store"):
        plan_recovery(MemoryEngine(), (2,))
    for lost in ((), (1, 2)):
        with pytest.raises(InvalidRequest, match="this is store 1"):
            plan_recovery(engine_with((1, V)), lost)

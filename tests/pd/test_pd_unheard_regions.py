"""What PD believes of regions whose leaders have not reported yet: their learners are not promoted on a guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutile_kv.engine.memory import MemoryEngine
from rutile_pd.cluster import Cluster
from rutile_pd.config import PdConfig
from rutile_pd.consensus.storage import PdStorage
from rutile_pd.regions.region_info import RegionInfo
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb

STORES = [metapb.Store(id=number, address=f"s{number}:1") for number in (1, 2, 3)]
VOTERS = {1: metapb.Voter, 2: metapb.Voter}
ONE_LEARNER = {**VOTERS, 3: metapb.Learner}


def region(id_: int, start: bytes, end: bytes, version: int, roles: dict[int, metapb.PeerRole]) -> metapb.Region:
    """Its peer on store 2 is number 102 in region 1, 202 in region 2."""
    return metapb.Region(
        id=id_,
        start_key=start,
        end_key=end,
        region_epoch=metapb.RegionEpoch(conf_ver=1, version=version),
        peers=[metapb.Peer(id=100 * id_ + store, store_id=store, role=role) for store, role in roles.items()],
    )


def whole(roles: dict[int, metapb.PeerRole]) -> metapb.Region:
    return region(1, b"", b"", 1, roles)


def halves(roles: dict[int, metapb.PeerRole]) -> list[metapb.Region]:
    """Region 1 keeps what lies above the key m."""
    return [region(2, b"", b"m", 2, roles), region(1, b"m", b"", 2, roles)]


def report(
    about: metapb.Region, pending: tuple[int, ...] = (), down: dict[int, int] | None = None
) -> pdpb.RegionHeartbeatRequest:
    """The leader's on store 1; `pending` and `down` are stores."""
    peers = {peer.store_id: peer for peer in about.peers}
    return pdpb.RegionHeartbeatRequest(
        region=about,
        leader=peers[1],
        term=5,
        approximate_size=5 << 20,
        pending_peers=[peers[store] for store in pending],
        down_peers=[pdpb.PeerStats(peer=peers[store], down_seconds=for_s) for store, for_s in (down or {}).items()],
    )


def bootstrapped(roles: dict[int, metapb.PeerRole]) -> Cluster:
    cluster = Cluster(1, PdStorage(MemoryEngine()), PdConfig(), 0)
    cluster.bootstrap(STORES[0], region(1, b"", b"", 1, {1: metapb.Voter}), 0)
    greet(cluster)
    info = RegionInfo.of(whole(roles), whole(roles).peers[0], 5)
    cluster.learn(info, 0)
    return cluster


def greet(cluster: Cluster) -> None:
    for store in STORES:
        cluster.put_store(store, 0)
        cluster.store_heartbeat(pdpb.StoreStats(store_id=store.id, capacity=1 << 40, available=1 << 40), 0, 0)


def promoted(orders: list[pdpb.RegionHeartbeatResponse]) -> list[int]:
    return [order.region_id for order in orders if order.HasField("change_peer")]


def test_a_learner_that_catches_up_is_not_promoted_because_its_region_was_split():
    cluster = bootstrapped(ONE_LEARNER)
    assert cluster.region_heartbeat(report(whole(ONE_LEARNER), pending=(3,)), 0) is None
    cluster.report_split(halves(ONE_LEARNER), 10)
    assert promoted(cluster.tick(20)) == []
    for half in halves(ONE_LEARNER):  # their leaders have seen it catch up
        order = cluster.region_heartbeat(report(half), 30)
        assert order is not None
        assert promoted([order]) == [half.id]


def test_a_learner_added_since_the_last_report_is_not_promoted_because_its_region_was_split():
    cluster = bootstrapped(VOTERS)
    cluster.region_heartbeat(report(whole(VOTERS)), 0)
    cluster.report_split(halves(ONE_LEARNER), 10)
    assert promoted(cluster.tick(20)) == []


def test_the_peers_of_halves_are_as_well_as_those_of_the_whole():
    roles = {1: metapb.Voter, 2: metapb.Voter, 3: metapb.Voter}
    cluster = bootstrapped(roles)
    cluster.region_heartbeat(report(whole(roles), pending=(3,), down={2: 77}), 0)
    cluster.report_split(halves(roles), 10)
    left, right = cluster.regions.by_id(2), cluster.regions.by_id(1)
    assert left is not None
    assert right is not None
    assert (left.down, left.pending) == (((202, 77),), (203,))
    assert (right.down, right.pending) == (((102, 77),), (103,))
    assert cluster.regions.figures(3).pending == 2


def test_a_half_that_has_reported_is_believed_itself():
    cluster = bootstrapped(ONE_LEARNER)
    cluster.region_heartbeat(report(whole(ONE_LEARNER), pending=(3,)), 0)
    left, right = halves(ONE_LEARNER)
    cluster.region_heartbeat(report(left), 5)
    cluster.report_split([left, right], 10)
    infos = [cluster.regions.by_id(id_) for id_ in (2, 1)]
    assert [info.pending for info in infos if info is not None] == [(), (103,)]


@pytest.mark.parametrize("heard", [False, True])
def test_a_pd_that_has_just_started_promotes_a_learner_only_after_a_report(heard: bool):
    cluster = Cluster(1, PdStorage(MemoryEngine()), PdConfig(), 0)
    greet(cluster)
    cluster.restore(pdpb.Region(region=whole(ONE_LEARNER), leader=whole(ONE_LEARNER).peers[0]))
    order = cluster.region_heartbeat(report(whole(ONE_LEARNER)), 10) if heard else None
    orders = cluster.tick(20) if order is None else [order]
    assert promoted(orders) == ([1] if heard else [])


@given(st.sets(st.sampled_from([1, 2, 3])), st.sets(st.sampled_from([1, 2, 3])), st.sets(st.sampled_from([1, 2, 3])))
def test_what_is_supposed_of_a_half_is_what_was_known_store_by_store(pending: set[int], down: set[int], new: set[int]):
    """Against plain sets: a learner the whole did not have is behind, everybody else is as before."""
    before = {store: metapb.Voter for store in (1, 2, 3) if store not in new}
    kin = RegionInfo.of(whole(before))
    kin.pending = tuple(100 + store for store in pending if store in before)
    kin.down = tuple((100 + store, store) for store in down if store in before)
    half = halves({store: metapb.Learner if store in new else metapb.Voter for store in (1, 2, 3)})[0]
    info = RegionInfo.unheard(half, kin=kin)
    assert set(info.pending) == {200 + store for store in (pending - new) | new}
    assert set(info.down) == {(200 + store, store) for store in down - new}

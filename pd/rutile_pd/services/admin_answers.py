"""Answers for people from what the cores know: every figure of stores, operators, rules and regions."""

import json
from collections.abc import Iterable

from rutile_pd.cluster import Cluster
from rutile_pd.operators.operator import Operator
from rutile_pd.regions.health import Trouble
from rutile_pd.regions.load_statistics import Flow, LoadStatistics
from rutile_pd.regions.region_info import RegionInfo
from rutile_pd.schedulers import View
from rutile_pd.schedulers.scheduler_book import BALANCERS, EVICT_LEADER, SchedulerBook
from rutile_pd.stores.registry import StoreInfo
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest

MAX_REGIONS = 1024
"""Regions listed in one answer."""


def stores(view: View, with_tombstones: bool) -> pdadminpb.ListStoresResponse:
    """All stores by id."""
    shown = (each for each in view.stores.all() if with_tombstones or each.meta.state != metapb.Tombstone)
    return pdadminpb.ListStoresResponse(stores=[_store(each, view) for each in shown])


def _store(store: StoreInfo, view: View) -> pdadminpb.StoreFigures:
    figures = view.regions.figures(store.id)
    is_member = store.meta.state == metapb.Up
    return pdadminpb.StoreFigures(
        store=store.to_pb(),
        stats=store.stats,
        state=view.life(store.id).value,
        leader_count=len(figures.leaders),
        leader_size=figures.leader_size_bytes,
        leader_weight=store.settings.leader_weight,
        leader_score=view.leader_score(store.id) if is_member else 0,
        region_count=figures.peer_count,
        region_size=figures.peer_size_bytes,
        region_keys=figures.peer_keys,
        region_weight=store.settings.region_weight,
        region_score=view.peer_score(store.id) if is_member else 0,
        learner_count=len(figures.learners),
        pending_peer_count=figures.pending,
        incoming_peer_count=view.operators.coming_to(store.id),
        silent_seconds=store.silent_s(view.now_ms),
        add_limit=view.add_limit(store),
        remove_limit=view.remove_limit(store),
        leaders_evicted=store.id in view.leaderless,
    )


def operator(made: Operator, status: pdpb.OperatorStatus, seconds: float) -> pdadminpb.OperatorState:
    """One operator and how it stands."""
    return pdadminpb.OperatorState(
        region_id=made.region_id,
        reason=made.reason,
        kind=made.kind.value,
        priority=made.priority.name.lower(),
        steps=[str(step) for step in made.steps],
        status=status,
        seconds=seconds,
    )


def operators(view: View, history: int, region_id: int) -> pdadminpb.ListOperatorsResponse:
    """What runs, and what ended last."""
    running = [each for each in view.operators.running() if region_id in (0, each.region_id)]
    ended = [each for each in reversed(view.operators.history()) if region_id in (0, each.operator.region_id)]
    return pdadminpb.ListOperatorsResponse(
        running=[operator(each, pdpb.RUNNING, (view.now_ms - each.created_ms) / 1000) for each in running],
        finished=[operator(each.operator, each.status, each.duration_s) for each in ended[:history]],
    )


def schedulers(book: SchedulerBook, now_ms: int) -> pdadminpb.ListSchedulersResponse:
    """What runs, and what could."""
    states = [
        pdadminpb.SchedulerState(name=name, store_ids=map(int, stores), paused_seconds=book.pause_left_s(name, now_ms))
        for name, stores in book.running.items()
    ]
    return pdadminpb.ListSchedulersResponse(schedulers=states, known=[*BALANCERS, EVICT_LEADER])


def rules(view: View, key: bytes | None) -> pdadminpb.GetRulesResponse:
    """All rules, or those that hold at a key."""
    shown = view.rules.all() if key is None else view.rules.at(key)
    return pdadminpb.GetRulesResponse(
        rules_json=json.dumps([rule.to_object() for rule in shown]),
        groups_json=json.dumps([json.loads(group.to_json()) for group in view.rules.set_groups()]),
    )


def described(cluster: Cluster, region_ids: Iterable[int], now_ms: int) -> pdadminpb.DescribeRegionsResponse:
    """Those of the regions that there are."""
    found = (cluster.region(region_id) for region_id in region_ids)
    return pdadminpb.DescribeRegionsResponse(regions=[_figures(info, cluster, now_ms) for info in found if info])


def _figures(info: RegionInfo, cluster: Cluster, now_ms: int) -> pdadminpb.RegionFigures:
    running = cluster.operators.get(info.id)
    return pdadminpb.RegionFigures(
        region=info.to_pb(),
        size=info.approximate_size_bytes,
        keys=info.approximate_keys,
        written_bytes=info.written_bytes,
        read_bytes=info.read_bytes,
        operator=None if running is None else operator(running, pdpb.RUNNING, (now_ms - running.created_ms) / 1000),
    )


def troubled(cluster: Cluster, trouble: str, limit: int, now_ms: int) -> pdadminpb.CheckRegionsResponse:
    """Counts of all troubles, and regions that have one of them."""
    answer = pdadminpb.CheckRegionsResponse(counts={each.value: cluster.health.count(each) for each in Trouble})
    if not trouble:
        return answer
    if trouble not in [each.value for each in Trouble]:
        raise InvalidRequest(f"{trouble!r} is none of {', '.join(each.value for each in Trouble)}")
    for region_id in cluster.health.with_trouble(Trouble(trouble), min(limit or MAX_REGIONS, MAX_REGIONS)):
        info = cluster.regions.by_id(region_id)
        if info is not None:
            answer.regions.append(_figures(info, cluster, now_ms))
    return answer


def hot_regions(view: View, flow: str, limit: int) -> pdadminpb.HotRegionsResponse:
    """The hottest regions of a flow."""
    if flow not in [each.value for each in Flow]:
        raise InvalidRequest(f"{flow!r} is none of {', '.join(each.value for each in Flow)}")
    answer = pdadminpb.HotRegionsResponse()
    for region_id, load in view.loads.hot(Flow(flow), view.config)[: min(limit or MAX_REGIONS, MAX_REGIONS)]:
        region = view.regions.by_id(region_id)
        answer.regions.add(
            region_id=region_id,
            store_ids=() if region is None else LoadStatistics.loaded_stores(region, Flow(flow)),
            bytes_per_second=load.bytes_per_s,
            keys_per_second=load.keys_per_s,
            cpu_percent=load.cpu_percent,
            degree=load.degree,
        )
    return answer


def range_statistics(view: View, start: bytes, end: bytes) -> pdadminpb.RangeStatisticsResponse:
    """What lies in [start, end): regions that meet it count whole."""
    answer = pdadminpb.RangeStatisticsResponse()
    for region in view.regions.scan(start, end):
        size = region.approximate_size_bytes
        answer.region_count += 1
        answer.empty_count += not region.approximate_keys
        answer.size += size
        answer.keys += region.approximate_keys
        for peer in region.peers:
            share = answer.stores[peer.store_id]
            share.peer_count += 1
            share.peer_size += size
            if region.leads(peer):
                share.leader_count += 1
                share.leader_size += size
    return answer

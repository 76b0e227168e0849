"""What `rutile ctl` asks of the placement driver: every RPC, and that what it changed is kept over a restart."""

import asyncio
import json
from contextlib import asynccontextmanager

import grpc
import pytest

from rutile_kv.env.clock import ManualClock
from rutile_kv.env.rpc import LocalStub
from rutile_pd.node import PdConfig, PdNode
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as admin
from rutile_proto import pdpb_pb2 as pdpb

HEADER = pdpb.RequestHeader(cluster_id=77)
PEERS = [metapb.Peer(id=10 + store, store_id=store) for store in (1, 2, 3)]
EPOCH = metapb.RegionEpoch(conf_ver=3, version=2)
LEFT = metapb.Region(id=2, end_key=b"m", region_epoch=EPOCH, peers=PEERS)
RIGHT = metapb.Region(id=3, start_key=b"m", region_epoch=EPOCH, peers=PEERS)
CONFIG = PdConfig(cluster_id=77, tick_s=3600)
MIB = 1 << 20


@asynccontextmanager
async def started(data_dir=None, clock=None):
    node = PdNode(data_dir, None, clock=clock or ManualClock(), config=CONFIG)
    await node.start()
    try:
        yield LocalStub(node.servicer), node
    finally:
        await node.stop()


async def found(stub):
    """Four stores; two regions on the first three, led by store 1."""
    whole = metapb.Region(id=2, region_epoch=metapb.RegionEpoch(conf_ver=1, version=1), peers=PEERS[:1])
    await stub.Bootstrap(pdpb.BootstrapRequest(header=HEADER, store=store(1), region=whole))
    for number in (2, 3, 4):
        await stub.PutStore(pdpb.PutStoreRequest(header=HEADER, store=store(number)))
    await report(stub)


def store(number):
    zone = metapb.StoreLabel(key="zone", value=f"z{number}")
    return metapb.Store(id=number, address=f"127.0.0.1:2016{number}", labels=[zone])


async def report(stub):
    """Heartbeats of all stores and regions; the orders that come back at once."""

    async def beats():
        for region in (LEFT, RIGHT):
            yield pdpb.RegionHeartbeatRequest(
                header=HEADER,
                region=region,
                leader=region.peers[0],
                term=6,
                approximate_size=8 * MIB,
                approximate_keys=100,
                bytes_written=60 * MIB if region is LEFT else 0,
                interval=pdpb.TimeInterval(start_timestamp=100, end_timestamp=160),
            )

    for number in (1, 2, 3, 4):
        stats = pdpb.StoreStats(store_id=number, capacity=1 << 40, available=1 << 40)
        await stub.StoreHeartbeat(pdpb.StoreHeartbeatRequest(header=HEADER, stats=stats))
    return [order async for order in stub.RegionHeartbeat(beats())]


@pytest.fixture
def run():
    def run_scenario(scenario):
        async def main():
            async with asyncio.timeout(20), started() as (stub, node):
                await found(stub)
                await scenario(stub, node)

        asyncio.run(main())

    return run_scenario


async def refused(call, word):
    with pytest.raises(grpc.RpcError, match=word) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_stores_are_shown_with_all_their_figures(run):
    async def scenario(stub, node):
        answer = await stub.ListStores(admin.ListStoresRequest(header=HEADER))
        assert [each.store.id for each in answer.stores] == [1, 2, 3, 4]
        first, last = answer.stores[0], answer.stores[3]
        assert (first.state, first.leader_count, first.region_count) == ("Up", 2, 2)
        assert (first.leader_size, first.region_size, first.region_keys) == (16 * MIB, 16 * MIB, 200)
        assert (first.leader_score, first.region_score, last.region_score) == (2, 18, 0)
        assert first.add_limit == CONFIG.store_limit_per_minute
        assert first.stats.capacity == 1 << 40

    run(scenario)


def test_labels_weights_and_limits_are_set_and_reset(run):
    async def scenario(stub, node):
        change = admin.SetStoreRequest(header=HEADER, store_id=1, leader_weight=2, add_limit=5)
        change.labels.add(key="zone", value="other")
        change.labels.add(key="disk", value="ssd")
        await stub.SetStore(change)
        shown = (await stub.ListStores(admin.ListStoresRequest(header=HEADER))).stores[0]
        assert {label.key: label.value for label in shown.store.labels} == {"zone": "other", "disk": "ssd"}
        assert (shown.leader_weight, shown.leader_score, shown.add_limit) == (2, 1, 5)
        await stub.PutStore(pdpb.PutStoreRequest(header=HEADER, store=store(1)))
        known = await stub.GetStore(pdpb.GetStoreRequest(header=HEADER, store_id=1))
        assert [label.value for label in known.store.labels] == ["ssd", "other"], "a restart does not undo it"
        await stub.SetStore(admin.SetStoreRequest(header=HEADER, store_id=1, reset_labels=True, add_limit=-1))
        shown = (await stub.ListStores(admin.ListStoresRequest(header=HEADER))).stores[0]
        assert [label.value for label in shown.store.labels] == ["z1"]
        assert shown.add_limit == CONFIG.store_limit_per_minute
        await refused(stub.SetStore(admin.SetStoreRequest(header=HEADER, store_id=1, leader_weight=-1)), "weight")
        unknown = await stub.SetStore(admin.SetStoreRequest(header=HEADER, store_id=9))
        assert "not registered" in unknown.header.error.message

    run(scenario)


def test_a_store_is_removed_and_stays_after_all(run):
    async def scenario(stub, node):
        async def state():
            return (await stub.ListStores(admin.ListStoresRequest(header=HEADER))).stores[0].state

        one = admin.StoreRequest(header=HEADER, store_id=1)
        await refused(stub.CancelRemoval(one), "not being removed")
        await stub.RemoveStore(one)
        assert await state() == "Offline"
        await stub.CancelRemoval(one)
        assert await state() == "Up"

    run(scenario)


def wish(region_id=2, **what):
    return admin.AddOperatorRequest(header=HEADER, region_id=region_id, **what)


@pytest.mark.parametrize(
    ("what", "steps"),
    [
        ({"transfer_leader": admin.TransferLeaderTo(store_id=2)}, ["transfer the leader to store 2"]),
        ({"add_peer": admin.AddPeerOn(store_id=4, learner=True)}, ["add learner N on store 4"]),
        ({"add_peer": admin.AddPeerOn(store_id=4)}, ["add learner N on store 4", "promote N on store 4"]),
        ({"remove_peer": admin.RemovePeerFrom(store_id=3)}, ["remove 13 from store 3"]),
        (
            {"remove_peer": admin.RemovePeerFrom(store_id=1)},
            ["transfer the leader to store 2", "remove 11 from store 1"],
        ),
        (
            {"transfer_peer": admin.TransferPeerBetween(from_store_id=3, to_store_id=4)},
            [
                "add learner N on store 4",
                "promote N and demote 13 in one",
                "leave the joint configuration",
                "remove 13 from store 3",
            ],
        ),
        ({"split": admin.SplitAtKeys(keys=[b"c"])}, ["split at 63"]),
        ({"split": admin.SplitAtKeys()}, ["split at the middle"]),
        ({"merge": admin.MergeIntoRegion(target_region_id=3)}, ["merge into region 3"]),
    ],
)
def test_operators_are_made_on_request(run, what, steps):
    async def scenario(stub, node):
        made = (await stub.AddOperator(wish(**what))).operator
        assert [step.replace(f" {new_id(made)} ", " N ") for step in made.steps] == steps
        assert (made.kind, made.priority, made.status) == ("admin", "urgent", pdpb.RUNNING)
        listed = await stub.ListOperators(admin.ListOperatorsRequest(header=HEADER, region_id=2))
        assert [each.steps for each in listed.running] == [made.steps]
        await refused(stub.AddOperator(wish(**what)), "busy|cannot be merged")
        await stub.CancelOperator(admin.CancelOperatorRequest(header=HEADER, region_id=2))
        listed = await stub.ListOperators(admin.ListOperatorsRequest(header=HEADER, history=9))
        assert not listed.running, "the other side of a merge ends too"
        assert {each.status for each in listed.finished if each.kind == "admin"} == {pdpb.CANCEL}
        await refused(stub.CancelOperator(admin.CancelOperatorRequest(header=HEADER, region_id=2)), "nothing")

    def new_id(made):
        adding = [step.split()[2] for step in made.steps if step.startswith("add learner")]
        return adding[0] if adding else "-"

    run(scenario)


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (wish(99, split=admin.SplitAtKeys()), "unknown"),
        (wish(), "does not say"),
        (wish(split=admin.SplitAtKeys(keys=[b"z"])), "not within"),
        (wish(merge=admin.MergeIntoRegion(target_region_id=2)), "do not touch"),
        (wish(transfer_leader=admin.TransferLeaderTo(store_id=4)), "no peer on store 4"),
        (wish(add_peer=admin.AddPeerOn(store_id=3)), "already"),
        (wish(remove_peer=admin.RemovePeerFrom(store_id=4)), "no peer"),
    ],
)
def test_what_a_region_cannot_do_is_refused(run, request_, word):
    async def scenario(stub, node):
        await refused(stub.AddOperator(request_), word)

    run(scenario)


def test_scatter_and_a_wish_that_is_fulfilled_already(run):
    async def scenario(stub, node):
        lead = wish(transfer_leader=admin.TransferLeaderTo(store_id=1))
        assert not (await stub.AddOperator(lead)).HasField("operator")
        made = (await stub.AddOperator(wish(scatter=admin.ScatterInGroup(group="g")))).operator
        assert (made.kind, made.reason) in (("scatter", "scatter-region"), ("", ""))

    run(scenario)


def test_schedulers_come_go_and_rest(run):
    async def scenario(stub, node):
        async def running():
            listed = await stub.ListSchedulers(admin.ListSchedulersRequest(header=HEADER))
            return {each.name: (list(each.store_ids), each.paused_seconds) for each in listed.schedulers}

        def change(name, kind, **more):
            return stub.ChangeScheduler(
                admin.ChangeSchedulerRequest(
                    header=HEADER, name=name, change=admin.ChangeSchedulerRequest.Change.Value(kind), **more
                )
            )

        assert len(await running()) == 3
        await change("evict-leader-scheduler", "ADD", store_ids=[1, 2])
        await change("evict-leader-scheduler", "REMOVE", store_ids=[1])
        assert (await running())["evict-leader-scheduler"] == ([2], 0)
        await change("balance-leader-scheduler", "PAUSE", pause_seconds=30)
        assert (await running())["balance-leader-scheduler"] == ([], 30)
        await change("balance-leader-scheduler", "RESUME")
        assert (await running())["balance-leader-scheduler"] == ([], 0)
        await change("balance-leader-scheduler", "REMOVE")
        assert "balance-leader-scheduler" not in await running()
        await refused(change("balance-leader-scheduler", "PAUSE", pause_seconds=3), "does not run")
        await refused(change("nonsense-scheduler", "ADD"), "there are")

    run(scenario)


def rule(**changes):
    return {"group_id": "pd", "id": "default", "role": "voter", "count": 3} | changes


def test_rules_are_read_set_and_deleted_as_json(run):
    async def scenario(stub, node):
        async def rules(key=None):
            answer = await stub.GetRules(admin.GetRulesRequest(header=HEADER, key=key))
            return [(each["group_id"], each["id"], each["count"]) for each in json.loads(answer.rules_json)]

        def set_(*rules, **more):
            return stub.ChangeRules(admin.ChangeRulesRequest(header=HEADER, set_rules_json=json.dumps(rules), **more))

        assert await rules() == [("pd", "default", 3)]
        await set_(rule(count=5), rule(group_id="hot", id="a", start_key=b"m".hex(), role="learner", count=1))
        assert await rules(b"a") == [("pd", "default", 5)]
        assert await rules(b"q") == [("hot", "a", 1), ("pd", "default", 5)]
        await refused(set_(rule(role="learner")), "voter")
        await refused(set_(rule(label_constraints=[{"key": "a", "op": "near"}])), "none of in")
        await refused(set_({"id": 5}), "group_id")
        assert await rules(b"a") == [("pd", "default", 5)], "all or nothing"
        await set_(delete_rules=[admin.RuleName(group_id="pd", id="default")], delete_groups=["hot"])
        assert await rules() == [("pd", "default", 3)]

    run(scenario)


def test_settings_are_read_and_set_as_json(run):
    async def scenario(stub, node):
        def set_(name, value):
            return stub.SetSetting(admin.SetSettingRequest(header=HEADER, name=name, value_json=value))

        await set_("leader_schedule_limit", "9")
        await set_("location_labels", '["zone"]')
        await set_("max_replicas", "5")
        answer = await stub.GetSettings(admin.GetSettingsRequest(header=HEADER))
        settings = json.loads(answer.settings_json)
        assert (settings["leader_schedule_limit"], settings["location_labels"]) == (9, ["zone"])
        assert "cluster_id" not in settings
        (default,) = json.loads((await stub.GetRules(admin.GetRulesRequest(header=HEADER))).rules_json)
        assert (default["count"], default["location_labels"]) == (5, ["zone"])
        for name, value in [("nonsense", "1"), ("leader_schedule_limit", '"x"'), ("max_replicas", "{")]:
            await refused(set_(name, value), "cannot be set|takes a value|JSON")
        await refused(set_("max_replicas", "0"), "wants 0")

    run(scenario)


def test_regions_with_trouble_hot_regions_and_ranges(run):
    async def scenario(stub, node):
        async def troubled(trouble):
            answer = await stub.CheckRegions(admin.CheckRegionsRequest(header=HEADER, trouble=trouble))
            return dict(answer.counts), [each.region.region.id for each in answer.regions]

        counts, _ = await troubled("")
        assert set(counts.values()) == {0}
        await stub.SetSetting(admin.SetSettingRequest(header=HEADER, name="max_replicas", value_json="5"))
        await report(stub)
        counts, regions = await troubled("miss-peer")
        assert (counts["miss-peer"], regions) == (2, [2, 3])
        await refused(troubled("sadness"), "none of")
        hot = await stub.HotRegions(admin.HotRegionsRequest(header=HEADER, flow="write"))
        assert [(each.region_id, list(each.store_ids), each.degree) for each in hot.regions] == [(2, [1, 2, 3], 2)]
        assert hot.regions[0].bytes_per_second == pytest.approx(MIB)
        await refused(stub.HotRegions(admin.HotRegionsRequest(header=HEADER, flow="up")), "none of")
        part = await stub.RangeStatistics(admin.RangeStatisticsRequest(header=HEADER, start_key=b"n"))
        assert (part.region_count, part.size, part.keys, part.empty_count) == (1, 8 * MIB, 100, 0)
        assert {number: share.leader_count for number, share in part.stores.items()} == {1: 1, 2: 0, 3: 0}

    run(scenario)


def test_what_was_set_is_there_after_a_restart(tmp_path):
    async def main():
        clock = ManualClock()
        async with started(tmp_path, clock) as (stub, _):
            await found(stub)
            await stub.SetStore(admin.SetStoreRequest(header=HEADER, store_id=1, region_weight=3))
            await stub.SetSetting(admin.SetSettingRequest(header=HEADER, name="max_replicas", value_json="5"))
            evict = admin.ChangeSchedulerRequest(header=HEADER, name="evict-leader-scheduler", store_ids=[2])
            await stub.ChangeScheduler(evict)
            learner = rule(group_id="more", id="x", role="learner", count=1)
            await stub.ChangeRules(admin.ChangeRulesRequest(header=HEADER, set_rules_json=json.dumps([learner])))
        async with started(tmp_path, clock) as (stub, node):
            assert (await stub.ListStores(admin.ListStoresRequest(header=HEADER))).stores[0].region_weight == 3
            assert node.servicer.leader.cluster.config.max_replicas == 5
            listed = await stub.ListSchedulers(admin.ListSchedulersRequest(header=HEADER))
            assert [2] in [list(each.store_ids) for each in listed.schedulers]
            rules = json.loads((await stub.GetRules(admin.GetRulesRequest(header=HEADER))).rules_json)
            assert [(each["id"], each["count"]) for each in rules] == [("x", 1), ("default", 5)]

    asyncio.run(main())

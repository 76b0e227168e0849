"""`rutile ctl` by its output: tables for fixed data, JSON with all of it, requests as they are sent, refusals."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
from typing import Any

import pytest

from rutile.cli.ctl import add_ctl
from rutile.ctl.console import Console
from rutile.ctl.keys import parse_key, show_bound, show_key
from rutile.ctl.mvcc import records_of
from rutile.ctl.sizes import size_text
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdraftpb_pb2 as pdraftpb
from rutile_proto.errors import InvalidRequest
from rutile_proto.keys import storage_key
from rutile_proto.timestamps import compose


class FakePd:
    """Answers by method, and remembers what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []

    async def call(self, method: str, request: Any) -> Any:
        self.asked.append((method, request))
        return self.answers.get(method, pdadminpb.ChangeResponse())


def ctl(pd: FakePd, *arguments: str) -> str:
    parser = argparse.ArgumentParser()
    add_ctl(parser.add_subparsers())
    options = parser.parse_args(["ctl", *arguments])
    out = io.StringIO()
    asyncio.run(options.act(Console(pd, out, options.json), options))
    return out.getvalue()


def store(store_id: int, state: str = "Up", regions: int = 12) -> pdadminpb.StoreFigures:
    return pdadminpb.StoreFigures(
        store=metapb.Store(
            id=store_id,
            address=f"kv{store_id}:20160",
            version="8.5.0",
            labels=[metapb.StoreLabel(key="zone", value="a")],
        ),
        stats=pdpb.StoreStats(capacity=1 << 40, available=3 << 38),
        state=state,
        region_count=regions,
        leader_count=4,
        region_size=3 << 29,
        region_keys=1000,
        leader_weight=1,
        region_weight=1,
        silent_seconds=1.24,
    )


STORES = pdadminpb.ListStoresResponse(stores=[store(1), store(4, "Offline")])
REGION = pdpb.Region(
    region=metapb.Region(
        id=12,
        start_key=storage_key(b"a"),
        end_key=storage_key(b"\x00\xff"),
        region_epoch=metapb.RegionEpoch(conf_ver=5, version=7),
        peers=[
            metapb.Peer(id=13, store_id=1),
            metapb.Peer(id=14, store_id=4, role=metapb.Learner),
        ],
    ),
    leader=metapb.Peer(id=13, store_id=1),
)


def test_stores_as_a_table() -> None:
    assert (
        ctl(FakePd(ListStores=STORES), "stores")
        == """\
+----+-----------+---------+---------+---------+---------+---------+--------+-----------+
| id | address   | state   | regions | leaders | size    | free    | labels | heard of  |
+----+-----------+---------+---------+---------+---------+---------+--------+-----------+
|  1 | kv1:20160 | Up      |      12 |       4 | 1.5 GiB | 768 GiB | zone=a | 1.2 s ago |
|  4 | kv4:20160 | Offline |      12 |       4 | 1.5 GiB | 768 GiB | zone=a | 1.2 s ago |
+----+-----------+---------+---------+---------+---------+---------+--------+-----------+
"""
    )


def test_stores_as_json_hold_everything() -> None:
    records = json.loads(ctl(FakePd(ListStores=STORES), "--json", "stores"))
    assert [record["id"] for record in records] == [1, 4]
    assert records[0]["size_bytes"] == 3 << 29
    assert records[0]["labels"] == {"zone": "a"}
    assert set(records[0]) == {
        *("id", "address", "state", "version", "labels", "regions", "leaders", "learners", "pending_peers"),
        *("incoming_peers", "size_bytes", "keys", "capacity_bytes", "available_bytes", "leader_weight"),
        *("region_weight", "leaders_evicted", "silent_seconds"),
    }


def test_an_unknown_store_is_refused_with_a_next_step() -> None:
    with pytest.raises(InvalidRequest, match=r"no store 9.*stores --all"):
        ctl(FakePd(ListStores=STORES), "stores", "show", "9")


def test_a_removal_is_watched_until_it_is_done() -> None:
    pd = FakePd()
    answers = iter([[store(4, "Offline", 2)], [store(4, "Offline", 1)], [store(4, "Tombstone", 0)]])

    async def call(method: str, request: Any) -> Any:
        pd.asked.append((method, request))
        if method == "ListStores":
            return pdadminpb.ListStoresResponse(stores=next(answers))
        return pdadminpb.ChangeResponse()

    pd.call = call  # type: ignore[method-assign]
    assert ctl(pd, "stores", "remove", "4", "--wait").splitlines() == [
        "store 4: 2 regions to go",
        "store 4: 1 regions to go",
        "store 4 is removed: its process can be stopped",
    ]
    assert pd.asked[0] == ("RemoveStore", pdadminpb.StoreRequest(store_id=4))


def test_what_is_not_given_of_a_store_stays() -> None:
    pd = FakePd()
    ctl(pd, "stores", "set", "4", "--label", "zone=b", "--leader-weight", "0.5")
    ((method, request),) = pd.asked
    assert method == "SetStore"
    assert (request.labels[0].key, request.labels[0].value, request.leader_weight) == ("zone", "b", 0.5)
    assert not request.HasField("region_weight")
    with pytest.raises(InvalidRequest, match="NAME=VALUE"):
        ctl(pd, "stores", "set", "4", "--label", "zone")


def test_regions_as_a_table() -> None:
    pd = FakePd(ScanRegions=pdpb.ScanRegionsResponse(regions=[REGION]))
    assert (
        ctl(pd, "regions", "--limit", "7")
        == """\
+----+------+----------+---------+-----------------+-------+
| id | from | to       | leader  | peers on stores | epoch |
+----+------+----------+---------+-----------------+-------+
| 12 | a    | hex:00ff | store 1 | 1, 4 (learner)  | 5/7   |
+----+------+----------+---------+-----------------+-------+
"""
    )
    assert pd.asked == [("ScanRegions", pdpb.ScanRegionsRequest(limit=7))]
    assert ctl(pd, "regions", "--store", "4", "--leaders") == "no region is known there\n"
    assert json.loads(ctl(pd, "--json", "regions", "--store", "4"))[0]["leader_store"] == 1


def test_a_region_by_key_is_looked_up_in_storage_form() -> None:
    pd = FakePd(GetRegion=pdpb.GetRegionResponse(region=REGION.region, leader=REGION.leader))
    ctl(pd, "regions", "--key", r"a\x00b")
    assert pd.asked[0][1].region_key == storage_key(b"a\x00b")
    with pytest.raises(InvalidRequest, match="no region is known"):
        ctl(FakePd(GetRegion=pdpb.GetRegionResponse()), "regions", "--key", "a")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("transfer-leader", "12", "3"), {"transfer_leader": pdadminpb.TransferLeaderTo(store_id=3)}),
        (("add-peer", "12", "3", "--learner"), {"add_peer": pdadminpb.AddPeerOn(store_id=3, learner=True)}),
        (("remove-peer", "12", "3"), {"remove_peer": pdadminpb.RemovePeerFrom(store_id=3)}),
        (
            ("transfer-peer", "12", "3", "4"),
            {"transfer_peer": pdadminpb.TransferPeerBetween(from_store_id=3, to_store_id=4)},
        ),
        (("split", "12"), {"split": pdadminpb.SplitAtKeys()}),
        (("split", "12", "k"), {"split": pdadminpb.SplitAtKeys(keys=[storage_key(b"k")])}),
        (("merge", "12", "13"), {"merge": pdadminpb.MergeIntoRegion(target_region_id=13)}),
        (("scatter", "12", "--group", "g"), {"scatter": pdadminpb.ScatterInGroup(group="g")}),
    ],
)
def test_operators_are_asked_for(words: tuple[str, ...], wanted: dict[str, Any]) -> None:
    state = pdadminpb.OperatorState(region_id=12, steps=["do this", "do that"])
    pd = FakePd(AddOperator=pdadminpb.AddOperatorResponse(operator=state))
    assert ctl(pd, "operators", "add", *words) == "region 12: do this, do that; see `rutile ctl operators`\n"
    assert pd.asked == [("AddOperator", pdadminpb.AddOperatorRequest(region_id=12, **wanted))]


def test_nothing_to_do_is_said() -> None:
    pd = FakePd(AddOperator=pdadminpb.AddOperatorResponse(), ListOperators=pdadminpb.ListOperatorsResponse())
    assert "nothing has to be done" in ctl(pd, "operators", "add", "scatter", "12")
    assert ctl(pd, "operators") == "nothing is being done to any region\n"
    assert ctl(pd, "--json", "operators") == "[]\n"


def test_members_by_name() -> None:
    members = [
        pdraftpb.MemberStatus(
            member=pdpb.Member(name=f"pd{n}", member_id=n, client_urls=[f"http://h{n}:2379"]), matched_index=7
        )
        for n in (1, 2)
    ]
    pd = FakePd(Status=pdraftpb.StatusResponse(leader_id=2, members=members))
    assert [record["role"] for record in json.loads(ctl(pd, "--json", "members"))] == ["follower", "leader"]
    ctl(pd, "members", "remove", "pd1")
    assert pd.asked[-1] == ("RemoveMember", pdraftpb.RemoveMemberRequest(member_id=1))
    with pytest.raises(InvalidRequest, match="there are pd1, pd2"):
        ctl(pd, "members", "lead", "pd9")


def test_settings_and_rules_are_json_underneath(tmp_path: Any) -> None:
    settings = pdadminpb.GetSettingsResponse(settings_json='{"b": 2, "a": [1, 2]}')
    rule = {"group_id": "pd", "id": "default", "role": "voter", "count": 3}
    rules = pdadminpb.GetRulesResponse(rules_json=json.dumps([rule]))
    pd = FakePd(GetSettings=settings, GetRules=rules)
    assert [record["setting"] for record in json.loads(ctl(pd, "--json", "config"))] == ["a", "b"]
    ctl(pd, "config", "set", "isolation_level", "zone")
    assert pd.asked[-1][1].value_json == '"zone"'
    ctl(pd, "config", "set", "max_replicas", "5")
    assert pd.asked[-1][1].value_json == "5"
    assert json.loads(ctl(pd, "--json", "rules")) == [rule]
    with pytest.raises(InvalidRequest, match="No such file"):
        ctl(pd, "rules", "load", str(tmp_path / "none.json"))


def test_versions_and_locks_of_a_key() -> None:
    info = kvrpcpb.MvccInfo(
        lock=kvrpcpb.MvccLock(type=kvrpcpb.Del, start_ts=compose(2_000), primary=b"p"),
        writes=[
            kvrpcpb.MvccWrite(type=kvrpcpb.Put, start_ts=compose(900), commit_ts=compose(1_000)),
            kvrpcpb.MvccWrite(type=kvrpcpb.Put, start_ts=5, commit_ts=6, short_value=b"short"),
        ],
        values=[kvrpcpb.MvccValue(start_ts=compose(900), value=b"long")],
    )
    lock, newest, oldest = records_of(info)
    assert (lock["what"], lock["primary"], lock["commit_ts"]) == ("locked for del", "p", None)
    assert (newest["value"], newest["at"]) == ("long", "1970-01-01T00:00:01.000+00:00")
    assert oldest["value"] == "short"


@pytest.mark.parametrize("key", [b"plain", b"hex:41", b"a\x00b", b"\\x41", b"\xff\xfe", b""])
def test_keys_shown_can_be_read_back(key: bytes) -> None:
    assert parse_key(show_key(key)) == key


def test_keys_as_people_write_them() -> None:
    assert parse_key(r"a\x00b") == b"a\x00b"
    assert parse_key("hex:00ff") == b"\x00\xff"
    assert show_bound(b"") == ""
    assert show_bound(b"\x01") == "raw:01"
    with pytest.raises(InvalidRequest):
        parse_key("hex:0")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (200 << 20, "200 MiB"), (5 << 60, "5120 PiB")]
)
def test_sizes_are_short(size: int, text: str) -> None:
    assert size_text(size) == text

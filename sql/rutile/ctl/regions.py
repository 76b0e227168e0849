"""Regions: where keys are, who leads them, which are large or hot, and what is wrong with them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rutile.ctl.console import Column, Console, Record, field
from rutile.ctl.keys import add_key_options, parse_key, show_bound, table_id_of
from rutile.ctl.parsing import Commands, add_actions, add_command
from rutile.ctl.sizes import size_text
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest
from rutile_proto.keys import int_handle, record_key, storage_bound, storage_key, table_range

DEFAULT_LIMIT = 100
TEXT = """\
list regions; find one by key, id or table; the hottest; what is wrong
Without an action: the list, in key order.

  rutile ctl regions --limit 20
  rutile ctl regions --table test.item             where a table's rows are
  rutile ctl regions --table test.item --handle 7  the region of one row
  rutile ctl regions --key 'a\\x00b'                the region of a key
  rutile ctl regions --id 12
  rutile ctl regions --store 4 --leaders           what store 4 leads
  rutile ctl regions hot write
  rutile ctl regions check                         how many have which trouble
  rutile ctl regions check down-peer               which ones"""

COLUMNS: tuple[Column, ...] = (
    ("id", field("id")),
    ("from", field("start")),
    ("to", field("end")),
    ("leader", lambda record: f"store {record['leader_store']}" if record["leader_store"] else "none"),
    ("peers on stores", field("stores")),
    ("epoch", lambda record: f"{record['conf_ver']}/{record['version']}"),
)
CHECK_COLUMNS: tuple[Column, ...] = (
    *COLUMNS,
    ("size", lambda record: size_text(record["size_bytes"])),
    ("keys", field("keys")),
)
HOT_COLUMNS: tuple[Column, ...] = (
    ("region", field("region")),
    ("stores", field("stores")),
    ("bytes/s", lambda record: size_text(record["bytes_per_second"])),
    ("keys/s", field("keys_per_second")),
    ("cpu", lambda record: f"{record['cpu_percent']} %"),
    ("hot for", lambda record: f"{record['degree']} reports"),
)


def add(commands: Commands) -> None:
    parser = add_command(commands, "regions", TEXT)
    add_key_options(parser)
    parser.add_argument("--id", type=int, metavar="N", help="the region with this id")
    parser.add_argument("--store", type=int, metavar="ID", help="only regions with a peer on this store")
    parser.add_argument("--leaders", action="store_true", help="with --store: only those it leads")
    parser.add_argument("--limit", type=int, default=DEFAULT_LIMIT, help=f"at most so many (default {DEFAULT_LIMIT})")
    parser.set_defaults(act=show_regions)
    actions = add_actions(parser, "action")
    hot = actions.add_parser("hot", help="those with most load")
    hot.add_argument("flow", choices=("read", "write"))
    hot.set_defaults(act=show_hot)
    check = actions.add_parser("check", help="count what is wrong, or list the regions that have one trouble")
    check.add_argument("trouble", nargs="?", default="", metavar="TROUBLE")
    check.set_defaults(act=show_trouble)


async def show_regions(console: Console, options: argparse.Namespace) -> None:
    found = [record_of(region) for region in await _found(console, options)]
    if options.store is not None:
        found = [record for record in found if _is_on(record, options.store, options.leaders)]
    console.show(found, COLUMNS, "no region is known there")


async def show_hot(console: Console, options: argparse.Namespace) -> None:
    answer = await console.call("HotRegions", pdadminpb.HotRegionsRequest(flow=options.flow, limit=options.limit))
    records: list[Record] = [
        {
            "region": each.region_id,
            "stores": list(each.store_ids),
            "bytes_per_second": round(each.bytes_per_second),
            "keys_per_second": round(each.keys_per_second),
            "cpu_percent": round(each.cpu_percent, 1),
            "degree": each.degree,
        }
        for each in answer.regions
    ]
    console.show(records, HOT_COLUMNS, f"no region is hot by what is {'read' if options.flow == 'read' else 'written'}")


async def show_trouble(console: Console, options: argparse.Namespace) -> None:
    request = pdadminpb.CheckRegionsRequest(trouble=options.trouble, limit=options.limit)
    answer = await console.call("CheckRegions", request)
    if not options.trouble:
        counts: list[Record] = [{"trouble": name, "regions": count} for name, count in sorted(answer.counts.items())]
        console.show(counts, (("trouble", field("trouble")), ("regions", field("regions"))))
        return
    records = [record_of(each.region) | {"size_bytes": each.size, "keys": each.keys} for each in answer.regions]
    console.show(records, CHECK_COLUMNS, f"no region has {options.trouble}")


async def region_by_id(console: Console, region_id: int) -> pdpb.Region:
    """The region; InvalidRequest if none has that id."""
    answer = await console.call("GetRegionByID", pdpb.GetRegionByIDRequest(region_id=region_id))
    if not answer.HasField("region"):
        raise InvalidRequest(
            f"there is no region {region_id}: it may have been merged; `rutile ctl regions` lists them"
        )
    return pdpb.Region(region=answer.region, leader=answer.leader)


async def region_of_key(console: Console, key: bytes) -> pdpb.Region:
    """The region of a user key; InvalidRequest while none is known."""
    answer = await console.call("GetRegion", pdpb.GetRegionRequest(region_key=storage_key(key) if key else b""))
    if not answer.HasField("region"):
        raise InvalidRequest("no region is known for the key: is a store running?")
    return pdpb.Region(region=answer.region, leader=answer.leader)


async def _found(console: Console, options: argparse.Namespace) -> Sequence[pdpb.Region]:
    if options.id is not None:
        return [await region_by_id(console, options.id)]
    if options.key is not None:
        return [await region_of_key(console, parse_key(options.key))]
    start, end = b"", b""
    if options.table is not None:
        table = await table_id_of(options.table, options.pd)
        if options.handle is not None:
            return [await region_of_key(console, record_key(table, int_handle(options.handle)))]
        start, end = map(storage_bound, table_range(table))
    request = pdpb.ScanRegionsRequest(start_key=start, end_key=end, limit=options.limit)
    return list((await console.call("ScanRegions", request)).regions)


def record_of(found: pdpb.Region) -> Record:
    region = found.region
    return {
        "id": region.id,
        "start": show_bound(region.start_key),
        "end": show_bound(region.end_key),
        "conf_ver": region.region_epoch.conf_ver,
        "version": region.region_epoch.version,
        "leader_store": found.leader.store_id or None,
        "stores": [_peer_text(peer) for peer in region.peers],
        "down_peers": [peer.peer.store_id for peer in found.down_peers],
        "pending_peers": [peer.store_id for peer in found.pending_peers],
    }


def _peer_text(peer: metapb.Peer) -> str:
    return f"{peer.store_id} (learner)" if peer.role == metapb.Learner else str(peer.store_id)


def _is_on(record: Record, store_id: int, must_lead: bool) -> bool:
    if must_lead:
        return bool(record["leader_store"] == store_id)
    stores = record["stores"]
    return isinstance(stores, list) and any(str(each).split()[0] == str(store_id) for each in stores)

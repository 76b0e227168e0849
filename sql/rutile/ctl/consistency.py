"""Having the replicas of regions compared: proposed at each region's leader."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator

import grpc

from rutile.ctl.console import Column, Console, Record, dial_store, field
from rutile.ctl.keys import table_id_of
from rutile.ctl.parsing import Commands, add_command
from rutile.ctl.regions import record_of, region_by_id
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.keys import storage_bound, table_range

CALL_TIMEOUT_S = 10.0
PAGE = 256
"""Regions asked for at once."""
TEXT = """\
have the replicas of regions compare their data
The check is proposed at the leader of each region, and every replica hashes what it holds at the same place of the log.
The command tells where that has begun, not what comes of it: a replica that differs from its leader refuses its region
from then on, and its store's log says "is damaged on this store". Hashing reads all the data of the region, so that may
take a while; and silence is no proof, as a check comes to nothing when the leader changes under it. The leader is taken
to be right: if all others differ from it, look at the data before you believe it. A damaged peer is made anew once it
is removed: `rutile ctl operators add remove-peer`.

  rutile ctl consistency-check all
  rutile ctl consistency-check --table test.account
  rutile ctl consistency-check --region 12"""
NEXT = "begun, not finished: a replica that differs says so in its store's log, and refuses its region from then on"

COLUMNS: tuple[Column, ...] = (
    ("region", field("id")),
    ("leader", lambda record: f"store {record['leader_store']}" if record["leader_store"] else "none"),
    ("peers on stores", field("stores")),
    ("check", lambda record: "begun" if record["begun"] else f"not begun: {record['reason']}"),
)


def add(commands: Commands) -> None:
    parser = add_command(commands, "consistency-check", TEXT)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("all", nargs="?", choices=("all",), help="every region")
    which.add_argument("--region", type=int, metavar="N", help="the region with this id")
    which.add_argument("--table", metavar="TABLE", help="database.table, or a table's id")
    parser.set_defaults(act=check)


async def check(console: Console, options: argparse.Namespace) -> None:
    """Propose it everywhere that is meant, and show where it has begun."""
    records = [record_of(region) | await _propose(console, region) async for region in _meant(console, options)]
    console.show(records, COLUMNS, "no region is known there")
    if not console.as_json and any(record["begun"] for record in records):
        console.done(NEXT)


async def _meant(console: Console, options: argparse.Namespace) -> AsyncIterator[pdpb.Region]:
    if options.region is not None:
        yield await region_by_id(console, options.region)
        return
    start, end = b"", b""
    if options.table is not None:
        start, end = map(storage_bound, table_range(await table_id_of(options.table, options.pd)))
    while True:
        request = pdpb.ScanRegionsRequest(start_key=start, end_key=end, limit=PAGE)
        page = (await console.call("ScanRegions", request)).regions
        for region in page:
            yield region
        start = page[-1].region.end_key if page else b""
        if not start or (end and start >= end):
            return


async def _propose(console: Console, found: pdpb.Region) -> Record:
    """Whether the check has begun, and if not, why."""
    if not found.leader.store_id:
        return {"begun": False, "reason": "nobody is known to lead it"}
    store = (await console.call("GetStore", pdpb.GetStoreRequest(store_id=found.leader.store_id))).store
    region = found.region
    context = kvrpcpb.Context(region_id=region.id, region_epoch=region.region_epoch, peer=found.leader)
    connection = dial_store(store.address)
    try:
        request = rutilepb.CheckConsistencyRequest(context=context)
        answer = await connection.stub.CheckConsistency(request, timeout=CALL_TIMEOUT_S)
    except grpc.RpcError as error:
        return {"begun": False, "reason": f"store {store.id} cannot now: {error.details()}"}
    finally:
        await connection.close()
    if answer.HasField("region_error") or answer.error:
        return {"begun": False, "reason": answer.error or answer.region_error.message}
    return {"begun": True, "reason": None}

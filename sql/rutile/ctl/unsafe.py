"""Unsafe recovery: a surviving store is told to go on without stores that are lost for good."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rutile.ctl.console import Column, Console, Record, field
from rutile.ctl.keys import show_bound
from rutile.ctl.parsing import Commands, add_command
from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.raftstore.unsafe_recovery import Recovery, plan_recovery, recover
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import InvalidRequest

TEXT = """\
LOSES DATA: let a surviving store go on without stores that are lost for good
When the stores that hold half of a region's replicas or more will never come back, nobody can decide anything for it.
This drops the lost replicas from the region's membership, so that the survivors can elect a leader again.

What only the lost stores had is gone: the newest commits may be missing, and transactions may be torn. Never use it
while one of the lost stores can still be brought back, and never let one of them come back afterwards.

  1. Stop the surviving stores. Make sure the lost ones stay off.
  2. On each surviving store, look at what would happen, then do it:
       rutile ctl unsafe --data DIR --lost 2,3
       rutile ctl unsafe --data DIR --lost 2,3 --i-know-this-loses-data
  3. Start the surviving stores. Remove the lost ones: rutile ctl stores remove 2
  4. Start new, empty stores: the replicas are made up by themselves."""

COLUMNS: tuple[Column, ...] = (
    ("region", field("region")),
    ("from", field("start")),
    ("to", field("end")),
    ("peers on stores", field("before")),
    ("left", field("after")),
    ("can be recovered", field("recoverable")),
)


def add(commands: Commands) -> None:
    parser = add_command(commands, "unsafe", TEXT)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data of a surviving, stopped store")
    parser.add_argument("--lost", required=True, metavar="ID[,ID]", help="the stores that will never come back")
    parser.add_argument("--i-know-this-loses-data", action="store_true", dest="confirmed", help="do it")
    parser.set_defaults(offline=run)


def run(options: argparse.Namespace) -> int:
    """Show the plan, and carry it out if that was confirmed; otherwise 1."""
    console = Console(_NoPd(), sys.stdout, options.json)
    lost = _store_ids(options.lost)
    if not any(options.data.glob("*")):
        raise InvalidRequest(f"--data {options.data} is not there, or empty")
    engine = RocksEngine.open(options.data)
    try:
        plan = plan_recovery(engine, lost)
        console.show([record_of(each) for each in plan], COLUMNS, "every region here can decide without these stores")
        if not plan:
            return 0
        if not options.confirmed:
            print("nothing was changed: add --i-know-this-loses-data to do it", file=sys.stderr)
            return 1
        print(f"{recover(engine, plan)} regions go on without stores {options.lost}", file=sys.stderr)
    finally:
        engine.close()
    return 0


def record_of(recovery: Recovery) -> Record:
    return {
        "region": recovery.before.id,
        "start": show_bound(recovery.before.start_key),
        "end": show_bound(recovery.before.end_key),
        "before": _stores(recovery.before),
        "after": _stores(recovery.after),
        "recoverable": not recovery.is_installing,
    }


def _stores(region: metapb.Region) -> list[str]:
    return [str(peer.store_id) for peer in region.peers]


def _store_ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidRequest(f"--lost {text}: want store ids, with commas between") from error


class _NoPd:
    """There is nobody to ask: this works on a directory."""

    async def call(self, method: str, request: object) -> object:
        raise InvalidRequest(f"{method} needs a placement driver")

"""Operators: what is being done to regions, what was done, and what somebody wants done."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from rutile.ctl.console import Column, Console, Record, field
from rutile.ctl.keys import parse_key
from rutile.ctl.parsing import Commands, add_actions, add_command
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.keys import storage_key

TEXT = """\
what is being done to regions; do something by hand; cancel it
Without an action: what is under way.

  rutile ctl operators
  rutile ctl operators history --limit 20
  rutile ctl operators add transfer-leader 12 3       region 12 is to be led by store 3
  rutile ctl operators add transfer-peer 12 3 4       its peer on store 3 goes to store 4
  rutile ctl operators add add-peer 12 4 [--learner]
  rutile ctl operators add remove-peer 12 3
  rutile ctl operators add split 12 [KEY ...]         at keys, or in halves
  rutile ctl operators add merge 12 13                12 goes into its neighbour 13
  rutile ctl operators add scatter 12
  rutile ctl operators cancel 12

Placement rules still hold: a peer they do not want is removed again."""

COLUMNS: tuple[Column, ...] = (
    ("region", field("region")),
    ("why", field("reason")),
    ("kind", field("kind")),
    ("status", field("status")),
    ("steps", field("steps")),
    ("seconds", field("seconds")),
)


def add(commands: Commands) -> None:
    parser = add_command(commands, "operators", TEXT)
    parser.set_defaults(act=show_running)
    actions = add_actions(parser, "action")
    history = actions.add_parser("history", help="what was done lately, latest first")
    history.add_argument("--limit", type=int, default=20)
    history.add_argument("--region", type=int, default=0, metavar="ID", help="of this region only")
    history.set_defaults(act=show_history)
    cancel = actions.add_parser("cancel", help="give up what is being done to a region")
    cancel.add_argument("region", type=int, metavar="REGION")
    cancel.set_defaults(act=cancel_one)
    _add_wishes(actions.add_parser("add", help="have something done to a region"))


def _add_wishes(parser: argparse.ArgumentParser) -> None:
    wishes = parser.add_subparsers(dest="wish", required=True, metavar="WHAT")

    def wish(name: str, fill: Fill, *numbers: str) -> argparse.ArgumentParser:
        each = wishes.add_parser(name)
        for number in ("region", *numbers):
            each.add_argument(number, type=int, metavar=number.upper().replace("_", "-"))
        each.set_defaults(act=add_one, fill=fill)
        return each

    wish("transfer-leader", _transfer_leader, "store")
    wish("transfer-peer", _transfer_peer, "from_store", "to_store")
    wish("add-peer", _add_peer, "store").add_argument("--learner", action="store_true", help="without a vote")
    wish("remove-peer", _remove_peer, "store")
    wish("split", _split).add_argument("keys", nargs="*", metavar="KEY", help="text with \\xNN, or hex:...")
    wish("merge", _merge, "target")
    wish("scatter", _scatter).add_argument("--group", default="", help="spread together with others of this name")


Fill = Callable[[pdadminpb.AddOperatorRequest, argparse.Namespace], None]


def _transfer_leader(request: pdadminpb.AddOperatorRequest, options: argparse.Namespace) -> None:
    request.transfer_leader.store_id = options.store


def _transfer_peer(request: pdadminpb.AddOperatorRequest, options: argparse.Namespace) -> None:
    request.transfer_peer.from_store_id, request.transfer_peer.to_store_id = options.from_store, options.to_store


def _add_peer(request: pdadminpb.AddOperatorRequest, options: argparse.Namespace) -> None:
    request.add_peer.store_id, request.add_peer.learner = options.store, options.learner


def _remove_peer(request: pdadminpb.AddOperatorRequest, options: argparse.Namespace) -> None:
    request.remove_peer.store_id = options.store


def _split(request: pdadminpb.AddOperatorRequest, options: argparse.Namespace) -> None:
    request.split.SetInParent()
    request.split.keys.extend(storage_key(parse_key(text)) for text in options.keys)


def _merge(request: pdadminpb.AddOperatorRequest, options: argparse.Namespace) -> None:
    request.merge.target_region_id = options.target


def _scatter(request: pdadminpb.AddOperatorRequest, options: argparse.Namespace) -> None:
    request.scatter.group = options.group


async def show_running(console: Console, options: argparse.Namespace) -> None:
    answer = await console.call("ListOperators", pdadminpb.ListOperatorsRequest())
    console.show([record_of(each) for each in answer.running], COLUMNS, "nothing is being done to any region")


async def show_history(console: Console, options: argparse.Namespace) -> None:
    request = pdadminpb.ListOperatorsRequest(history=options.limit, region_id=options.region)
    answer = await console.call("ListOperators", request)
    console.show([record_of(each) for each in answer.finished], COLUMNS, "nothing was done yet")


async def add_one(console: Console, options: argparse.Namespace) -> None:
    request = pdadminpb.AddOperatorRequest(region_id=options.region)
    options.fill(request, options)
    answer = await console.call("AddOperator", request)
    if not answer.HasField("operator"):
        console.done(f"nothing has to be done to region {options.region} for that")
    elif console.as_json:
        console.tell(record_of(answer.operator))
    else:
        console.done(f"region {options.region}: {', '.join(answer.operator.steps)}; see `rutile ctl operators`")


async def cancel_one(console: Console, options: argparse.Namespace) -> None:
    await console.call("CancelOperator", pdadminpb.CancelOperatorRequest(region_id=options.region))
    console.done(f"what was being done to region {options.region} is given up")


def record_of(state: pdadminpb.OperatorState) -> Record:
    return {
        "region": state.region_id,
        "reason": state.reason,
        "kind": state.kind,
        "priority": state.priority,
        "status": pdpb.OperatorStatus.Name(state.status).lower(),
        "steps": list(state.steps),
        "seconds": round(state.seconds, 1),
    }

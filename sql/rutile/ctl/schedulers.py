"""Schedulers: the policies that run by themselves."""

from __future__ import annotations

import argparse

from rutile.ctl.console import Column, Console, Record, field
from rutile.ctl.parsing import Commands, add_actions, add_command
from rutile_proto import pdadminpb_pb2 as pdadminpb

TEXT = """\
list, add, remove, pause and resume the policies that run by themselves
Without an action: the list.

  rutile ctl schedulers
  rutile ctl schedulers pause balance-leader-scheduler --seconds 600
  rutile ctl schedulers add evict-leader-scheduler 4        no leaders on store 4
  rutile ctl schedulers remove evict-leader-scheduler 4"""

COLUMNS: tuple[Column, ...] = (
    ("name", field("name")),
    ("stores", field("stores")),
    ("state", lambda record: f"paused for {record['paused_seconds']} s" if record["paused_seconds"] else "runs"),
)
_CHANGE = pdadminpb.ChangeSchedulerRequest


def add(commands: Commands) -> None:
    parser = add_command(commands, "schedulers", TEXT)
    parser.set_defaults(act=show_all)
    actions = add_actions(parser, "action")
    for name, change in (("add", _CHANGE.ADD), ("remove", _CHANGE.REMOVE), ("resume", _CHANGE.RESUME)):
        each = actions.add_parser(name)
        each.add_argument("name", metavar="NAME")
        each.add_argument("stores", nargs="*", type=int, metavar="STORE", help="for those that work on stores")
        each.set_defaults(act=change_one, change=change, seconds=0.0)
    pause = actions.add_parser("pause", help="let it rest; forgotten when the leader changes")
    pause.add_argument("name", metavar="NAME")
    pause.add_argument("--seconds", type=float, default=3600.0, help="for so long (default 3600)")
    pause.set_defaults(act=change_one, change=_CHANGE.PAUSE, stores=[])


async def show_all(console: Console, options: argparse.Namespace) -> None:
    answer = await console.call("ListSchedulers", pdadminpb.ListSchedulersRequest())
    records: list[Record] = [
        {"name": each.name, "stores": list(each.store_ids), "paused_seconds": round(each.paused_seconds)}
        for each in answer.schedulers
    ]
    console.show(records, COLUMNS, f"none runs; there are {', '.join(answer.known)}")


async def change_one(console: Console, options: argparse.Namespace) -> None:
    request = _CHANGE(name=options.name, change=options.change, store_ids=options.stores, pause_seconds=options.seconds)
    await console.call("ChangeScheduler", request)
    console.done(f"{options.name}: {_CHANGE.Change.Name(options.change).lower()} done")

"""Placement rules, in the JSON of pd-ctl."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rutile.ctl.console import Column, Console, field
from rutile.ctl.keys import parse_key
from rutile.ctl.parsing import Commands, add_actions, add_command
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto.errors import InvalidRequest
from rutile_proto.keys import storage_key

TEXT = """\
how many replicas where: show, load and delete placement rules
Without an action: all rules in the order they apply.

  rutile ctl rules
  rutile ctl rules --key a                         those that hold at a key
  rutile ctl --json rules > rules.json             edit it, then
  rutile ctl rules load rules.json                 all of it or nothing
  rutile ctl rules delete GROUP ID"""

COLUMNS: tuple[Column, ...] = (
    ("group", field("group_id")),
    ("id", field("id")),
    ("role", field("role")),
    ("count", field("count")),
    ("from", lambda record: record.get("start_key") or ""),
    ("to", lambda record: record.get("end_key") or ""),
    ("on stores where", lambda record: _constraints(record.get("label_constraints"))),
)


def add(commands: Commands) -> None:
    parser = add_command(commands, "rules", TEXT)
    parser.add_argument("--key", metavar="KEY", help="only the rules that hold there")
    parser.set_defaults(act=show_all)
    actions = add_actions(parser, "action")
    load = actions.add_parser("load", help="set the rules in a file")
    load.add_argument("file", type=Path, metavar="FILE")
    load.set_defaults(act=load_file)
    delete = actions.add_parser("delete", help="delete one rule")
    delete.add_argument("group", metavar="GROUP")
    delete.add_argument("id", metavar="ID")
    delete.set_defaults(act=delete_one)


async def show_all(console: Console, options: argparse.Namespace) -> None:
    request = pdadminpb.GetRulesRequest()
    if options.key is not None:
        request.key = storage_key(parse_key(options.key))
    console.show(json.loads((await console.call("GetRules", request)).rules_json), COLUMNS, "there are no rules")


async def load_file(console: Console, options: argparse.Namespace) -> None:
    try:
        text = options.file.read_text()
    except OSError as error:
        raise InvalidRequest(f"{options.file}: {error.strerror}") from error
    await console.call("ChangeRules", pdadminpb.ChangeRulesRequest(set_rules_json=text))
    console.done(f"the rules of {options.file} hold now")


async def delete_one(console: Console, options: argparse.Namespace) -> None:
    name = pdadminpb.RuleName(group_id=options.group, id=options.id)
    await console.call("ChangeRules", pdadminpb.ChangeRulesRequest(delete_rules=[name]))
    console.done(f"rule {options.group}/{options.id} is deleted")


def _constraints(value: object) -> str:
    if not isinstance(value, list):
        return "any"
    return " and ".join(f"{each['key']} {each['op']} {', '.join(each.get('values', []))}" for each in value)

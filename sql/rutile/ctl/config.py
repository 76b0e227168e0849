"""Settings of the placement driver, changed while it runs."""

from __future__ import annotations

import argparse
import json

from rutile.ctl.console import Column, Console, Record, field
from rutile.ctl.parsing import Commands, add_actions, add_command
from rutile_proto import pdadminpb_pb2 as pdadminpb

TEXT = """\
show and change the placement driver's settings
Without an action: all of them. They hold for the cluster, and outlive restarts.

  rutile ctl config
  rutile ctl config set leader_schedule_limit 8"""

COLUMNS: tuple[Column, ...] = (("setting", field("setting")), ("value", field("value")))


def add(commands: Commands) -> None:
    parser = add_command(commands, "config", TEXT)
    parser.set_defaults(act=show_all)
    change = add_actions(parser, "action").add_parser("set", help="change one")
    change.add_argument("name", metavar="NAME")
    change.add_argument("value", metavar="VALUE", help="JSON, or plain text")
    change.set_defaults(act=set_one)


async def show_all(console: Console, options: argparse.Namespace) -> None:
    settings = json.loads((await console.call("GetSettings", pdadminpb.GetSettingsRequest())).settings_json)
    records: list[Record] = [{"setting": name, "value": value} for name, value in sorted(settings.items())]
    console.show(records, COLUMNS)


async def set_one(console: Console, options: argparse.Namespace) -> None:
    request = pdadminpb.SetSettingRequest(name=options.name, value_json=_as_json(options.value))
    await console.call("SetSetting", request)
    console.done(f"{options.name} is {options.value} now")


def _as_json(text: str) -> str:
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(text)
    return text

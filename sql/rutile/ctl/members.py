"""The placement driver's own members."""

from __future__ import annotations

import argparse

from rutile.ctl.console import Column, Console, Record, field
from rutile.ctl.parsing import Commands, add_actions, add_command
from rutile_proto import pdraftpb_pb2 as pdraftpb
from rutile_proto.errors import InvalidRequest

TEXT = """\
the placement driver's own members: list, remove, hand the lead over
Without an action: the list. A member is added by starting it: rutile pd --join ADDR --name NAME --data DIR --addr ADDR

  rutile ctl members
  rutile ctl members lead pd2         pd2 is to lead
  rutile ctl members remove pd3       for good; start it again only with an empty directory and --join"""

COLUMNS: tuple[Column, ...] = (
    ("name", field("name")),
    ("address", field("address")),
    ("role", field("role")),
    ("log", field("matched_index")),
    ("silent", lambda record: f"{record['silent_ms']} ms"),
    ("id", field("id")),
)


def add(commands: Commands) -> None:
    parser = add_command(commands, "members", TEXT)
    parser.set_defaults(act=show_all)
    actions = add_actions(parser, "action")
    for name, act, text in (
        ("lead", lead, "ask a member to lead"),
        ("remove", remove, "remove a member for good"),
    ):
        each = actions.add_parser(name, help=text)
        each.add_argument("member", metavar="NAME")
        each.set_defaults(act=act)


async def show_all(console: Console, options: argparse.Namespace) -> None:
    console.show(await _members(console), COLUMNS)


async def lead(console: Console, options: argparse.Namespace) -> None:
    member_id = await _id_of(console, options.member)
    await console.call("TransferLeader", pdraftpb.TransferLeaderRequest(member_id=member_id))
    console.done(f"{options.member} was asked to lead: `rutile ctl members` shows whether it does")


async def remove(console: Console, options: argparse.Namespace) -> None:
    member_id = await _id_of(console, options.member)
    await console.call("RemoveMember", pdraftpb.RemoveMemberRequest(member_id=member_id))
    console.done(f"{options.member} is no member any more: its process can be stopped")


async def _members(console: Console) -> list[Record]:
    status = await console.call("Status", pdraftpb.StatusRequest())
    return [
        {
            "id": each.member.member_id,
            "name": each.member.name,
            "address": each.member.client_urls[0].removeprefix("http://") if each.member.client_urls else "",
            "role": _role(each, status.leader_id),
            "matched_index": each.matched_index,
            "silent_ms": each.silent_ms,
        }
        for each in status.members
    ]


def _role(member: pdraftpb.MemberStatus, leader_id: int) -> str:
    if member.is_learner:
        return "learner"
    return "leader" if member.member.member_id == leader_id else "follower"


async def _id_of(console: Console, name: str) -> int:
    members = await _members(console)
    for each in members:
        if each["name"] == name or str(each["id"]) == name:
            return int(str(each["id"]))
    raise InvalidRequest(f"there is no member {name}: there are {', '.join(str(each['name']) for each in members)}")

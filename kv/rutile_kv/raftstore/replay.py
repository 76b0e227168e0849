"""Reading a region's log again: what its entries did, told once more from a position on.

Every replica decides alike what an entry does, from the entry and from the region as the entries before it left it. So
whoever knows what the region was at an index can follow it from there, on any replica and as long as the log reaches
back: that is how a watcher of raw data survives a change of leaders or a split without missing anything.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rutile_kv.engine.api import Modify
from rutile_kv.raft.messages import Entry
from rutile_kv.raftstore.commands import decode_command, decode_modifies
from rutile_kv.raftstore.merge import check_merge, merged, prepared, rolled_back
from rutile_kv.raftstore.region_change import change_members, check_split, split_region
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest, RegionError


@dataclass(frozen=True, slots=True)
class Wrote:
    """Entry `index` made these changes while the region was `region`."""

    region: metapb.Region
    index: int
    modifies: Sequence[Modify]


@dataclass(frozen=True, slots=True)
class SplitApart:
    """Entry `index` split the region: `children` are new, with empty logs; `rest` goes on with this log."""

    index: int
    children: Sequence[metapb.Region]
    rest: metapb.Region


Replayed: TypeAlias = Wrote | SplitApart


def replay(region: metapb.Region, entries: Iterable[Entry]) -> Iterator[Replayed]:
    """What `entries` did to `region`, which is what it was before the first of them. Ends with a split, if there is
    one."""
    for entry in entries:
        if not entry.data:
            continue
        command = decode_command(entry)
        if command.HasField("write"):
            if command.epoch.version == region.region_epoch.version:
                yield Wrote(region, entry.index, decode_modifies(command.write))
        elif command.epoch == region.region_epoch:
            kind = command.admin.WhichOneof("cmd")
            if kind == "conf_change":
                region = _changed(region, command.admin.conf_change)
            elif kind == "prepare_merge":
                region = _prepared(region, command.admin.prepare_merge)
            elif kind == "rollback_merge":
                region = rolled_back(region)
            elif kind == "commit_merge":
                region = merged(region, command.admin.commit_merge.source)
            elif kind == "batch_split" and (split := _split(region, entry.index, command)) is not None:
                yield split
                return


def _changed(region: metapb.Region, change: rutilepb.ConfChangeV2Cmd) -> metapb.Region:
    try:
        return change_members(region, change)
    except InvalidRequest:
        return region


def _prepared(region: metapb.Region, prepare: rutilepb.PrepareMerge) -> metapb.Region:
    try:
        check_merge(region, prepare.target)
    except InvalidRequest:
        return region
    return prepared(region)


def _split(region: metapb.Region, index: int, command: rutilepb.RaftCommand) -> SplitApart | None:
    requests = command.admin.batch_split.requests
    try:
        check_split(region, requests)
    except (InvalidRequest, RegionError):
        return None
    return SplitApart(index, *split_region(region, requests))

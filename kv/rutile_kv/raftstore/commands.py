"""Raft commands to bytes and back: rutilepb.RaftCommand is what a log entry holds.

A write is a list of puts and deletes on the data families. One byte per change says which: the number of the family,
times two, plus one for a delete; after the families come the table files for them, whose values are `TableFile`s.
"""

from collections.abc import Iterable, Sequence

from google.protobuf.message import DecodeError

from rutile_kv.engine.api import DATA_CFS, FILE_CFS, Cf, Modify
from rutile_kv.engine.table_file import TableFile
from rutile_kv.raft.messages import (
    ConfChange,
    ConfChangeKind,
    ConfChangeSingle,
    ConfChangeTransition,
    Entry,
    EntryKind,
)
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import EngineCorrupt, InvalidRequest

_NAMES: tuple[Cf, ...] = (*DATA_CFS, *FILE_CFS)
_PUT_KIND: dict[Cf, int] = {cf: number << 1 for number, cf in enumerate(_NAMES)}
FIRST_FILE_KIND = len(DATA_CFS) << 1
KINDS: tuple[tuple[Cf, bool], ...] = tuple((cf, delete) for cf in _NAMES for delete in (False, True))
"""What a kind byte means: (family, whether it is a delete)."""

_CHANGE_KINDS = {
    eraftpb.ConfChangeType.AddNode: ConfChangeKind.ADD_VOTER,
    eraftpb.ConfChangeType.RemoveNode: ConfChangeKind.REMOVE,
    eraftpb.ConfChangeType.AddLearnerNode: ConfChangeKind.ADD_LEARNER,
}


def encode_write(epoch: metapb.RegionEpoch, term: int, modifies: Iterable[Modify]) -> bytes:
    """A command that makes the changes in their order."""
    kinds, keys, values = bytearray(), [], []
    for cf, key, value in modifies:
        kinds.append(_PUT_KIND[cf] | (value is None))
        keys.append(key)
        values.append(value or b"")
    ops = rutilepb.WriteOps(kinds=bytes(kinds), keys=keys, values=values)
    encoded: bytes = rutilepb.RaftCommand(epoch=epoch, term=term, write=ops).SerializeToString()
    return encoded


def decode_modifies(ops: rutilepb.WriteOps) -> list[Modify]:
    """The changes of a write, in their order. Raises EngineCorrupt when the lists do not fit each other."""
    kinds = ops.kinds
    try:
        if kinds and not kinds[0] & 1 and kinds.count(kinds[0]) == len(kinds):  # puts into one family, mostly
            cfs = (KINDS[kinds[0]][0],) * len(kinds)
            return list(zip(cfs, ops.keys, ops.values, strict=True))
        return [
            (KINDS[kind][0], key, None if kind & 1 else value)
            for kind, key, value in zip(kinds, ops.keys, ops.values, strict=True)
        ]
    except (IndexError, ValueError) as cause:
        raise EngineCorrupt(f"a write in the log is malformed: {cause}") from cause


def take_files(modifies: Iterable[Modify]) -> tuple[list[Modify], list[tuple[Cf, TableFile]]]:
    """The changes that are none of files, and the table files with the families they are for. Raises EngineCorrupt."""
    others: list[Modify] = []
    files: list[tuple[Cf, TableFile]] = []
    for modify in modifies:
        cf, _, value = modify
        if cf not in FILE_CFS:
            others.append(modify)
            continue
        try:
            files.append((FILE_CFS[cf], TableFile.from_bytes(value or b"")))
        except InvalidRequest as cause:
            raise EngineCorrupt(f"a table file in the log: {cause}") from cause
    return others, files


def modify_size_bytes(modifies: Sequence[Modify]) -> int:
    """About what the changes take up in a log entry."""
    size_bytes = 8 * len(modifies)
    for _, key, value in modifies:
        size_bytes += len(key) if value is None else len(key) + len(value)
    return size_bytes


def encode_admin(epoch: metapb.RegionEpoch, term: int, admin: rutilepb.AdminCommand) -> bytes:
    encoded: bytes = rutilepb.RaftCommand(epoch=epoch, term=term, admin=admin).SerializeToString()
    return encoded


def conf_change_of(epoch: metapb.RegionEpoch, term: int, command: rutilepb.ConfChangeV2Cmd) -> ConfChange:
    """Raft's form of a change of members; the command itself rides in its context.

    One change is made in one step, several through a joint configuration which the store's leader leaves by proposing
    `leave_joint`, so that the region's epoch follows every step.
    """
    changes = tuple(ConfChangeSingle(_CHANGE_KINDS[c.change_type], c.peer.id) for c in command.changes)
    transition = ConfChangeTransition.EXPLICIT if len(changes) > 1 else ConfChangeTransition.AUTO
    context = encode_admin(epoch, term, rutilepb.AdminCommand(conf_change=command))
    return ConfChange(changes=changes, transition=transition, context=context)


def decode_command(entry: Entry) -> rutilepb.RaftCommand:
    """The command of an entry, whichever its kind. Raises EngineCorrupt: every replica would choke on it alike."""
    data = ConfChange.from_bytes(entry.data).context if entry.kind is EntryKind.CONF_CHANGE else entry.data
    try:
        command: rutilepb.RaftCommand = rutilepb.RaftCommand.FromString(data)
    except DecodeError as cause:
        raise EngineCorrupt(f"log entry {entry.index} of term {entry.term} is not a command: {cause}") from cause
    return command

"""The key map of the `raft` family: everything a store remembers besides the regions' data.

    key                                     value
    01 01                                   raft_serverpb.StoreIdent
    01 02 <region id> 01 <index>            a log entry (`encode_entry`)
    01 02 <region id> 02                    raft_serverpb.RaftLocalState: hard state, last index
    01 02 <region id> 03                    raft_serverpb.RaftApplyState: applied index, where the log begins
    01 03 <region id> 01                    raft_serverpb.RegionLocalState: the region, and whether it is normal,
                                            being installed, about to merge, or a tombstone
    01 04 <region id>                       why the replica must not serve, as text (see `consistency`)
    01 05                                   there if data was ever destroyed beside the log on this store; empty

Numbers are eight bytes, big endian, so that a region's log is one range in index order. The layout is TiKV's (wire.md
§8), without the `z` before data keys: here data lives in families of its own. A peer that waits for its first snapshot
has no RegionLocalState, at most a RaftLocalState with its vote.

An entry is kept as its kind (one byte), its term (eight bytes), and its data; its index is in the key.
"""

import struct
from collections.abc import Iterator

from rutile_kv.engine.api import CF_RAFT, Reader
from rutile_kv.raft.messages import Entry, EntryKind
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import EngineCorrupt

STORE_IDENT = b"\x01\x01"
_RAFT = b"\x01\x02"
_REGION = b"\x01\x03"
_REGION_STATES_END = _DAMAGE = b"\x01\x04"
DATA_DESTROYED = b"\x01\x05"
_LOG, _RAFT_STATE, _APPLY_STATE, _REGION_STATE = b"\x01", b"\x02", b"\x03", b"\x01"

_ENTRY_HEADER = struct.Struct(">BQ")


def log_prefix(region_id: int) -> bytes:
    """What all log keys of a region begin with; a log key is this and eight bytes."""
    return _RAFT + region_id.to_bytes(8, "big") + _LOG


def log_key(region_id: int, index: int) -> bytes:
    return log_prefix(region_id) + index.to_bytes(8, "big")


def raft_state(region_id: int) -> bytes:
    return _RAFT + region_id.to_bytes(8, "big") + _RAFT_STATE


def apply_state(region_id: int) -> bytes:
    return _RAFT + region_id.to_bytes(8, "big") + _APPLY_STATE


def region_state(region_id: int) -> bytes:
    return _REGION + region_id.to_bytes(8, "big") + _REGION_STATE


def damage(region_id: int) -> bytes:
    return _DAMAGE + region_id.to_bytes(8, "big")


def kind_of(key: bytes) -> tuple[str, int]:
    """What is kept under a key ("ident", "log", "raft_state", "apply_state", "region_state", "damage" or
    "data_destroyed"), and of which region. Raises EngineCorrupt for a key that is none of this family."""
    if key in _OF_THE_STORE:
        return _OF_THE_STORE[key], 0
    family, region_id, kind = key[:2], int.from_bytes(key[2:10], "big"), key[10:11]
    found = _KINDS.get((family, kind))
    if found is None:
        raise EngineCorrupt(f"{key.hex()} is no key of a store")
    return found, region_id


_OF_THE_STORE = {STORE_IDENT: "ident", DATA_DESTROYED: "data_destroyed"}
_KINDS = {
    (_RAFT, _LOG): "log",
    (_RAFT, _RAFT_STATE): "raft_state",
    (_RAFT, _APPLY_STATE): "apply_state",
    (_REGION, _REGION_STATE): "region_state",
    (_DAMAGE, b""): "damage",
}


def encode_entry(entry: Entry) -> bytes:
    return _ENTRY_HEADER.pack(entry.kind, entry.term) + entry.data


def decode_entry(index: int, value: bytes) -> Entry:
    """The entry kept under `index`. Raises EngineCorrupt when the bytes are none."""
    try:
        kind, term = _ENTRY_HEADER.unpack_from(value)
        return Entry(term, index, EntryKind(kind), value[_ENTRY_HEADER.size :])
    except (struct.error, ValueError) as cause:
        raise EngineCorrupt(f"the log entry at index {index} cannot be read back: {cause}") from cause


def scan_log(reader: Reader, region_id: int, low: int, high: int) -> Iterator[Entry]:
    """The entries kept of [low, high), in order."""
    for key, value in reader.scan(CF_RAFT, log_key(region_id, low), log_key(region_id, high)):
        yield decode_entry(int.from_bytes(key[-8:], "big"), value)


def scan_region_states(reader: Reader) -> Iterator[raft_serverpb.RegionLocalState]:
    """The state of every region that was ever here, in order of region id."""
    for _, value in reader.scan(CF_RAFT, _REGION, _REGION_STATES_END):
        yield raft_serverpb.RegionLocalState.FromString(value)


def load_region_state(reader: Reader, region_id: int) -> raft_serverpb.RegionLocalState | None:
    value = reader.get(CF_RAFT, region_state(region_id))
    return None if value is None else raft_serverpb.RegionLocalState.FromString(value)


def load_damage(reader: Reader, region_id: int) -> str:
    """How a replica is known to differ from its leader's; empty if it is not."""
    return (reader.get(CF_RAFT, damage(region_id)) or b"").decode()


def was_data_destroyed(reader: Reader) -> bool:
    """Whether data was ever destroyed beside the log on this store."""
    return reader.get(CF_RAFT, DATA_DESTROYED) is not None


def load_raft_state(reader: Reader, region_id: int) -> raft_serverpb.RaftLocalState | None:
    value = reader.get(CF_RAFT, raft_state(region_id))
    return None if value is None else raft_serverpb.RaftLocalState.FromString(value)


def load_apply_state(reader: Reader, region_id: int) -> raft_serverpb.RaftApplyState | None:
    value = reader.get(CF_RAFT, apply_state(region_id))
    return None if value is None else raft_serverpb.RaftApplyState.FromString(value)

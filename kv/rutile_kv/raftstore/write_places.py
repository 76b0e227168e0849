"""What a batch that a store writes is, by what is in it: the names of the places where a store writes.

    place              what the batch holds
    ident              the store's identity
    first_region       the region that the cluster begins with
    clear_first_region another store was quicker to register one
    append             log entries
    hard_state         a term, a vote, or where the log ends
    apply              what committed entries make, with the applied index
      lock, commit     of transactions: locks; versions, and the locks they end
      bulk             versions without locks: loads
      gc               versions taken away
      raw              raw data
    compact_log        the log is cut
    split              a region becomes several
    conf_change        members come, go, or change their role
    prepare_merge, commit_merge, rollback_merge
    snapshot_begin     old data and log go, the region is marked as being installed
    snapshot_slice     some of the records of a snapshot
    snapshot_end       region, log and applied index are those of the snapshot
    snapshot_abandon   after a crash in between
    destroy            a peer goes and leaves a tombstone
    destroy_range      data is removed beside the log
    damage             a replica is known to differ from its leader's

One batch may be many of them. Tests kill stores at each (`rutile_kv.engine.failing`), in processes and in simulation;
nothing else asks. Mirror files are no batches: their places are `mirror_data`,
`mirror_manifest` and `mirror_journal`.
"""

from collections.abc import Iterator, Sequence

from rutile_kv.engine.api import CF_LOCK, CF_RAFT, CF_WRITE, RAW_CFS, Reader
from rutile_kv.engine.failing import Operation
from rutile_kv.raftstore import local_keys
from rutile_proto import raft_serverpb_pb2 as raft_serverpb

State = raft_serverpb.RegionLocalState
NORMAL, INSTALLING = raft_serverpb.PeerState.Normal, raft_serverpb.PeerState.Applying
TOMBSTONE, MERGING = raft_serverpb.PeerState.Tombstone, raft_serverpb.PeerState.Merging
WRITE_PLACES = (
    "ident", "first_region", "clear_first_region", "append", "hard_state", "apply", "lock", "commit", "bulk", "gc",
    "raw", "compact_log", "split", "conf_change", "prepare_merge", "commit_merge", "rollback_merge", "snapshot_begin",
    "snapshot_slice", "snapshot_end", "snapshot_abandon", "destroy", "destroy_range", "damage",
)  # fmt: skip


def write_places(before: Reader, operations: Sequence[Operation]) -> list[str]:
    """The places a batch is at, each once, in the order of `WRITE_PLACES`; `before` is the engine as it is without
    it."""
    found = dict.fromkeys((*_of_raft(before, operations), *_of_data(operations)))
    return [place for place in WRITE_PLACES if place in found]


def _of_raft(before: Reader, operations: Sequence[Operation]) -> Iterator[str]:
    states: dict[int, State | None] = {}
    for cf, key, value, end in operations:
        if cf != CF_RAFT:
            continue
        kind, region_id = local_keys.kind_of(key)
        if kind == "region_state":
            was = states[region_id] if region_id in states else local_keys.load_region_state(before, region_id)
            states[region_id] = None if value is None else State.FromString(value)
            yield from _transition(was, states[region_id])
        elif kind == "log" and end is not None and local_keys.kind_of(end)[0] == "log":
            yield "compact_log"
        elif value is not None:
            yield _PUTS[kind]
    if len(states) == 1 and _is_first(before, states):
        yield "first_region"


_PUTS = {
    "ident": "ident",
    "log": "append",
    "raft_state": "hard_state",
    "apply_state": "apply",
    "damage": "damage",
    "data_destroyed": "destroy_range",
}


def _transition(was: State | None, now: State | None) -> Iterator[str]:
    """What becomes of one region."""
    if now is None:
        yield "snapshot_abandon" if was is not None and was.state == INSTALLING else "clear_first_region"
    elif now.state == TOMBSTONE:
        yield "commit_merge" if now.merge_state.HasField("target") else "destroy"
    elif now.state == INSTALLING:
        yield "snapshot_begin"
    elif was is not None and was.state == INSTALLING:
        yield "snapshot_end"
    elif was is not None and was.state != TOMBSTONE:
        yield from _change(was, now)


def _change(was: State, now: State) -> Iterator[str]:
    """What becomes of a region that stays."""
    if now.state == MERGING and was.state == NORMAL:
        yield "prepare_merge"
    if now.state == NORMAL and was.state == MERGING:
        yield "rollback_merge"
    if now.region.region_epoch.conf_ver != was.region.region_epoch.conf_ver:
        yield "conf_change"
    if now.region.start_key > was.region.start_key:
        yield "split"


def _is_first(before: Reader, states: dict[int, State | None]) -> bool:
    """Whether a region comes from nowhere: one that a split makes comes with the other part of it."""
    ((region_id, now),) = states.items()
    return now is not None and now.state == NORMAL and local_keys.load_region_state(before, region_id) is None


def _of_data(operations: Sequence[Operation]) -> Iterator[str]:
    puts = {cf for cf, _, value, _ in operations if value is not None}
    deletes = {cf for cf, _, value, end in operations if value is None and end is None}
    if operations and not any(cf == CF_RAFT for cf, *_ in operations):
        yield "snapshot_slice" if puts else "destroy_range"
        return
    if CF_LOCK in puts:
        yield "lock"
    if CF_WRITE in puts:
        yield "commit" if CF_LOCK in deletes else "bulk"
    if CF_WRITE in deletes:
        yield "gc"
    if any(cf in puts for cf in RAW_CFS):
        yield "raw"

"""CommitMerge on one store: the source's log is finished here, then its keys change hands, all in the batch of one
round.

The source's log ends with its PrepareMerge (`commit`). This store's peer of the source may be behind: it may not know
how much is committed, and of the last entries it may have none or others. But it has the log up to PrepareMerge's
min_index, as every peer had when that was proposed; the rest comes with CommitMerge. So what is applied already, what
is in its own log up to there, and what was brought along make up the whole, and the peer applies it at once, with its
answers to whoever waits, whatever Raft still tells it. After that the peer is history.

It has to wait one round if the source has work in this one: its log must be what the engine says. That is the only
thing a target waits for; a snapshot never comes in between (`merge_proposals` sees to it).
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rutile_kv.raft.messages import Entry, EntryKind
from rutile_kv.raftstore.commands import decode_command
from rutile_kv.raftstore.peer import Peer
from rutile_kv.raftstore.round import Round
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import EngineCorrupt

if TYPE_CHECKING:
    from rutile_kv.raftstore.registry import Registry


def entries_to_pb(entries: Iterable[Entry]) -> list[eraftpb.Entry]:
    """Log entries as CommitMerge carries them."""
    kinds = {kind: eraftpb.EntryType.Name(kind.value) for kind in EntryKind}
    return [eraftpb.Entry(entry_type=kinds[e.kind], term=e.term, index=e.index, data=e.data) for e in entries]


def is_source_ready(registry: "Registry", command: rutilepb.CommitMerge) -> bool:
    """True if the source can be finished in this round: it has no part in it yet, nor has any region that was to merge
    into the source itself."""
    source = _source(registry, command)
    if source.storage.in_round or source.installation is not None:
        return False
    nested = (_commit_merge_in(entry) for entry in _missing_entries(source, command))
    return all(inner is None or is_source_ready(registry, inner) for inner in nested)


def finish_source(registry: "Registry", command: rutilepb.CommitMerge, round_: Round) -> Peer:
    """The source's peer here, everything applied. Raises EngineCorrupt if it cannot be what the target's log says."""
    source = _source(registry, command)
    missing = _missing_entries(source, command)
    if missing:
        source.applier.apply(missing, round_, to_the_end=True)
    state = source.storage.merge_state
    if state is None or state.commit != command.commit:
        raise EngineCorrupt(f"region {source.region_id} did not prepare for the merge that its target commits")
    return source


def _source(registry: "Registry", command: rutilepb.CommitMerge) -> Peer:
    source = registry.peers.get(command.source.id)
    if source is None or not source.is_initialised:
        raise EngineCorrupt(f"region {command.source.id} is to merge, but this store has nothing of it")
    return source


def _missing_entries(source: Peer, command: rutilepb.CommitMerge) -> Sequence[Entry]:
    """What the source has yet to apply up to the end of its log."""
    applied = source.storage.applied_index
    brought = [Entry(e.term, e.index, EntryKind(e.entry_type), e.data) for e in command.entries if e.index > applied]
    first_brought = command.entries[0].index
    own = source.storage.entries(applied + 1, first_brought, None) if applied + 1 < first_brought else []
    return [*own, *brought]


def _commit_merge_in(entry: Entry) -> rutilepb.CommitMerge | None:
    """The CommitMerge in a log entry, if it is one."""
    if not entry.data:
        return None
    admin = decode_command(entry).admin
    return admin.commit_merge if admin.HasField("commit_merge") else None

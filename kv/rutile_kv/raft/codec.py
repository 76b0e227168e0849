"""Raft messages between the core's dataclasses and eraftpb, field by field. The enums have the same numbers."""

from rutile_kv.raft.messages import ConfState, Entry, EntryKind, Message, MessageKind, SnapshotMeta
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto.errors import InvalidRequest

_MESSAGE_TYPES = {kind: eraftpb.MessageType.Name(kind.value) for kind in MessageKind}


def message_to_pb(message: Message, snapshot_data: bytes = b"") -> eraftpb.Message:
    """`snapshot_data` is what the store adds to a snapshot's metadata: a serialised RaftSnapshotData."""
    pb = eraftpb.Message(
        msg_type=_MESSAGE_TYPES[message.kind],
        to=message.to,
        term=message.term,
        log_term=message.log_term,
        index=message.index,
        commit=message.commit,
        commit_term=message.commit_term,
        reject=message.reject,
        reject_hint=message.reject_hint,
        context=message.context,
    )
    setattr(pb, "from", message.sender)
    for entry in message.entries:
        pb.entries.add(entry_type=entry.kind.value, term=entry.term, index=entry.index, data=entry.data)
    if message.snapshot is not None:
        pb.snapshot.CopyFrom(_snapshot_to_pb(message.snapshot, snapshot_data))
    return pb


def message_from_pb(pb: eraftpb.Message) -> Message:
    """Raises InvalidRequest for a kind of message or entry this version does not know."""
    try:
        kind = MessageKind(pb.msg_type)
        entries = tuple(Entry(entry.term, entry.index, EntryKind(entry.entry_type), entry.data) for entry in pb.entries)
    except ValueError as cause:
        raise InvalidRequest(f"a raft message this version does not know: {cause}") from cause
    return Message(
        kind=kind,
        to=pb.to,
        sender=getattr(pb, "from"),
        term=pb.term,
        log_term=pb.log_term,
        index=pb.index,
        entries=entries,
        commit=pb.commit,
        commit_term=pb.commit_term,
        snapshot=_snapshot_from_pb(pb.snapshot) if pb.HasField("snapshot") else None,
        reject=pb.reject,
        reject_hint=pb.reject_hint,
        context=pb.context,
    )


def conf_state_to_pb(state: ConfState) -> eraftpb.ConfState:
    return eraftpb.ConfState(
        voters=state.voters,
        learners=state.learners,
        voters_outgoing=state.voters_outgoing,
        learners_next=state.learners_next,
        auto_leave=state.auto_leave,
    )


def conf_state_from_pb(pb: eraftpb.ConfState) -> ConfState:
    return ConfState(
        voters=tuple(pb.voters),
        learners=tuple(pb.learners),
        voters_outgoing=tuple(pb.voters_outgoing),
        learners_next=tuple(pb.learners_next),
        auto_leave=pb.auto_leave,
    )


def _snapshot_to_pb(meta: SnapshotMeta, data: bytes) -> eraftpb.Snapshot:
    metadata = eraftpb.SnapshotMetadata(conf_state=conf_state_to_pb(meta.conf_state), index=meta.index, term=meta.term)
    return eraftpb.Snapshot(data=data, metadata=metadata)


def _snapshot_from_pb(pb: eraftpb.Snapshot) -> SnapshotMeta:
    return SnapshotMeta(pb.metadata.index, pb.metadata.term, conf_state_from_pb(pb.metadata.conf_state))

"""Raft messages between the core's dataclasses and eraftpb, field by field. The enums have the same numbers."""

from rutile_kv.raft.messages import ConfState, Entry, EntryKind, Message, MessageKind, SnapshotMeta
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto.errors import InvalidRequest

_MESSAGE_TYPES = {kind: eraftpb.MessageType.Value(eraftpb.MessageType.Name(kind.value)) for kind in MessageKind}
_MESSAGE_KINDS = {number: kind for kind, number in _MESSAGE_TYPES.items()}
_ENTRY_KINDS = {kind.value: kind for kind in EntryKind}


def message_to_pb(message: Message, snapshot_data: bytes = b"") -> eraftpb.Message:
    """`snapshot_data` is what the store adds to a snapshot's metadata: a serialised RaftSnapshotData."""
    pb = eraftpb.Message()
    fill_pb(pb, message, snapshot_data)
    return pb


def fill_pb(pb: eraftpb.Message, message: Message, snapshot_data: bytes = b"") -> None:
    """Make `pb`, which is empty, what `message_to_pb` returns: for one that stands in another message already. Most
    messages have few fields, and to set one costs more than to look whether it has to be."""
    pb.msg_type = _MESSAGE_TYPES[message.kind]
    pb.to, pb.term, pb.index, pb.commit = message.to, message.term, message.index, message.commit
    setattr(pb, "from", message.sender)
    if message.log_term:
        pb.log_term = message.log_term
    if message.commit_term:
        pb.commit_term = message.commit_term
    if message.reject:
        pb.reject = True
    if message.reject_hint:
        pb.reject_hint = message.reject_hint
    if message.context:
        pb.context = message.context
    for entry in message.entries:
        pb.entries.add(entry_type=entry.kind.value, term=entry.term, index=entry.index, data=entry.data)
    if message.snapshot is not None:
        pb.snapshot.CopyFrom(_snapshot_to_pb(message.snapshot, snapshot_data))


def message_from_pb(pb: eraftpb.Message) -> Message:
    """Raises InvalidRequest for a kind of message or entry this version does not know."""
    try:
        kind = _MESSAGE_KINDS[pb.msg_type]
        entries = [Entry(entry.term, entry.index, _ENTRY_KINDS[entry.entry_type], entry.data) for entry in pb.entries]
    except KeyError as cause:
        raise InvalidRequest(f"a raft message this version does not know: kind {cause}") from cause
    return Message(  # by position, which costs half of what names do
        kind,
        pb.to,
        getattr(pb, "from"),
        pb.term,
        pb.log_term,
        pb.index,
        tuple(entries),
        pb.commit,
        _snapshot_from_pb(pb.snapshot) if pb.HasField("snapshot") else None,
        pb.reject,
        pb.reject_hint,
        pb.context,
        pb.commit_term,
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

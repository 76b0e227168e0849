"""How golden scripts print what peers say and hold: `sender>receiver KIND tTERM ...`, positions in a log as
index/term."""

from __future__ import annotations

from collections.abc import Iterable

from rutile_kv.raft.messages import (
    ConfChange,
    ConfChangeKind,
    ConfState,
    Entry,
    EntryKind,
    Message,
    MessageKind,
    SnapshotMeta,
)

CHANGES = {"+": ConfChangeKind.ADD_VOTER, "-": ConfChangeKind.REMOVE, "~": ConfChangeKind.ADD_LEARNER}


def show_entry(entry: Entry) -> str:
    if entry.kind is EntryKind.CONF_CHANGE:
        return f"{entry.index}/{entry.term}:{show_change(ConfChange.from_bytes(entry.data))}"
    return f"{entry.index}/{entry.term}" + (f":{entry.data.decode()}" if entry.data else "")


def show_entries(entries: Iterable[Entry]) -> str:
    return "[" + " ".join(map(show_entry, entries)) + "]"


def show_change(change: ConfChange) -> str:
    signs = {kind: sign for sign, kind in CHANGES.items()}
    return ",".join(f"{signs[one.kind]}{one.peer_id}" for one in change.changes) or "leave-joint"


def show_conf_state(conf_state: ConfState) -> str:
    parts = [f"voters {show_numbers(conf_state.voters)}"]
    for name, ids in (
        ("outgoing", conf_state.voters_outgoing),
        ("learners", conf_state.learners),
        ("learners next", conf_state.learners_next),
    ):
        if ids:
            parts.append(f"{name} {show_numbers(ids)}")
    return "; ".join(parts) + ("; auto leave" if conf_state.auto_leave else "")


def show_numbers(ids: tuple[int, ...]) -> str:
    return ",".join(map(str, ids)) or "none"


def show_snapshot(meta: SnapshotMeta) -> str:
    return f"snapshot {meta.index}/{meta.term} ({show_conf_state(meta.conf_state)})"


def show_message(message: Message) -> str:
    head = f"{message.sender}>{message.to} {message.kind.name} t{message.term}"
    return " ".join(filter(None, (head, show_details(message))))


def show_details(message: Message) -> str:
    match message.kind:
        case MessageKind.APPEND:
            entries = show_entries(message.entries) if message.entries else ""
            return " ".join(filter(None, (f"{message.index}/{message.log_term}", entries, f"commit {message.commit}")))
        case MessageKind.APPEND_RESPONSE if message.reject:
            return f"refuses {message.index}, try {message.reject_hint}/{message.log_term}"
        case MessageKind.APPEND_RESPONSE:
            return f"has {message.index}"
        case MessageKind.VOTE | MessageKind.PRE_VOTE:
            by_leader = " for the leader" if message.context else ""
            return f"log {message.index}/{message.log_term}{by_leader}"
        case MessageKind.VOTE_RESPONSE | MessageKind.PRE_VOTE_RESPONSE:
            return "no" if message.reject else "yes"
        case MessageKind.HEARTBEAT:
            return f"round {message.index} commit {message.commit}"
        case MessageKind.HEARTBEAT_RESPONSE:
            return f"round {message.index}"
        case MessageKind.SNAPSHOT if message.snapshot is not None:
            return show_snapshot(message.snapshot)
        case MessageKind.TRANSFER_LEADER:
            return f"to {message.index}"
        case MessageKind.READ_INDEX:
            return message.context.decode()
        case MessageKind.READ_INDEX_RESPONSE:
            return f"{message.context.decode()} at {message.index}"
        case _:
            return ""

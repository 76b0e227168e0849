"""Answering candidates: one vote a term, only for a log at least as up-to-date as one's own (paper §5.2, §5.4.1).

Whether the candidate is to be heard at all is decided before, in `Core.step`: a voter that hears a live leader is not
disturbed (thesis §4.2.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rutile_kv.raft.messages import NO_PEER, Message, MessageKind

if TYPE_CHECKING:
    from rutile_kv.raft.core import Core


def answer_vote(core: Core, message: Message) -> None:
    """Grant or refuse the vote or pre-vote that `message` asks for."""
    granted = _may_vote_for(core, message) and core.log.is_up_to_date(message.index, message.log_term)
    if message.kind is MessageKind.PRE_VOTE:
        _answer_pre_vote(core, message, granted)
        return
    if granted:
        core.vote = message.sender
        core.role.voted()
    core.persisted_messages.append(_reply(core, message, MessageKind.VOTE_RESPONSE, core.term, granted))


def _may_vote_for(core: Core, message: Message) -> bool:
    """True if this term's vote is free, or the sender's already. A pre-vote for a later term never costs a vote."""
    if message.kind is MessageKind.PRE_VOTE and message.term > core.term:
        return True
    return core.vote == message.sender or (core.vote == NO_PEER and core.leader_id == NO_PEER)


def _answer_pre_vote(core: Core, message: Message, granted: bool) -> None:
    """A granted pre-vote names the term asked for, a refused one our own. It promises nothing, so it need not be
    durable."""
    term = message.term if granted else core.term
    core.messages.append(_reply(core, message, MessageKind.PRE_VOTE_RESPONSE, term, granted))


def _reply(core: Core, message: Message, kind: MessageKind, term: int, granted: bool) -> Message:
    commit = core.log.committed
    return Message(
        kind, message.sender, core.id, term, commit=commit, reject=not granted, commit_term=core.log.term(commit)
    )

"""Follower reads and max_ts: the leader hears at which timestamp a follower is about to read, before that is served.

A follower asks the leader for the index to wait for (ReadIndex, thesis §6.4). The leader's max_ts must rise to the
reader's timestamp then, as if it had read itself; or else a transaction that commits asynchronously could get a
commit_ts that this reader has passed already. And locks on their way to the log, which the index does not cover yet,
must have landed, if they may be committed at or below that timestamp.

So the question carries eight bytes behind its context: the newest timestamp anything was read at on the asking store,
which is no less than any that waits for the answer. `StampedTransport` puts them there on the way out, `ReadIndexGate`
takes them off on the way in. The raftstore knows nothing of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.raftstore.snapshot_transfer import Transport
from rutile_kv.txn.max_ts import MaxTs
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb

STAMP_BYTES = 8
_QUESTION = eraftpb.MessageType.MsgReadIndex


class StampedTransport:
    """The raftstore's Transport; questions for a read index leave with the store's newest read timestamp."""

    def __init__(self, transport: Transport, max_ts: MaxTs) -> None:
        self._transport = transport
        self._max_ts = max_ts

    def send(self, messages: Sequence[raft_serverpb.RaftMessage]) -> None:
        for message in messages:
            if message.message.msg_type == _QUESTION:
                message.message.context += self._max_ts.newest.to_bytes(STAMP_BYTES, "big")
        self._transport.send(messages)

    async def send_snapshot(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        await self._transport.send_snapshot(message, chunks)


class ReadIndexGate:
    """Raft messages on their way in (server.local_network.RaftReceiver): all but stamped questions go straight on."""

    def __init__(self, driver: StoreDriver, scheduler: TxnScheduler) -> None:
        self._driver = driver
        self._scheduler = scheduler

    def handle_raft_message(self, message: raft_serverpb.RaftMessage) -> None:
        if message.message.msg_type != _QUESTION:
            self._driver.handle_raft_message(message)
            return
        question = raft_serverpb.RaftMessage()
        question.CopyFrom(message)
        context = question.message.context
        question.message.context = context[:-STAMP_BYTES]
        self._ask(question, int.from_bytes(context[-STAMP_BYTES:], "big"))

    async def receive_snapshot(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        await self._driver.receive_snapshot(message, chunks)

    def _ask(self, question: raft_serverpb.RaftMessage, ts: int) -> None:
        """Pass the question on once the follower can no longer miss a commit at or below `ts`."""
        self._scheduler.max_ts.raise_to(ts)
        region = self._driver.region(question.region_id)
        if region is None:
            return
        self._scheduler.when_landed(
            region.start_key, region.end_key or None, ts, lambda: self._driver.handle_raft_message(question)
        )

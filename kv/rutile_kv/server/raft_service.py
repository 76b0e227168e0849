"""Raft, BatchRaft and Snapshot: the receiving side of the talk between stores."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from rutile_kv.env.rpc import RpcContext
from rutile_kv.server.boundary import abort_with
from rutile_kv.server.local_network import RaftReceiver
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import tikvpb_pb2 as tikvpb
from rutile_proto.errors import InvalidRequest

log = logging.getLogger(__name__)


class RaftService:
    """Mixed into the Tikv service; needs `raft`, where messages and snapshots go.

    Whether a message is for this store, and for a peer that exists, is the raftstore's business: it drops the others.
    """

    raft: RaftReceiver

    async def Raft(
        self, request_iterator: AsyncIterator[raft_serverpb.RaftMessage], context: RpcContext
    ) -> raft_serverpb.Done:
        async for message in request_iterator:
            self.raft.handle_raft_message(message)
        return raft_serverpb.Done()

    async def BatchRaft(
        self, request_iterator: AsyncIterator[tikvpb.BatchRaftMessage], context: RpcContext
    ) -> raft_serverpb.Done:
        async for batch in request_iterator:
            for message in batch.msgs:
                self.raft.handle_raft_message(message)
        return raft_serverpb.Done()

    async def Snapshot(
        self, request_iterator: AsyncIterator[raft_serverpb.SnapshotChunk], context: RpcContext
    ) -> raft_serverpb.Done:
        """The first chunk names the snapshot, the others carry its data; answered when all of it has arrived."""
        chunks = aiter(request_iterator)
        try:
            first = await anext(chunks, None)
            if first is None or not first.HasField("message"):
                raise InvalidRequest("a snapshot stream begins with a chunk that carries its message")
            await self.raft.receive_snapshot(first.message, _data(chunks))
        except Exception as error:
            await abort_with(context, "Snapshot", error)
        return raft_serverpb.Done()


async def _data(chunks: AsyncIterator[raft_serverpb.SnapshotChunk]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk.data

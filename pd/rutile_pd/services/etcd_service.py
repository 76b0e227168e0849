"""The part of etcd that TiKV's transactional clients look for at PD's address: its members, and the saved safe point.

PD is built around an etcd there, and some clients go past PD and read it, at any of its members. Here is no etcd; these
keys are views of what PD knows, and can only be read. Facts: wire.md 7.8.
"""

import grpc

from rutile_kv.env.rpc import RpcContext
from rutile_pd.consensus.members import NotLeading
from rutile_pd.consensus.replication import Replication
from rutile_pd.consensus.storage import PdStorage
from rutile_proto import etcdserverpb_pb2 as etcdserverpb
from rutile_proto import mvccpb_pb2 as mvccpb
from rutile_proto import pdpb_pb2 as pdpb

SAFE_POINT_KEY = b"/tidb/store/gcworker/saved_safe_point"
"""Where TiDB's GC worker keeps the safe point for its readers, as decimal text."""
_ALL_ABOVE = b"\0"
"""A range_end that means no end."""


class EtcdService:
    """Mixed into the door; answers from what is applied here."""

    replication: Replication
    applied: PdStorage
    own: pdpb.Member

    def members(self) -> list[pdpb.Member]:
        """Everybody in the group."""
        raise NotImplementedError

    async def MemberList(
        self, request: etcdserverpb.MemberListRequest, context: RpcContext
    ) -> etcdserverpb.MemberListResponse:
        """PD's members: clients take their client URLs for etcd's endpoints."""
        listed = [
            etcdserverpb.Member(
                ID=member.member_id, name=member.name, peerURLs=member.peer_urls, clientURLs=member.client_urls
            )
            for member in self.members()
        ]
        return etcdserverpb.MemberListResponse(header=self._etcd_header(), members=listed)

    async def Range(self, request: etcdserverpb.RangeRequest, context: RpcContext) -> etcdserverpb.RangeResponse:
        """The keys there are in the range, in order. There is one revision: the present."""
        try:
            if not request.serializable:
                await self.replication.read_barrier()
        except NotLeading as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        found = [pair for key, pair in sorted(self._pairs().items()) if _in_range(key, request)]
        shown = found[: request.limit] if request.limit > 0 else found
        answer = etcdserverpb.RangeResponse(header=self._etcd_header(), count=len(found), more=len(shown) < len(found))
        if not request.count_only:
            answer.kvs.extend(shown)
            if request.keys_only:
                for pair in answer.kvs:
                    pair.ClearField("value")
        return answer

    def _pairs(self) -> dict[bytes, mvccpb.KeyValue]:
        safe_point = self.applied.safe_point()
        if not safe_point:
            return {}
        value = str(safe_point).encode()
        pair = mvccpb.KeyValue(key=SAFE_POINT_KEY, value=value, create_revision=1, mod_revision=1, version=1)
        return {SAFE_POINT_KEY: pair}

    def _etcd_header(self) -> etcdserverpb.ResponseHeader:
        return etcdserverpb.ResponseHeader(
            cluster_id=self.applied.cluster_id(), member_id=self.own.member_id, revision=1, raft_term=1
        )


def _in_range(key: bytes, request: etcdserverpb.RangeRequest) -> bool:
    if not request.range_end:
        return key == request.key
    return request.key <= key and (request.range_end == _ALL_ABOVE or key < request.range_end)

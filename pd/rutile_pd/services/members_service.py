"""PdMembers: who is in the group, and how it is changed."""

import grpc

from rutile_kv.env.rpc import RpcContext
from rutile_pd.consensus.members import NotLeading
from rutile_pd.consensus.replication import TICK_S, Replication
from rutile_pd.consensus.storage import PdStorage
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdraftpb_pb2 as pdraftpb


class MembersService:
    """Mixed into the door."""

    replication: Replication
    applied: PdStorage

    def members(self) -> list[pdpb.Member]:
        """Everybody in the group."""
        raise NotImplementedError

    async def Status(self, request: pdraftpb.StatusRequest, context: RpcContext) -> pdraftpb.StatusResponse:
        """This member's view; what the others have is known to the leader only."""
        status = self.replication.replica.node.status()
        answer = pdraftpb.StatusResponse(
            header=pdpb.ResponseHeader(cluster_id=self.applied.cluster_id()),
            member_id=status.id,
            leader_id=status.leader_id,
            term=status.term,
            committed_index=status.commit,
            applied_index=status.applied,
            asker_took_part=self.applied.took_part(request.member_id),
        )
        progress = {each.peer_id: each for each in status.progress}
        for member in self.members():
            known = progress.get(member.member_id)
            answer.members.add(
                member=member,
                is_learner=not status.conf_state.is_voter(member.member_id),
                matched_index=known.match if known else 0,
                silent_ms=round(known.silent_ticks * TICK_S * 1000) if known else 0,
            )
        return answer

    async def TransferLeader(
        self, request: pdraftpb.TransferLeaderRequest, context: RpcContext
    ) -> pdraftpb.TransferLeaderResponse:
        """Ask the member to take over; whether it did shows in GetMembers."""
        try:
            self.replication.transfer_leader(request.member_id)
        except NotLeading as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return pdraftpb.TransferLeaderResponse(header=pdpb.ResponseHeader(cluster_id=self.applied.cluster_id()))

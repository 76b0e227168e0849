"""How the group that keeps the placement driver's state grows and shrinks: the leader's part of PdMembers.

A member that comes is a learner first: it is sent the state, and counts for no majority before it has it. Then the
leader makes it a voter. One member changes at a time (thesis §4.1), each change an entry of the log.
"""

from rutile_kv.env.rpc import RpcContext
from rutile_kv.raft import ConfChange, ConfChangeKind, ConfChangeSingle
from rutile_kv.raft.errors import InvalidConfChange
from rutile_kv.raft.ready import ProgressStatus
from rutile_pd.cluster import Cluster
from rutile_pd.consensus.leadership import Leadership
from rutile_pd.consensus.members import MAX_MEMBERS, NotLeading, address_of, member_record, parse_founders
from rutile_pd.services.boundary import answered
from rutile_pd.services.reserves import Reserves
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdraftpb_pb2 as pdraftpb
from rutile_proto.errors import InvalidRequest


class MembershipService:
    """Mixed into the PD service."""

    cluster: Cluster
    leadership: Leadership
    reserves: Reserves

    @answered(pdraftpb.AddMemberResponse, bootstrapped=False)
    async def AddMember(self, request: pdraftpb.AddMemberRequest, context: RpcContext) -> pdraftpb.AddMemberResponse:
        """Let a member come; it is answered when the group knows of it. Asking again for one that has not yet taken
        part gives the same one."""
        (wanted,) = parse_founders(f"{request.name}={request.address}")
        known = self._known(wanted.name, wanted.address)
        if known is None:
            member_id = await self.reserves.with_ids(1, lambda: self.cluster.take_ids(1))
            known = member_record(member_id, wanted.name, wanted.address)
            await self._change(ConfChangeKind.ADD_LEARNER, member_id, known.SerializeToString())
        return pdraftpb.AddMemberResponse(member=known)

    @answered(pdraftpb.RemoveMemberResponse, bootstrapped=False)
    async def RemoveMember(
        self, request: pdraftpb.RemoveMemberRequest, context: RpcContext
    ) -> pdraftpb.RemoveMemberResponse:
        """Let a member go, unless those that stay could not decide anything. The leader hands over first, and the next
        one is to be asked."""
        progress = {each.peer_id: each for each in self.leadership.progress()}
        if request.member_id not in progress:
            raise InvalidRequest(f"there is no member {request.member_id}: list them with `rutile ctl members`")
        staying = [each for each in progress.values() if each.peer_id != request.member_id and not each.is_learner]
        alive = [each for each in staying if self.leadership.is_heard(each)]
        if len(alive) <= len(staying) // 2:
            raise InvalidRequest(
                f"of the {len(staying)} members that would stay only {len(alive)} answer, which is no majority:"
                " start the others first, or remove one that is down"
            )
        if self.leadership.leads_as(request.member_id):
            self.leadership.hand_over()
            raise NotLeading("not leader: it hands over before it goes; ask the next leader")
        await self._change(ConfChangeKind.REMOVE, request.member_id)
        return pdraftpb.RemoveMemberResponse()

    async def tend_members(self) -> None:
        """Note who has taken part, and give a learner that has caught up its vote. Raises NotLeading."""
        storage = self.leadership.storage
        for each in self.leadership.progress():
            if each.match > 0 and not storage.took_part(each.peer_id):
                storage.save_took_part(each.peer_id)
            if each.is_learner and self._has_caught_up(each):
                await self._change(ConfChangeKind.ADD_VOTER, each.peer_id)

    def _has_caught_up(self, learner: ProgressStatus) -> bool:
        return self.leadership.is_heard(learner) and learner.match >= self.leadership.committed_index()

    def _known(self, name: str, address: str) -> pdpb.Member | None:
        storage = self.leadership.storage
        members = storage.members()
        known = next((member for member in members if name == member.name or address == address_of(member)), None)
        if known is None and len(members) >= MAX_MEMBERS:
            raise InvalidRequest(f"there are {len(members)} members, and more than {MAX_MEMBERS} are of no use")
        if known is not None and (storage.took_part(known.member_id) or known.name != name):
            raise InvalidRequest(
                f"{known.name} at {address_of(known)} is a member: start it with its own directory, or if that is lost,"
                f" remove it first (`rutile ctl members remove {known.name}`)"
            )
        return known

    async def _change(self, kind: ConfChangeKind, member_id: int, record: bytes = b"") -> None:
        change = ConfChange((ConfChangeSingle(kind, member_id),), context=record)
        try:
            await self.leadership.change_members(change)
        except InvalidConfChange as error:
            raise InvalidRequest(str(error)) from error

"""What a member with a new directory asks the others: whether it may found a group with them, or join theirs."""

import asyncio
import logging
from collections.abc import Sequence

import grpc

from rutile_kv.env.rpc import channel
from rutile_pd.consensus.members import Founder
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdraftpb_pb2 as pdraftpb
from rutile_proto import pdraftpb_pb2_grpc
from rutile_proto.errors import DataDirMismatch, InvalidRequest, PdError

log = logging.getLogger(__name__)

CALL_TIMEOUT_S = 2.0
PAUSE_S = 0.2
JOIN_S = 30.0
"""How long a member looks for a leader that lets it in."""


async def confirm_new(own: pdpb.Member, founders: Sequence[Founder]) -> None:
    """Wait until enough others have said that this member never took part: so many that one of them would know.

    What a majority has committed is known to one of any n - majority + 1. Raises DataDirMismatch if it took part.
    """
    others = [founder for founder in founders if founder.name != own.name]
    enough = len(founders) - (len(founders) // 2 + 1) + 1
    said: dict[str, None] = {}
    while len(said) < enough:
        for other in [other for other in others if other.name not in said]:
            status = await _status(other.address, own.member_id)
            if status is not None and status.asker_took_part:
                raise DataDirMismatch(
                    f"{own.name} has taken part in this group before, and its directory is empty now: it may have"
                    " forgotten what it promised. Give it its directory back, or remove it"
                    f" (`rutile ctl members remove {own.name}`) and let it join anew with --join"
                )
            if status is not None:
                said[other.name] = None
        if len(said) < enough:
            log.info("waits for %s", ", ".join(other.name for other in others if other.name not in said))
            await asyncio.sleep(PAUSE_S)


async def ask_to_join(addresses: Sequence[str], name: str, own_address: str) -> pdpb.Member:
    """The record under which the group at `addresses` knows this member from now on.

    InvalidRequest if it does not want it, PdError if no leader is found there in time.
    """
    failure: grpc.RpcError | None = None
    request = pdraftpb.AddMemberRequest(name=name, address=own_address)
    try:
        async with asyncio.timeout(JOIN_S):
            while True:
                for address in addresses:
                    try:
                        return await _add_member(address, request)
                    except grpc.RpcError as error:
                        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                            raise InvalidRequest(error.details()) from error
                        failure = error
                await asyncio.sleep(PAUSE_S)
    except TimeoutError as error:
        last = failure.details() if failure is not None else "no answer"
        raise PdError(f"cannot join the placement driver at {', '.join(addresses)}: {last}") from error


async def _add_member(address: str, request: pdraftpb.AddMemberRequest) -> pdpb.Member:
    async with channel(address) as connection:
        stub = pdraftpb_pb2_grpc.PdMembersStub(connection)  # type: ignore[no-untyped-call]
        answer: pdraftpb.AddMemberResponse = await stub.AddMember(request, timeout=CALL_TIMEOUT_S)
    return answer.member


async def _status(address: str, member_id: int) -> pdraftpb.StatusResponse | None:
    async with channel(address) as connection:
        stub = pdraftpb_pb2_grpc.PdMembersStub(connection)  # type: ignore[no-untyped-call]
        try:
            answer: pdraftpb.StatusResponse = await stub.Status(
                pdraftpb.StatusRequest(member_id=member_id), timeout=CALL_TIMEOUT_S
            )
        except grpc.RpcError:
            return None
    return answer

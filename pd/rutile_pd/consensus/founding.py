"""How a directory becomes a member's: alone, with others who were told the same, or as one that joins.

Everything a group begins with is written at once, so a crash on the way leaves a directory that is still new.

Founders have the ids that their names and addresses make, so one that has lost its directory would come back as the
member it was, and vote again in terms it has forgotten: what was committed could be lost. Therefore a founder with a
new directory first asks the others whether it has ever taken part (`joining`).
"""

from collections.abc import Sequence

from rutile_kv.engine.api import CF_DEFAULT, Engine
from rutile_pd.consensus.members import Founder, founding_members
from rutile_pd.consensus.raft_log import RaftLog, member_id_in
from rutile_pd.consensus.storage import PdStorage, member_key
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.codec import decode_uint64
from rutile_proto.errors import DataDirMismatch, InvalidRequest

_UNREPLICATED_MEMBER = b"pd/member"
"""Where a placement driver kept its id before it had a log: such a directory founds a group of one with what it has."""


def open_member(engine: Engine, name: str, founders: Sequence[Founder], new_id: int) -> pdpb.Member:
    """The member whose engine this is. A new one founds a group: of `founders`, or by itself with `new_id`.

    DataDirMismatch if the engine holds something else; InvalidRequest if `name` is not among the founders.
    """
    member_id = member_id_in(engine)
    if not member_id:
        member_id = _found(engine, name, founders, new_id)
    members = {member.member_id: member for member in PdStorage(engine).members()}
    return members.get(member_id) or pdpb.Member(name=name, member_id=member_id)


def _found(engine: Engine, name: str, founders: Sequence[Founder], new_id: int) -> int:
    has_data = next(engine.scan(CF_DEFAULT, b"", None), None) is not None
    unreplicated = engine.get(CF_DEFAULT, _UNREPLICATED_MEMBER)
    if has_data and unreplicated is None:
        raise DataDirMismatch("the directory holds data, but not a placement driver's")
    if founders:
        members = founding_members(founders)
        own = next((member for member in members if member.name == name), None)
        if own is None:
            raise InvalidRequest(f"{name} is not among {', '.join(member.name for member in members)}")
    else:
        own = pdpb.Member(name=name, member_id=decode_uint64(unreplicated)[0] if unreplicated else new_id)
        members = [own]
    batch = engine.batch()
    RaftLog(engine).found(batch, own.member_id, [member.member_id for member in members])
    for member in members:
        batch.put(CF_DEFAULT, member_key(member.member_id), member.SerializeToString())
    batch.delete(CF_DEFAULT, _UNREPLICATED_MEMBER)
    engine.write(batch)
    engine.sync()
    return own.member_id


def join_as(engine: Engine, member_id: int) -> None:
    """The engine is that of a new member, which has still to be sent everything."""
    batch = engine.batch()
    RaftLog(engine).join(batch, member_id)
    engine.write(batch)
    engine.sync()

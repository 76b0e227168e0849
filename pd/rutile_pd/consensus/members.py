"""Who keeps the placement driver's state: names, addresses, ids.

A group is founded by members that were all told the same: `pd1=10.0.0.1:2379,pd2=10.0.0.2:2379,pd3=10.0.0.3:2379`. From
that text each works out the same ids, so they begin alike without having talked. Later changes of the group go through
its own log, and bring the record of who comes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest, RutileError

MAX_MEMBERS = 7
"""More cost every decision a round trip to more machines, and tolerate no failure that seven do not."""
_ID_MASK = (1 << 63) - 1


class NotLeading(RutileError):
    """This member does not lead, or cannot be sure that it still does. What was asked for may have been done all the
    same, if it was under way when the leadership ended."""


@dataclass(frozen=True, slots=True)
class Founder:
    """One of those that begin together."""

    name: str
    address: str
    """host:port."""


def parse_founders(text: str) -> tuple[Founder, ...]:
    """`name=host:port,...`. InvalidRequest for a text that is not such a list, or has a name or address twice."""
    founders = []
    for part in text.split(","):
        name, equals, address = part.strip().partition("=")
        host, colon, port = address.removeprefix("http://").rpartition(":")
        if not (name and equals and host and colon and port.isdigit()):
            raise InvalidRequest(f"{part.strip()!r} is not a member: want name=host:port,name=host:port,...")
        founders.append(Founder(name, f"{host}:{port}"))
    names, addresses = {each.name for each in founders}, {each.address for each in founders}
    if len(names) < len(founders) or len(addresses) < len(founders):
        raise InvalidRequest(f"{text!r} has a name or an address twice")
    if len(founders) > MAX_MEMBERS:
        raise InvalidRequest(f"{len(founders)} members are more than {MAX_MEMBERS}")
    return tuple(founders)


def founding_members(founders: Sequence[Founder]) -> list[pdpb.Member]:
    """The records the group begins with: the same whoever works them out."""
    everybody = ",".join(sorted(f"{each.name}={each.address}" for each in founders))
    return [member_record(_id_of(each.name, everybody), each.name, each.address) for each in founders]


def member_record(member_id: int, name: str, address: str) -> pdpb.Member:
    """A member as GetMembers tells of it; peers and clients use one address."""
    url = "http://" + address
    return pdpb.Member(name=name, member_id=member_id, peer_urls=[url], client_urls=[url])


def address_of(member: pdpb.Member) -> str:
    """host:port; empty for a member inside a process."""
    return member.client_urls[0].removeprefix("http://") if member.client_urls else ""


def _id_of(name: str, everybody: str) -> int:
    digest = hashlib.sha256(f"{name}\n{everybody}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") & _ID_MASK) or 1

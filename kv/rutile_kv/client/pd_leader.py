"""Finding the placement driver's leader and staying with it.

Any member answers GetMembers; everything else is answered by the leader alone. So: ask all known members who leads,
learn the others' addresses on the way, keep a connection to the leader, and start over when a call to it fails.

Members may be wrong about who leads, for a moment or for as long as they are cut off. Only who says so of itself is
believed; whoever is named by another is asked. A member that does not answer holds nobody up: all are asked at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from rutile_kv.client.calls import Stub, answer_of
from rutile_kv.client.parallel import cancel_all
from rutile_kv.env import rpc
from rutile_kv.env.prompt import PromptTimestamps
from rutile_kv.env.rpc import LocalStub
from rutile_proto import pdadminpb_pb2_grpc, pdpb_pb2_grpc
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import PdError

GET_MEMBERS_TIMEOUT_S = 1.0


class PdUnreachable(PdError):
    """No member answered, or none knows a leader. Calls wait and ask again until their budget is spent."""


class PdRefused(PdError):
    """The leader answered with an error in the response header."""

    def __init__(self, type_: int, message: str) -> None:
        super().__init__(message or pdpb.ErrorType.Name(type_))
        self.type = type_
        """pdpb.ErrorType, e.g. NOT_BOOTSTRAPPED or ALREADY_BOOTSTRAPPED."""


@dataclass(frozen=True, slots=True)
class PdConnection:
    """A member we can talk to."""

    stub: Stub
    close: Callable[[], Awaitable[None]]


class PdDialer(Protocol):
    """Makes the connection to a member's address; nothing is sent yet."""

    def __call__(self, address: str) -> PdConnection: ...


def dial_grpc(address: str) -> PdConnection:
    """A gRPC connection; `address` is host:port, with or without http://."""
    channel = rpc.channel(bare_address(address))
    services = (pdpb_pb2_grpc.PDStub, pdadminpb_pb2_grpc.PdAdminStub)
    stub = rpc.JointStub(*(service(channel) for service in services))
    return PdConnection(stub, lambda: channel.close())


def bare_address(address: str) -> str:
    """host:port without scheme and slash."""
    return address.removeprefix("http://").removeprefix("https://").rstrip("/")


class PdLeader:
    """The connection to whoever leads now."""

    def __init__(self, addresses: Sequence[str], dial: PdDialer) -> None:
        if not addresses:
            raise PdError("no placement driver address was given")
        self.cluster_id = 0
        """0 until the first answer."""
        self._addresses = [bare_address(address) for address in addresses]
        self._dial = dial
        self._connections: dict[str, PdConnection] = {}
        self._leader: PdConnection | None = None
        self._left = asyncio.Event()
        """Set when the present leader is forgotten."""
        self._looking = asyncio.Lock()

    async def stub(self) -> Stub:
        """A stub of the leader, looking for it if it is not known. `PdUnreachable` when nobody knows one."""
        if self._leader is None:
            async with self._looking:
                if self._leader is None:
                    self._leader, self._left = await self._find(), asyncio.Event()
        return self._leader.stub

    def prompt(self) -> PromptTimestamps | None:
        """The leader as known, if it is in this process and answers promptly."""
        stub = None if self._leader is None else self._leader.stub
        return stub.prompt_timestamps if isinstance(stub, LocalStub) else None

    def forget(self, stub: Stub) -> None:
        """`stub` failed: look for the leader again before the next call."""
        if self._leader is not None and self._leader.stub is stub:
            self._leader = None
            self._left.set()

    async def left(self, stub: Stub) -> None:
        """Returns when the leader is no longer taken to be behind `stub`."""
        if self._leader is not None and self._leader.stub is stub:
            await self._left.wait()

    async def close(self) -> None:
        """Close every connection."""
        connections, self._connections = self._connections, {}
        self._leader = None
        for connection in connections.values():
            await connection.close()

    async def _find(self) -> PdConnection:
        """Ask everybody known, and whoever becomes known by that, until one says that it leads itself."""
        failures: list[str] = []
        asking: dict[asyncio.Task[pdpb.GetMembersResponse], str] = {}
        asked: dict[str, None] = {}
        try:
            while True:
                for address in [address for address in self._addresses if address not in asked]:
                    asked[address] = None
                    asking[asyncio.create_task(self._members(address), name=f"members from {address}")] = address
                if not asking:
                    raise PdUnreachable("no placement driver leader found; " + "; ".join(failures))
                done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    address = asking.pop(task)
                    if self._says_it_leads(task, address, failures):
                        return self._connection(address)
        finally:
            await cancel_all(list(asking))
            _look_at_failures(asking)

    def _says_it_leads(self, task: asyncio.Task[pdpb.GetMembersResponse], address: str, failures: list[str]) -> bool:
        """Whether the member at `address` names itself; what else it says is learnt. PdError for a stranger's."""
        try:
            answer = task.result()
        except (grpc.RpcError, PdUnreachable) as error:
            failures.append(f"{address}: {error}")
            return False
        self._learn(answer)
        leader = _first_url(answer.leader) or address
        if leader != address:
            failures.append(f"{address}: {leader} leads")
            self._note(leader)
        return leader == address

    async def _members(self, address: str) -> pdpb.GetMembersResponse:
        stub = self._connection(address).stub
        request = pdpb.GetMembersRequest()
        answer: pdpb.GetMembersResponse = await answer_of(stub.GetMembers(request, timeout=GET_MEMBERS_TIMEOUT_S))
        if answer.header.HasField("error"):
            raise PdUnreachable(answer.header.error.message)
        if not answer.HasField("leader"):
            raise PdUnreachable("this member knows no leader")
        return answer

    def _learn(self, answer: pdpb.GetMembersResponse) -> None:
        told = answer.header.cluster_id
        if self.cluster_id and told != self.cluster_id:
            raise PdError(f"a member of cluster {told} answered, but this client belongs to cluster {self.cluster_id}")
        self.cluster_id = told
        for member in answer.members:
            self._note(_first_url(member))

    def _note(self, address: str) -> None:
        if address and address not in self._addresses:
            self._addresses.append(address)

    def _connection(self, address: str) -> PdConnection:
        if address not in self._connections:
            self._connections[address] = self._dial(address)
        return self._connections[address]


def _look_at_failures(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Whoever fails after another one has answered is of no interest."""
    for task in tasks:
        if not task.cancelled():
            task.exception()


def _first_url(member: pdpb.Member) -> str:
    return bare_address(member.client_urls[0]) if member.client_urls else ""

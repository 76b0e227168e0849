"""What every command has: the leader of the placement driver, the stores, and a place to write to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TextIO, TypeAlias

from rutile.display import write_table
from rutile_kv.client.pd import PdClient
from rutile_kv.client.pd_leader import PdConnection, PdLeader, bare_address
from rutile_kv.env import rpc
from rutile_proto import pdadminpb_pb2_grpc, pdpb_pb2_grpc, pdraftpb_pb2_grpc, rutilepb_pb2_grpc, tikvpb_pb2_grpc

BUDGET_S = 10.0
"""How long a command looks for a leader that answers."""

Value: TypeAlias = Any
"""What JSON can say."""
Record: TypeAlias = dict[str, Value]
Column: TypeAlias = tuple[str, Callable[[Record], object]]
"""A heading, and what stands under it."""


class Caller(Protocol):
    """Calls RPCs of the placement driver's leader; PdClient does."""

    async def call(self, method: str, request: Any) -> Any: ...


@dataclass
class Console:
    """`as_json` decides how everything is shown."""

    pd: Caller
    out: TextIO
    as_json: bool = False

    async def call(self, method: str, request: Any) -> Any:
        """The leader's answer. PdRefused, InvalidRequest, RetriesExhausted."""
        return await self.pd.call(method, request)

    def show(self, records: Sequence[Record], columns: Sequence[Column], empty: str = "nothing to show") -> None:
        """Records as a table, or as a JSON list with all they hold."""
        if self.as_json:
            self.out.write(json.dumps(list(records), indent=2) + "\n")
        elif not records:
            self.out.write(empty + "\n")
        else:
            rows = [tuple(_text(value(record)) for _, value in columns) for record in records]
            write_table([heading for heading, _ in columns], rows, self.out)

    def tell(self, record: Record) -> None:
        """One record: a line for each of its fields, or a JSON object."""
        if self.as_json:
            self.out.write(json.dumps(record, indent=2) + "\n")
            return
        width = max(map(len, record), default=0)
        for name, value in record.items():
            self.out.write(f"{name.ljust(width)}  {_text(value)}\n")

    def done(self, text: str) -> None:
        """Something was changed."""
        self.out.write((json.dumps({"done": text}) if self.as_json else text) + "\n")


def field(name: str) -> Callable[[Record], object]:
    """The record's field of that name, for a column."""
    return lambda record: record[name]


def _text(value: object) -> object:
    """As it stands in a table: lists with commas, nothing for what is not there."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return value


def dial_pd(address: str) -> PdConnection:
    """A member of the placement driver with everything it serves."""
    channel = rpc.channel(bare_address(address))
    services = (pdpb_pb2_grpc.PDStub, pdadminpb_pb2_grpc.PdAdminStub, pdraftpb_pb2_grpc.PdMembersStub)
    return PdConnection(rpc.JointStub(*(service(channel) for service in services)), lambda: channel.close())


def dial_store(address: str) -> PdConnection:
    """The same for a store."""
    channel = rpc.channel(bare_address(address))
    services = (tikvpb_pb2_grpc.TikvStub, rutilepb_pb2_grpc.RutileKvStub)
    return PdConnection(rpc.JointStub(*(service(channel) for service in services)), lambda: channel.close())


def connect(addresses: Sequence[str]) -> PdClient:
    """A client of whoever leads; nothing is sent yet."""
    return PdClient(PdLeader(addresses, dial_pd), budget_s=BUDGET_S)

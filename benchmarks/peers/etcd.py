"""A three-node etcd on loopback and a small asyncio client of it, to measure ourselves against. For benchmarks only.

The client is of the same kind as ours: Python, `grpc.aio`, one channel to the leader, unary calls. The few messages it
needs are declared here, in a descriptor pool of their own (field numbers from etcd's rpc.proto).
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HOW_TO_INSTALL = (
    "skipped: this benchmark measures Rutile against etcd, and there is no `etcd` on the PATH."
    " On Debian or Ubuntu: apt-get install -y etcd-server etcd-client"
)

NODES = 3
START_TIMEOUT_S = 30.0

_FIELDS = {
    "Header": [("revision", 3, "int64")],
    "KeyValue": [("key", 1, "bytes"), ("value", 5, "bytes")],
    "PutRequest": [("key", 1, "bytes"), ("value", 2, "bytes")],
    "PutResponse": [("header", 1, "Header")],
    "RangeRequest": [("key", 1, "bytes")],
    "RangeResponse": [("header", 1, "Header"), ("kvs", 2, "*KeyValue")],
    "RequestOp": [("request_put", 2, "PutRequest")],
    "TxnRequest": [("success", 2, "*RequestOp")],
    "TxnResponse": [("header", 1, "Header"), ("succeeded", 2, "bool")],
    "StatusRequest": [],
    "StatusResponse": [("leader", 4, "uint64"), ("header", 1, "StatusHeader")],
    "StatusHeader": [("member_id", 2, "uint64")],
}
"""Message -> (field, number, type); a type of ours with * is repeated."""


def _messages() -> SimpleNamespace:
    file = descriptor_pb2.FileDescriptorProto(name="etcd_benchmark.proto", package="etcdserverpb", syntax="proto3")
    field_type = descriptor_pb2.FieldDescriptorProto
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            repeated, kind = kind.startswith("*"), kind.removeprefix("*")
            added = message.field.add(name=field, number=number)
            added.label = field_type.LABEL_REPEATED if repeated else field_type.LABEL_OPTIONAL
            if kind in _FIELDS:
                added.type, added.type_name = field_type.TYPE_MESSAGE, f".etcdserverpb.{kind}"
            else:
                added.type = field_type.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"etcdserverpb.{name}") for name in _FIELDS}
    return SimpleNamespace(**{name: message_factory.GetMessageClass(each) for name, each in found.items()})


pb = _messages()


class EtcdCluster:
    """Three etcd processes under `folder`, default settings; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clients = [f"127.0.0.1:{port}" for port in _free_ports(NODES)]
        self._peers = [f"http://127.0.0.1:{port}" for port in _free_ports(NODES)]
        self.processes: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def require() -> str:
        """etcd's version. Where it is not installed, says so and ends the program, which is no failure of Rutile's."""
        if shutil.which("etcd") is None:
            print(HOW_TO_INSTALL)
            sys.exit(0)
        answer = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=True).stdout
        return answer.splitlines()[0]

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        for number in range(NODES):
            self._start(number)
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, number: int) -> None:
        client, peer = f"http://{self._clients[number]}", self._peers[number]
        members = ",".join(f"node{at}={url}" for at, url in enumerate(self._peers))
        command = ["etcd", "--name", f"node{number}", "--data-dir", str(self._folder / f"node{number}")]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--initial-cluster", members, "--initial-cluster-state", "new", "--log-level", "error"]
        with (self._folder / f"node{number}.log").open("wb") as log:
            # In a session of its own, as the playground's stores are: Linux shares the CPU out by session.
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))

    async def leader(self) -> str:
        """The client address of the leader, once there is one."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            for address in self._clients:
                if await _leads(address):
                    return address
            await asyncio.sleep(0.1)
        raise SystemExit(f"etcd elected no leader within {START_TIMEOUT_S:g} s; its logs are in {self._folder}")


class EtcdClient:
    """Puts, gets and batches of puts through one channel."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self._put = _method(self._channel, "KV/Put", pb.PutRequest, pb.PutResponse)
        self._range = _method(self._channel, "KV/Range", pb.RangeRequest, pb.RangeResponse)
        self._txn = _method(self._channel, "KV/Txn", pb.TxnRequest, pb.TxnResponse)

    async def put(self, key: bytes, value: bytes) -> None:
        """One durable put."""
        await self._put(pb.PutRequest(key=key, value=value))

    async def get(self, key: bytes) -> bytes | None:
        """A linearizable get."""
        found = (await self._range(pb.RangeRequest(key=key))).kvs
        return found[0].value if found else None

    async def batch_put(self, pairs: dict[bytes, bytes]) -> None:
        """All pairs in one transaction without conditions, etcd's way of a batch."""
        request = pb.TxnRequest()
        for key, value in pairs.items():
            put = request.success.add().request_put
            put.key, put.value = key, value
        await self._txn(request)

    async def close(self) -> None:
        await self._channel.close()


def _method(channel: grpc.aio.Channel, name: str, request: Any, response: Any) -> Any:
    return channel.unary_unary(f"/etcdserverpb.{name}", request.SerializeToString, response.FromString)


async def _leads(address: str) -> bool:
    channel = grpc.aio.insecure_channel(address)
    try:
        status = await _method(channel, "Maintenance/Status", pb.StatusRequest, pb.StatusResponse)(
            pb.StatusRequest(), timeout=2.0
        )
        return bool(status.leader) and status.leader == status.header.member_id
    except grpc.RpcError:
        return False
    finally:
        await channel.close()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()

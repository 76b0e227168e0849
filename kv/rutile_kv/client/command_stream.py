"""Small requests to one store travel together, those of one moment in one message.

An RPC of its own costs either end two to three times what a message on an open stream does, and as much as ten small
requests within one message. So all small requests take a way they share (`command_way`): what gathers while the loop is
busy leaves in one message, and so do the answers. A lone caller's request waits for nobody: it is a message by itself.

A Rutile store tells PD its peer port, where frames cost a tenth of what gRPC does: that way is taken where it is known.
Other stores are asked on a BatchCommands stream. What listens at the peer port and does not greet as a store of ours is
asked by gRPC from then on, and a server that has no BatchCommands by RPCs of their own.

`CommandStub` looks like the generated stub and stands in for it. A command that the store ended with a status comes
back inside its answer's type (rutile_proto.wire_status); the way turns it into the grpc.RpcError it would have been.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from rutile_kv.client.calls import Stub, answer_of
from rutile_kv.client.command_way import CommandWay, FramesNotSpoken, FrameWay, StreamWay
from rutile_kv.client.reply import CommandFailed, Reply

log = logging.getLogger(__name__)

COMMANDS = {
    "KvGet": "Get",
    "KvPrewrite": "Prewrite",
    "KvCommit": "Commit",
    "KvCleanup": "Cleanup",
    "KvBatchRollback": "BatchRollback",
    "KvResolveLock": "ResolveLock",
    "KvPessimisticLock": "PessimisticLock",
    "KVPessimisticRollback": "PessimisticRollback",
    "KvCheckTxnStatus": "CheckTxnStatus",
    "KvTxnHeartBeat": "TxnHeartBeat",
    "KvCheckSecondaryLocks": "CheckSecondaryLocks",
    "RawGet": "RawGet",
    "RawPut": "RawPut",
    "RawDelete": "RawDelete",
    "RawBatchPut": "RawBatchPut",
    "RawBatchDelete": "RawBatchDelete",
}
"""Methods whose answers are small, and their names in the stream's oneof. Large answers would hold up small ones."""
MAX_COMMAND_BYTES = 32 << 10
"""Larger requests go alone."""


class CommandStub:
    """A `TikvStub` whose small requests share a way."""

    def __init__(self, stub: Stub, hello: bytes = b"", peer_address: str = "") -> None:
        """`hello` greets the store at its peer port, `peer_address` says where that is; empty: by gRPC."""
        self._stub = stub
        self._hello = hello
        self._peer_address = peer_address
        self._way: CommandWay | None = None
        self._is_served = True

    def __getattr__(self, name: str) -> Any:
        method: Any = getattr(self._stub, name)
        if name in COMMANDS:
            method = self._command(COMMANDS[name], method)
        setattr(self, name, method)
        return method

    def move_peer(self, peer_address: str) -> None:
        """Where the store takes frames now: the next way goes there."""
        self._peer_address = peer_address

    def send(self, name: str, request: Any) -> Reply | None:
        """Have a method's request leave on the way, without waiting; None if it does not go there."""
        command = COMMANDS.get(name)
        if command is None or not self._is_served or request.ByteSize() > MAX_COMMAND_BYTES:
            return None
        return self._open_way().send(command, request)

    async def close(self) -> None:
        """End the way; what is on it fails."""
        way, self._way = self._way, None
        if way is not None:
            await way.close()

    def _command(self, command: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(request: Any, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109 gRPC's
            while self._is_served and request.ByteSize() <= MAX_COMMAND_BYTES:
                try:
                    return await self._open_way().send(command, request).wait(timeout)
                except FramesNotSpoken as error:
                    log.warning("asking by gRPC from now on: %s", error.details())
                    self._peer_address = ""
                except grpc.RpcError as error:
                    if not is_unserved(error):
                        raise
                    self._is_served = False
            return await answer_of(method(request, timeout=timeout))

        return call

    def _open_way(self) -> CommandWay:
        if self._way is None or self._way.is_over:
            if self._peer_address:
                self._way = FrameWay(self._peer_address, self._hello)
            else:
                self._way = StreamWay(self._stub)
        return self._way


def is_unserved(error: grpc.RpcError) -> bool:
    """Whether a request met no store that serves this way: it was not executed, and can go another."""
    if isinstance(error, CommandFailed):
        return isinstance(error, FramesNotSpoken)
    return error.code() is grpc.StatusCode.UNIMPLEMENTED

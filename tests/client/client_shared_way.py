"""The ways on which small requests travel together, within this process."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from rutile_kv.client.calls import CallDropped
from rutile_kv.client.command_stream import COMMANDS, CommandStub
from rutile_kv.client.command_way import CommandWay
from rutile_kv.client.reply import CommandFailed
from rutile_proto import tikvpb_pb2 as tikvpb

_METHODS = {command: method for method, command in COMMANDS.items()}


class InnerWay(CommandWay):
    """Hands each request of a message to a stub of this process, in a task of its own."""

    def __init__(self, stub: Any) -> None:
        super().__init__()
        self._stub = stub
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_gathering = False
        self.messages: list[int] = []

    async def close(self) -> None:
        self._break(CallDropped())

    def _wake(self) -> None:
        if not self._is_gathering:
            self._is_gathering = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_gathering = False
        while self._leaving:
            message = self._pack()
            self.messages.append(len(message.requests))
            for request_id, request in zip(message.request_ids, message.requests, strict=True):
                command = request.WhichOneof("cmd")
                task = asyncio.ensure_future(self._serve(request_id, command, getattr(request, command)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _serve(self, request_id: int, command: str, request: Any) -> None:
        try:
            answer = await getattr(self._stub, _METHODS[command])(request)
        except grpc.RpcError as error:
            if (reply := self._open.pop(request_id, None)) is not None:
                reply.fail(CommandFailed(error.code(), error.details()))
            return
        response = tikvpb.BatchCommandsResponse.Response(**{command: answer})
        self._deliver(tikvpb.BatchCommandsResponse(request_ids=[request_id], responses=[response]))


class InnerStub(CommandStub):
    """The stub with such a way."""

    def _open_way(self) -> CommandWay:
        if self._way is None:
            self._way = InnerWay(self._stub)
        return self._way

"""Tikv.BatchCommands: many requests on one stream, each answered once, in whatever order the answers come about.

    message of requests ──► point gets of one region together,
                       │    a lone one there and then ──────────┐
                       └──► one task for each other command ────┴──► outbox ──► message of answers

What is in the outbox when the stream is free leaves in one message: the busier the store, the bigger the messages.
A stream takes at most MAX_OPEN commands whose answers have not left yet, then it reads no further, and the client feels
it through the transport's own flow control.

A command that fails takes only its own answer with it (`command_answers.failed`). A message that makes no sense ends
its stream, and only it, with INVALID_ARGUMENT: nobody could tell which of its ids to answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from rutile_kv.client.parallel import cancel_all
from rutile_kv.env.rpc import RpcContext
from rutile_kv.server.boundary import abort_with
from rutile_kv.server.command_answers import METHODS, CommandFailed, answer, failed, unanswerable
from rutile_kv.server.point_gets import POINT_GETS, Numbered, PointGets, by_place
from rutile_kv.server.prompt_reads import PromptReads
from rutile_proto import tikvpb_pb2 as tikvpb
from rutile_proto.errors import InvalidRequest

log = logging.getLogger(__name__)

MAX_OPEN = 4096
"""Commands of one stream that were taken and whose answers have not left: 32 of client-go's fullest messages."""
MAX_ECHO_DELAY_MS = 60_000
"""The longest delay an Empty command may ask for."""

Response = tikvpb.BatchCommandsResponse.Response


class BatchCommandsService(PointGets, PromptReads):
    """Mixed into the Tikv service, whose other methods serve the commands."""

    async def BatchCommands(
        self, request_iterator: AsyncIterator[tikvpb.BatchCommandsRequest], context: RpcContext
    ) -> AsyncIterator[tikvpb.BatchCommandsResponse]:
        talk = _GrpcTalk(self, context)
        reading = asyncio.ensure_future(talk.read(request_iterator))
        try:
            async for message in talk.answers():
                yield message
            await reading
        except InvalidRequest as error:
            await abort_with(context, "BatchCommands", error)
        finally:
            await cancel_all([reading, *talk.stream.tasks])


class CommandContext:
    """What a command of a stream sees as the context of its call: an abort ends the command, not the stream."""

    def __init__(self, stream: RpcContext) -> None:
        self._stream = stream

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        raise CommandFailed(code, details)

    def cancelled(self) -> bool:
        return self._stream.cancelled()

    def time_remaining(self) -> float | None:
        return self._stream.time_remaining()

    def peer(self) -> str:
        return self._stream.peer()


class _GrpcTalk:
    """A stream as gRPC has it: what is read, and what is answered."""

    def __init__(self, service: BatchCommandsService, context: RpcContext) -> None:
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = self._broken = False
        self.stream = CommandStream(service, CommandContext(context), self._news.set)

    async def read(self, messages: AsyncIterator[tikvpb.BatchCommandsRequest]) -> None:
        """Take every message's commands. Raises InvalidRequest for one that makes no sense, and ends the stream."""
        try:
            async for message in messages:
                self.stream.take(message)
                while self.stream.open_count >= MAX_OPEN:
                    self._room.clear()
                    await self._room.wait()
        except DecodeError as error:
            self._broken = True
            raise InvalidRequest(f"a message on the stream cannot be read: {error}") from error
        except InvalidRequest:
            self._broken = True
            raise
        finally:
            self._ended = True
            self._news.set()

    async def answers(self) -> AsyncIterator[tikvpb.BatchCommandsResponse]:
        """What is ready, again and again, until the client has ended the stream and has all its answers."""
        while not self._broken and not (self._ended and not self.stream.open_count):
            await self._news.wait()
            self._news.clear()
            if self.stream.has_answers:
                message = self.stream.pack()
                self._room.set()
                yield message


class CommandStream:
    """The commands under way of one client, and the answers that wait to leave. `on_answer` hears of each of them."""

    def __init__(self, service: BatchCommandsService, context: CommandContext, on_answer: Callable[[], None]) -> None:
        self.tasks: dict[asyncio.Task[None], None] = {}
        self.open_count = 0
        """Commands that were taken and whose answers have not left."""
        self._service = service
        self._context = context
        self._on_answer = on_answer
        self._outbox: list[tuple[int, Response]] = []

    @property
    def has_answers(self) -> bool:
        """Whether there is something to `pack`."""
        return bool(self._outbox)

    def pack(self) -> tikvpb.BatchCommandsResponse:
        """All answers that are ready, as one message, which has to be sent."""
        ready, self._outbox = self._outbox, []
        self.open_count -= len(ready)
        return tikvpb.BatchCommandsResponse(
            responses=[response for _, response in ready], request_ids=[request_id for request_id, _ in ready]
        )

    def take(self, message: tikvpb.BatchCommandsRequest) -> None:
        """Begin what it asks for. Raises InvalidRequest if that makes no sense."""
        requests, ids = message.requests, message.request_ids
        if len(requests) != len(ids):
            raise InvalidRequest(f"a message has {len(requests)} requests and {len(ids)} ids: they belong in pairs")
        self.open_count += len(requests)
        gets: dict[str, list[Numbered]] = {kind: [] for kind in POINT_GETS}
        for request_id, request in zip(ids, requests, strict=True):
            name = request.WhichOneof("cmd")
            body = None if name is None else getattr(request, name)
            if name in gets:
                gets[name].append((request_id, body))
            else:
                self._start(self._serve(name, request_id, body))
        for kind, numbered in gets.items():
            for group in by_place(numbered):
                if len(group) > 1:
                    self._start(self._serve_gets(kind, group))
                elif not self._served_now(kind, *group[0]):
                    self._start(self._serve(kind, *group[0]))

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks[task] = None
        task.add_done_callback(self.tasks.pop)

    def _put(self, request_id: int, response: Response) -> None:
        self._outbox.append((request_id, response))
        self._on_answer()

    # --- commands -----------------------------------------------------------------------------------------------------

    async def _serve(self, name: str | None, request_id: int, body: Any) -> None:
        match name:
            case None:
                response = unanswerable()
            case "Empty":
                response = await _echo(body)
            case _:
                response = await self._call(name, body)
        self._put(request_id, response)

    def _served_now(self, name: str, request_id: int, get: Any) -> bool:
        """Whether a lone get was answered in this very turn, without a task; else it is to be served as ever."""
        try:
            response = self._service.get_promptly(get) if name == "Get" else None
        except Exception as error:
            log.debug("the ordinary way meets it again, and answers: %r", error)
            return False
        if response is not None:
            self._put(request_id, answer(name, response))
        return response is not None

    async def _serve_gets(self, name: str, group: Sequence[Numbered]) -> None:
        """Gets of one place: together, as far as that goes."""
        found = await self._service.get_together([get for _, get in group])
        for (request_id, get), response in zip(group, found, strict=True):
            if response is None:
                self._start(self._serve(name, request_id, get))
            else:
                self._put(request_id, answer(name, response))

    async def _call(self, name: str, request: Any) -> Response:
        method: Callable[[Any, CommandContext], Any] = getattr(self._service, METHODS[name])
        try:
            return answer(name, await method(request, self._context))
        except CommandFailed as error:
            return failed(name, error)
        except Exception as error:
            log.exception("command %s failed", name)
            return failed(name, CommandFailed(grpc.StatusCode.INTERNAL, f"{name}: {type(error).__name__}"))


async def _echo(request: tikvpb.BatchCommandsEmptyRequest) -> Response:
    """Its test_id, after the delay it asks for."""
    await asyncio.sleep(min(request.delay_time, MAX_ECHO_DELAY_MS) / 1000)
    return Response(Empty=tikvpb.BatchCommandsEmptyResponse(test_id=request.test_id))

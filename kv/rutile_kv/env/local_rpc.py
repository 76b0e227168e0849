"""A stub that calls a servicer of the same process: what a gRPC stub does, without a wire.

The client awaits the servicer's own coroutine or drives its generator, so a call costs microseconds. It fails as over
gRPC: abort, deadline, a method that is not there, and an exception that escapes the servicer (UNKNOWN) all reach the
client as a grpc.RpcError.

What differs: nothing is copied, so request and response are the same objects on both sides and whoever receives one
treats it as immutable; and the servicer of a stream runs only while the client waits for the next answer.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, NoReturn, Self, TypeAlias

import grpc

from rutile_kv.env.status_error import StatusError

Call: TypeAlias = Callable[..., Any]
"""A stub's method: `(request or request iterator, *, timeout=None, metadata=None)`."""


class LocalRpcError(StatusError):
    """A call through a LocalStub that failed."""


class LocalContext:
    """One call's context on the servicer's side."""

    __slots__ = ("_aborted", "_deadline", "_ended")

    def __init__(self, timeout_s: float | None = None) -> None:
        self._deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        self._aborted: LocalRpcError | None = None
        self._ended = False

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call: raises LocalRpcError, which reaches the client even if the servicer swallows it."""
        self._aborted = LocalRpcError(code, details)
        raise self._aborted

    def cancelled(self) -> bool:
        """Whether the client has stopped waiting."""
        return self._ended

    def time_remaining(self) -> float | None:
        """Seconds until the client's deadline; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - asyncio.get_running_loop().time())

    def peer(self) -> str:
        """Who calls, for logs: there is only this process."""
        return "local"

    def invocation_metadata(self) -> tuple[()]:
        """Nothing travels beside a local request."""
        return ()

    def end(self) -> None:
        """The client needs no more of this call."""
        self._ended = True

    async def run(self, step: Awaitable[Any]) -> Any:
        """What a step of the servicer returns; what it raises looks as it would behind a wire."""
        try:
            async with asyncio.timeout_at(self._deadline):
                result = await step
        except StopAsyncIteration:
            if self._aborted is not None:
                raise self._aborted from None
            raise
        except Exception as error:
            raise self._as_status(error) from error
        if self._aborted is not None:
            raise self._aborted
        return result

    def _as_status(self, error: Exception) -> LocalRpcError:
        if self._aborted is not None:
            return self._aborted
        if isinstance(error, TimeoutError) and self.time_remaining() == 0.0:
            return LocalRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        return LocalRpcError(grpc.StatusCode.UNKNOWN, f"Unexpected {type(error)}: {error}")


class LocalStream:
    """The client's side of a stream of answers."""

    def __init__(self, answers: AsyncIterator[Any], context: LocalContext) -> None:
        self._answers = answers
        self._context = context
        self._failure: LocalRpcError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._failure is not None:
            raise self._failure
        if self._context.cancelled():
            raise StopAsyncIteration
        try:
            return await self._context.run(anext(self._answers))
        except BaseException as error:
            self._context.end()
            self._failure = error if isinstance(error, LocalRpcError) else None
            raise

    async def aclose(self) -> None:
        """Let go of the stream: the servicer's generator is closed."""
        self._context.end()
        close = getattr(self._answers, "aclose", None)
        if close is not None:
            await close()


class _MissingCall:
    """A call of a method the servicer does not have: fails when awaited or iterated."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __await__(self) -> Generator[Any, None, NoReturn]:
        raise LocalRpcError(grpc.StatusCode.UNIMPLEMENTED, self._text)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> NoReturn:
        raise LocalRpcError(grpc.StatusCode.UNIMPLEMENTED, self._text)


class LocalStub:
    """Calls a servicer of this process; one stub serves all services the servicer has methods for."""

    def __init__(self, servicer: object) -> None:
        self._servicer = servicer

    @property
    def prompt(self) -> Any:
        """The servicer itself, if it has answers that take no await (`rutile_kv.env.prompt`); else None."""
        return self._servicer if hasattr(self._servicer, "get_now") else None

    @property
    def prompt_timestamps(self) -> Any:
        """The same for timestamps."""
        return self._servicer if hasattr(self._servicer, "timestamps_now") else None

    def __getattr__(self, name: str) -> Call:
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self._servicer, name, None)
        if inspect.iscoroutinefunction(method):
            call = _unary(method)
        elif inspect.isasyncgenfunction(method):
            call = _streaming(method)
        else:
            call = _missing(f"{type(self._servicer).__name__} does not serve {name}")
        setattr(self, name, call)
        return call


def _unary(method: Callable[[Any, LocalContext], Awaitable[Any]]) -> Call:
    async def call(request: Any, *, timeout: float | None = None, metadata: Any = None) -> Any:  # noqa: ASYNC109 gRPC's
        context = LocalContext(timeout)
        try:
            return await context.run(method(request, context))
        finally:
            context.end()

    return call


def _streaming(method: Callable[[Any, LocalContext], AsyncIterator[Any]]) -> Call:
    def call(request: Any, *, timeout: float | None = None, metadata: Any = None) -> LocalStream:
        context = LocalContext(timeout)
        return LocalStream(method(request, context), context)

    return call


def _missing(text: str) -> Call:
    def call(request: Any, *, timeout: float | None = None, metadata: Any = None) -> _MissingCall:
        return _MissingCall(text)

    return call

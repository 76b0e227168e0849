"""What a call between two machines is made of: work done over there, an answer that may never come, a copy of both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from rutile.testing.loops import Machine
from rutile_kv.env.rpc import LocalContext, LocalRpcError

if TYPE_CHECKING:
    from rutile.testing.network import SimulatedNetwork


@dataclass(slots=True)
class Host:
    """A machine that serves."""

    machine: Machine
    servicer: object
    context: Context


def unavailable(text: str) -> LocalRpcError:
    return LocalRpcError(grpc.StatusCode.UNAVAILABLE, text)


def break_off(outcome: asyncio.Future[Any], text: str) -> None:
    if not outcome.done():
        outcome.set_exception(unavailable(text))
        outcome.exception()  # seen, even if nobody waits any more


def run_there(
    network: SimulatedNetwork, host: Host, work: Coroutine[Any, Any, Any], outcome: asyncio.Future[Any]
) -> asyncio.Task[None]:
    """Do `work` in the other machine's context; its result or failure goes to `outcome`. Whoever drops the outcome
    cancels the work, as gRPC does."""

    async def run() -> None:
        try:
            result = await work
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if not outcome.done():
                outcome.set_exception(error)
                outcome.exception()
        else:
            if not outcome.done():
                outcome.set_result(result)

    task = network.spawn(run(), f"call to {host.machine.name}", host.context.copy())
    task.add_done_callback(lambda done: work.close())  # it may have been cancelled before it began
    outcome.add_done_callback(lambda done: task.cancel() if done.cancelled() else None)
    return task


async def serve(servicer: object, name: str, request: Any, timeout_s: float | None) -> Any:
    method: Callable[..., Awaitable[Any]] | None = getattr(servicer, name, None)
    if method is None:
        raise LocalRpcError(grpc.StatusCode.UNIMPLEMENTED, name)
    context = LocalContext(timeout_s)
    try:
        return await context.run(method(copy_of(request), context))
    finally:
        context.end()


def copy_of(message: Any) -> Any:
    """What a wire makes of a message."""
    if not hasattr(message, "CopyFrom"):
        return message
    copy = type(message)()
    copy.CopyFrom(message)
    return copy

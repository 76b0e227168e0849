"""A machine's services as another machine sees them.

    SimulatedStub ── out: delay ──► servicer, in the other machine's context ── back: delay ──► answer

It fails as gRPC does. A call to a machine that is down is refused with UNAVAILABLE. When a connection breaks, because
the network is cut or the machine crashes, calls under way end with UNAVAILABLE, *whatever has become of them*: the
request may have been carried out. Calls into a cut hang until their deadline, or until keep-alive gives up. Messages of
streams arrive in order.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Self

import grpc

from rutile.testing.calls import Host, copy_of, run_there, serve, unavailable
from rutile.testing.loops import Machine
from rutile_kv.env.rpc import LocalContext, LocalRpcError

if TYPE_CHECKING:
    from rutile.testing.network import SimulatedNetwork


class SimulatedStub:
    """One machine's services as another machine sees them."""

    def __init__(self, network: SimulatedNetwork, sender: Machine, target: str) -> None:
        self._network = network
        self._sender = sender
        self._target = target

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        host = self._network.host(self._target)
        method = getattr(host.servicer, name, None) if host is not None else None
        if inspect.isasyncgenfunction(method):
            return lambda request, *, timeout=None, metadata=None: SimulatedStream(
                self._network, self._sender, self._target, name, request
            )
        return lambda request, *, timeout=None, metadata=None: _Unary(self, name, request, timeout)

    async def call(self, name: str, request: Any, timeout_s: float | None) -> Any:
        """One request, one answer."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._call(name, request, timeout_s)
        except TimeoutError as error:
            raise LocalRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from error

    async def _call(self, name: str, request: Any, timeout_s: float | None) -> Any:
        network = self._network
        await network.travel(self._sender, self._target)
        host = network.host(self._target)
        if host is None:
            raise unavailable(f"{self._target} is down")
        network.note(f"{self._sender.name} > {self._target}: {name}")
        with network.call_to(host.machine) as outcome:
            run_there(network, host, serve(host.servicer, name, request, timeout_s), outcome)
            answer = await outcome
        await network.travel(host.machine, self._sender.name)
        network.note(f"{self._target} > {self._sender.name}: answer to {name}")
        return copy_of(answer)


class _Unary:
    """A call that begins when it is awaited; a stream's method of a machine that is down may be iterated as well."""

    def __init__(self, stub: SimulatedStub, name: str, request: Any, timeout_s: float | None) -> None:
        self._stub, self._name, self._request, self._timeout_s = stub, name, request, timeout_s

    def __await__(self) -> Any:
        return self._stub.call(self._name, self._request, self._timeout_s).__await__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        raise unavailable(f"{self._stub._target} is down")


class SimulatedStream:
    """A call with a stream of answers, and perhaps one of requests; a task on either side moves them."""

    def __init__(
        self, network: SimulatedNetwork, sender: Machine, target: str, name: str, requests: AsyncIterator[Any] | Any
    ) -> None:
        self._network, self._sender, self._target, self._name = network, sender, target, name
        self._requests = requests
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._broken: asyncio.Future[Any] | None = None
        self._ended = False
        host = network.host(target)
        if host is None:
            self._answers.put_nowait(unavailable(f"{target} is down"))
        else:
            self._open(host)

    def _open(self, host: Host) -> None:
        self._broken = asyncio.get_running_loop().create_future()
        self._network._under_way[self._broken] = host.machine
        self._broken.add_done_callback(self._on_broken)
        request = self._requests
        if hasattr(request, "__aiter__"):
            inbox: asyncio.Queue[Any] = asyncio.Queue()
            self._tasks.append(self._network.spawn(self._send_requests(request, inbox), f"requests of {self._name}"))
            request = _drain(inbox)
        else:
            request = copy_of(request)
        work = self._send_answers(host, request)
        self._tasks.append(self._network.spawn(work, f"answers of {self._name}", host.context.copy()))

    def _on_broken(self, broken: asyncio.Future[Any]) -> None:
        if not broken.cancelled():
            self._answers.put_nowait(broken.exception())
            for task in self._tasks:
                task.cancel()

    async def _send_requests(self, requests: AsyncIterator[Any], inbox: asyncio.Queue[Any]) -> None:
        try:
            async for request in requests:
                await self._network.travel(self._sender, self._target)
                self._network.note(f"{self._sender.name} > {self._target}: {self._name}")
                inbox.put_nowait(copy_of(request))
            inbox.put_nowait(_END)
        except LocalRpcError as error:
            inbox.put_nowait(_END)
            self._answers.put_nowait(error)

    async def _send_answers(self, host: Host, request: Any) -> None:
        context = LocalContext()
        answers = getattr(host.servicer, self._name)(request, context)
        try:
            while True:
                answer = await context.run(anext(answers))
                await self._network.travel(host.machine, self._sender.name)
                self._network.note(f"{self._target} > {self._sender.name}: of {self._name}")
                self._answers.put_nowait(copy_of(answer))
        except StopAsyncIteration:
            self._answers.put_nowait(_END)
        except LocalRpcError as error:
            self._answers.put_nowait(error)
        finally:
            context.end()
            await answers.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._ended:
            raise StopAsyncIteration
        answer = await self._answers.get()
        if isinstance(answer, Exception) or answer is _END:
            self._let_go()
            if isinstance(answer, Exception):
                raise answer
            raise StopAsyncIteration
        return answer

    def cancel(self) -> None:
        """End the call."""
        self._let_go()
        self._answers.put_nowait(_END)

    def _let_go(self) -> None:
        self._ended = True
        if self._broken is not None:
            self._network._under_way.pop(self._broken, None)
            self._broken.cancel()
        for task in self._tasks:
            task.cancel()


_END = object()


async def _drain(inbox: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    while (request := await inbox.get()) is not _END:
        yield request

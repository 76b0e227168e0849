"""A network in one process: calls and Raft messages between machines, late, lost or cut as a test wants it.

    SimulatedStub ── out: delay ──► servicer, in the other machine's context ── back: delay ──► answer

It fails as gRPC does. A call to a machine that is down is refused with UNAVAILABLE. When a connection breaks, because
the network is cut or the machine crashes, calls under way end with UNAVAILABLE, *whatever has become of them*: the
request may have been carried out. Calls into a cut hang until their deadline, or until keep-alive gives up. Messages of
streams arrive in order.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Self

import grpc

from rutile.testing.loops import MACHINE, Machine
from rutile_kv.client.calls import Stub
from rutile_kv.env.rpc import LocalContext, LocalRpcError
from rutile_kv.server.local_network import LocalNetwork, LocalTransport, RaftReceiver
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import StorageError

KEEPALIVE_S = 3.0
"""After so long in a cut a call without an earlier deadline fails."""


@dataclass
class Conditions:
    """How bad the network is. Chances are per message."""

    delay_s: tuple[float, float] = (0.0, 0.0)
    late: float = 0.0
    late_s: float = 2.0
    """Some messages take up to this long."""
    loss: float = 0.0
    """Of a Raft message being lost; of a call's connection breaking, on the way there or back."""
    duplicate: float = 0.0
    """Of a Raft message arriving twice."""


@dataclass(slots=True)
class _Host:
    """A machine that serves."""

    machine: Machine
    servicer: object
    context: Context


class SimulatedNetwork(LocalNetwork):
    """Who is there, who reaches whom, and how badly. Machines are known by their names."""

    def __init__(self, rng: random.Random, conditions: Conditions | None = None) -> None:
        super().__init__()
        self.conditions = conditions or Conditions()
        self.note: Callable[[str], None] = lambda line: None
        """Hears of every message."""
        self._random = rng
        self._hosts: dict[str, _Host] = {}
        self._names: dict[int, str] = {}
        self._receivers_by_name: dict[str, RaftReceiver] = {}
        self._cuts: dict[tuple[str, str], None] = {}
        self._under_way: dict[asyncio.Future[Any], Machine] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}

    # --- who is there -------------------------------------------------------------------------------------------------

    def serve(self, name: str, servicer: object) -> None:
        """The running machine serves under `name`."""
        machine = MACHINE.get()
        assert machine is not None, "only machines serve"
        self._hosts[name] = _Host(machine, servicer, copy_context())

    def join(self, store_id: int, receiver: RaftReceiver, stub: Stub = None) -> None:
        machine = MACHINE.get()
        assert machine is not None, "stores are started as machines"
        self._names[store_id] = machine.name
        self._receivers_by_name[machine.name] = receiver
        self.serve(machine.name, stub._servicer)

    def leave(self, store_id: int) -> None:
        machine = MACHINE.get()
        name = self._names.get(store_id)
        if name is not None and machine is not None and not machine.is_dead:
            self._hosts.pop(name, None)
            self._receivers_by_name.pop(name, None)

    def crash(self, machine: Machine) -> None:
        """The machine is gone: nothing it does arrives anywhere, calls to it break."""
        machine.is_dead = True
        self._hosts.pop(machine.name, None)
        self._receivers_by_name.pop(machine.name, None)
        for outcome in [outcome for outcome, target in self._under_way.items() if target is machine]:
            _break(outcome, f"{machine.name} went away")

    def spawn(self, work: Coroutine[Any, Any, None], name: str, context: Context | None = None) -> asyncio.Task[None]:
        """Run `work` until it ends or the network is closed."""
        task = asyncio.get_running_loop().create_task(work, name=name, context=context)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    async def close(self) -> None:
        """End what is under way."""
        while tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- who reaches whom ---------------------------------------------------------------------------------------------

    def cut(self, sender: str, target: str) -> None:
        """Lose everything from `sender` to `target`; the other way stays open."""
        self._cuts[sender, target] = None

    def heal_all(self) -> None:
        """Everybody reaches everybody."""
        self._cuts.clear()

    def reaches(self, sender: str, target: str) -> bool:
        """Whether the way is open."""
        return (sender, target) not in self._cuts

    def delay_s(self) -> float:
        """How long the next message takes."""
        low, high = self.conditions.delay_s
        if self._random.random() < self.conditions.late:
            high = self.conditions.late_s
        return self._random.uniform(low, high) if high > low else low

    def is_lost(self) -> bool:
        return self.conditions.loss > 0 and self._random.random() < self.conditions.loss

    def copies(self) -> int:
        return 2 if self.conditions.duplicate > 0 and self._random.random() < self.conditions.duplicate else 1

    # --- ways ---------------------------------------------------------------------------------------------------------

    def transport(self, store_id: int, on_unreachable: Callable[[int], None]) -> LocalTransport:
        machine = MACHINE.get()
        assert machine is not None, "stores are started as machines"
        return SimulatedTransport(self, machine, store_id, on_unreachable)

    def stub(self, sender: int, target: int) -> Stub | None:
        machine = MACHINE.get()
        assert machine is not None, "stores are started as machines"
        return self.store_stub(machine, target)

    def store_stub(self, sender: Machine, store_id: int) -> Stub | None:
        """The services of a store that was there once; None for one nobody has heard of."""
        name = self._names.get(store_id)
        return None if name is None else SimulatedStub(self, sender, name)

    def store_stubs(self, sender: Machine) -> Mapping[int, Stub]:
        """What `Client.local` looks stores up in."""
        return _StoreStubs(self, sender)

    def host(self, name: str) -> _Host | None:
        return self._hosts.get(name)

    def receiver(self, store_id: int) -> tuple[_Host, RaftReceiver] | None:
        """Where Raft messages for a store arrive."""
        name = self._names.get(store_id, "")
        host, receiver = self._hosts.get(name), self._receivers_by_name.get(name)
        return None if host is None or receiver is None else (host, receiver)

    def name_of(self, store_id: int) -> str:
        return self._names.get(store_id, "")

    async def travel(self, sender: Machine, target: str) -> None:
        """Be on the way from one machine to another. LocalRpcError if it does not arrive."""
        if sender.is_dead:
            raise _unavailable("this machine crashed")
        if not self.reaches(sender.name, target):
            await asyncio.sleep(KEEPALIVE_S)
            raise _unavailable(f"{target} does not answer")
        delay_s = self.delay_s()
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        if self.is_lost() or sender.is_dead:
            raise _unavailable("the connection broke")

    @contextmanager
    def call_to(self, machine: Machine) -> Iterator[asyncio.Future[Any]]:
        """A future for what comes from `machine`; it fails when the machine does."""
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._under_way[outcome] = machine
        try:
            yield outcome
        finally:
            self._under_way.pop(outcome, None)
            outcome.cancel()


class _StoreStubs(Mapping[int, Stub]):
    def __init__(self, network: SimulatedNetwork, sender: Machine) -> None:
        self._network, self._sender = network, sender

    def __getitem__(self, store_id: int) -> Stub:
        stub = self._network.store_stub(self._sender, store_id)
        if stub is None:
            raise KeyError(store_id)
        return stub

    def __iter__(self) -> Iterator[int]:
        return iter(self._network._names)

    def __len__(self) -> int:
        return len(self._network._names)


def _unavailable(text: str) -> LocalRpcError:
    return LocalRpcError(grpc.StatusCode.UNAVAILABLE, text)


def _break(outcome: asyncio.Future[Any], text: str) -> None:
    if not outcome.done():
        outcome.set_exception(_unavailable(text))
        outcome.exception()  # seen, even if nobody waits any more


class SimulatedTransport(LocalTransport):
    """Raft messages over a bad network."""

    def __init__(
        self, network: SimulatedNetwork, machine: Machine, store_id: int, on_unreachable: Callable[[int], None]
    ) -> None:
        super().__init__(network, store_id, on_unreachable)
        self._simulated = network
        self._machine = machine

    def send(self, message: raft_serverpb.RaftMessage) -> None:
        network, to = self._simulated, message.to_peer.store_id
        if self._machine.is_dead:
            return
        target = network.receiver(to)
        if target is None:
            asyncio.get_running_loop().call_soon(self._on_unreachable, to)
            return
        if not network.reaches(self._machine.name, network.name_of(to)) or network.is_lost():
            return
        for _ in range(network.copies()):
            loop, (host, _) = asyncio.get_running_loop(), target
            loop.call_later(network.delay_s(), self._arrive, message, host.machine, context=host.context)

    def _arrive(self, message: raft_serverpb.RaftMessage, machine: Machine) -> None:
        target = self._simulated.receiver(message.to_peer.store_id)
        if target is None or target[0].machine is not machine:
            return
        inner = message.message
        self._simulated.note(
            f"{self._machine.name} > {machine.name}: region {message.region_id} kind {inner.msg_type}"
            f" term {inner.term} index {inner.index} commit {inner.commit}"
        )
        copy = raft_serverpb.RaftMessage()
        copy.CopyFrom(message)
        target[1].handle_raft_message(copy)

    async def send_snapshot(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        target = self._simulated.receiver(message.to_peer.store_id)
        if target is None:
            raise StorageError(f"store {message.to_peer.store_id} is down")
        host, receiver = target
        data = [chunk async for chunk in chunks]
        await self._simulated.travel(self._machine, host.machine.name)
        self._simulated.note(f"{self._machine.name} > {host.machine.name}: snapshot of region {message.region_id}")
        with self._simulated.call_to(host.machine) as outcome:
            _run_there(self._simulated, host, receiver.receive_snapshot(message, _each(data)), outcome)
            await outcome
        await self._simulated.travel(host.machine, self._machine.name)


async def _each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _run_there(
    network: SimulatedNetwork, host: _Host, work: Coroutine[Any, Any, Any], outcome: asyncio.Future[Any]
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
            raise _unavailable(f"{self._target} is down")
        network.note(f"{self._sender.name} > {self._target}: {name}")
        with network.call_to(host.machine) as outcome:
            _run_there(network, host, _serve(host.servicer, name, request, timeout_s), outcome)
            answer = await outcome
        await network.travel(host.machine, self._sender.name)
        network.note(f"{self._target} > {self._sender.name}: answer to {name}")
        return _copy(answer)


class _Unary:
    """A call that begins when it is awaited; a stream's method of a machine that is down may be iterated as well."""

    def __init__(self, stub: SimulatedStub, name: str, request: Any, timeout_s: float | None) -> None:
        self._stub, self._name, self._request, self._timeout_s = stub, name, request, timeout_s

    def __await__(self) -> Any:
        return self._stub.call(self._name, self._request, self._timeout_s).__await__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        raise _unavailable(f"{self._stub._target} is down")


async def _serve(servicer: object, name: str, request: Any, timeout_s: float | None) -> Any:
    method: Callable[..., Awaitable[Any]] | None = getattr(servicer, name, None)
    if method is None:
        raise LocalRpcError(grpc.StatusCode.UNIMPLEMENTED, name)
    context = LocalContext(timeout_s)
    try:
        return await context.run(method(_copy(request), context))
    finally:
        context.end()


def _copy(message: Any) -> Any:
    """What a wire makes of a message."""
    if not hasattr(message, "CopyFrom"):
        return message
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


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
            self._answers.put_nowait(_unavailable(f"{target} is down"))
        else:
            self._open(host)

    def _open(self, host: _Host) -> None:
        self._broken = asyncio.get_running_loop().create_future()
        self._network._under_way[self._broken] = host.machine
        self._broken.add_done_callback(self._on_broken)
        request = self._requests
        if hasattr(request, "__aiter__"):
            inbox: asyncio.Queue[Any] = asyncio.Queue()
            self._tasks.append(self._network.spawn(self._send_requests(request, inbox), f"requests of {self._name}"))
            request = _drain(inbox)
        else:
            request = _copy(request)
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
                inbox.put_nowait(_copy(request))
            inbox.put_nowait(_END)
        except LocalRpcError as error:
            inbox.put_nowait(_END)
            self._answers.put_nowait(error)

    async def _send_answers(self, host: _Host, request: Any) -> None:
        context = LocalContext()
        answers = getattr(host.servicer, self._name)(request, context)
        try:
            while True:
                answer = await context.run(anext(answers))
                await self._network.travel(host.machine, self._sender.name)
                self._network.note(f"{self._target} > {self._sender.name}: of {self._name}")
                self._answers.put_nowait(_copy(answer))
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

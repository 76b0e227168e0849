"""gRPC, kept behind two shapes that look alike from both ends.

A *servicer* has one method per RPC: `async def Method(self, request, context)` for one answer, an async generator for a
stream of answers; where the client streams, `request` is an async iterator.

A *stub* has the same names, called by the client: `await stub.KvGet(request, timeout=2.0)`, or
`async for page in stub.BatchCoprocessor(request)`. It is a generated stub on a `channel`, or a `LocalStub` of a
servicer in this process. Either way a failure is a grpc.RpcError with `code()` and `details()`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol, TypeAlias

import grpc

from rutile_kv.env.local_rpc import LocalContext, LocalRpcError, LocalStub
from rutile_proto.errors import PortInUse

__all__ = [
    "GRPC_CHANNEL_OPTIONS",
    "GRPC_SERVER_OPTIONS",
    "LocalContext",
    "LocalRpcError",
    "LocalStub",
    "Register",
    "RpcContext",
    "channel",
    "start_server",
]

Register: TypeAlias = Callable[[grpc.aio.Server], None]
"""Adds one service to a server: `lambda server: add_PDServicer_to_server(servicer, server)`."""

_UNLIMITED = -1
_KEEPALIVE_EVERY_MS = 10_000
_KEEPALIVE_TIMEOUT_MS = 3_000
_LEAST_PING_INTERVAL_MS = 500

GRPC_SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", _UNLIMITED),
    ("grpc.max_send_message_length", _UNLIMITED),
    ("grpc.so_reuseport", 0),  # or a second server would share the port in silence
    # Clients ping every 10 s on idle connections (wire.md 2); by default the server would hang up on them.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", _LEAST_PING_INTERVAL_MS),
    ("grpc.http2.max_ping_strikes", 0),
)
GRPC_CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", _UNLIMITED),
    ("grpc.max_send_message_length", _UNLIMITED),
    ("grpc.keepalive_time_ms", _KEEPALIVE_EVERY_MS),
    ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


class RpcContext(Protocol):
    """What servicers may ask of the context: the part of grpc.aio.ServicerContext that `LocalContext` shares."""

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call with an error status."""

    def cancelled(self) -> bool:
        """Whether the client has gone, or its deadline passed."""

    def time_remaining(self) -> float | None:
        """Seconds until the client's deadline; None without one."""

    def peer(self) -> str:
        """Who calls, for logs."""


async def start_server(address: str, registrations: Sequence[Register]) -> tuple[grpc.aio.Server, str]:
    """Listen on `address` (host:port; port 0 picks a free one). Returns the server and the address it is bound to.

    PortInUse if it cannot listen there. The caller ends it with `await server.stop(grace_seconds)`.
    """
    server = grpc.aio.server(options=GRPC_SERVER_OPTIONS)
    for register in registrations:
        register(server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        await server.stop(None)
        raise PortInUse(f"cannot listen on {address}: {error}; is another process using it?") from error
    await server.start()
    return server, f"{address.rpartition(':')[0]}:{port}"


def channel(address: str) -> grpc.aio.Channel:
    """A channel to host:port (with or without http://), connecting when first used. The caller closes it."""
    return grpc.aio.insecure_channel(address.removeprefix("http://"), options=GRPC_CHANNEL_OPTIONS)


class JointStub:
    """Stubs of several services at one address, as one: a method is the first's that has it."""

    def __init__(self, *stubs: object) -> None:
        self._stubs = stubs

    def __getattr__(self, name: str) -> Any:
        for stub in self._stubs:
            if hasattr(stub, name):
                return getattr(stub, name)
        raise AttributeError(name)

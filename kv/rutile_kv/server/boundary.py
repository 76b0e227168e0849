"""Where a servicer's method meets the wire: what each kind of error becomes.

RegionError          response.region_error                   the client refreshes or backs off
ServerIsBusy         waited out here (see patience.py); then as above, or gRPC RESOURCE_EXHAUSTED for callers
                     without a request_source
TxnError             response.error / .errors (KeyError)     the client resolves, retries or reports
UndeterminedResult   response.region_error.undetermined_result
InvalidRequest       gRPC INVALID_ARGUMENT with the text
TimeoutError         gRPC DEADLINE_EXCEEDED (reads only: a write is never abandoned half way)
StorageError, PdError, RetriesExhausted      gRPC UNAVAILABLE: this store cannot do it now, another one may
anything else        gRPC INTERNAL with a short text; the traceback goes to the log; the store lives on
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import Message

from rutile_kv.env.rpc import RpcContext
from rutile_kv.server.patience import patiently
from rutile_kv.txn.model import ManyLocked
from rutile_proto.errors import (
    EngineCorrupt,
    InvalidRequest,
    KeyIsLocked,
    PdError,
    RegionError,
    RetriesExhausted,
    ServerIsBusy,
    StorageError,
    TxnError,
    UndeterminedResult,
)
from rutile_proto.wire_errors import key_error_to_pb, region_error_to_pb

log = logging.getLogger(__name__)

MAX_DETAIL_CHARS = 300
"""Longer texts of unexpected errors are cut: they travel in an HTTP/2 header."""

Response = TypeVar("Response", bound=Message)
Method = Callable[[Any, Any], Awaitable[Response]]
RpcMethod = Callable[[Any, Any, RpcContext], Awaitable[Response]]


class StoreStopped(StorageError):
    """The service was closed."""


class WrongCluster(InvalidRequest):
    """The request's Context names another cluster."""


def unary(response_type: type[Response], *, timed: bool = False) -> Callable[[Method[Response]], RpcMethod[Response]]:
    """Makes `async method(self, request) -> response` a servicer method whose errors go where the table above says.

    `timed` honours Context.max_execution_duration_ms. The object needs `cluster_id`, `closed` and
    `patience_seconds`.
    """

    def decorate(method: Method[Response]) -> RpcMethod[Response]:
        @functools.wraps(method)
        async def serve(self: Any, request: Any, context: RpcContext) -> Response:
            try:
                check_cluster(request.context, self.cluster_id)
                deadline = deadline_seconds(request.context) if timed else None
                if deadline is None:
                    return await patiently(self.patience_seconds, _attempt, method, self, request)
                async with asyncio.timeout(deadline):
                    return await patiently(self.patience_seconds, _attempt, method, self, request)
            except ServerIsBusy as error:
                if not request.context.request_source:
                    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
                return in_place(response_type, error)
            except (RegionError, TxnError, UndeterminedResult) as error:
                return in_place(response_type, error)
            except Exception as error:
                await abort_with(context, method.__name__, error)

        return serve

    return decorate


def _attempt(method: Method[Response], service: Any, request: Any) -> Awaitable[Response]:
    check_open(service)
    return method(service, request)


async def abort_with(context: RpcContext, name: str, error: Exception) -> NoReturn:
    """End the RPC with the status that `error` stands for."""
    match error:
        case InvalidRequest():
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        case TimeoutError():
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"{name} ran into its deadline")
        case StorageError() | PdError() | RetriesExhausted() if not isinstance(error, EngineCorrupt):
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error)[:MAX_DETAIL_CHARS])
        case _:
            log.error("%s failed", name, exc_info=error)
            detail = f"{name}: {type(error).__name__}: {error}"
            await context.abort(grpc.StatusCode.INTERNAL, detail[:MAX_DETAIL_CHARS])


def in_place(response_type: type[Response], error: RegionError | TxnError | UndeterminedResult) -> Response:
    """A response that carries `error` where clients look for it (wire.md 6.2)."""
    fields: dict[str, Any]
    if isinstance(error, RegionError | UndeterminedResult):
        fields = {"region_error": region_error_to_pb(error)}
    elif "errors" in response_type.DESCRIPTOR.fields_by_name:
        fields = {"errors": [key_error_to_pb(each) for each in _each(error)]}
    else:
        fields = {"error": key_error_to_pb(error)}
    response: Response = response_type(**fields)
    return response


def _each(error: TxnError) -> list[TxnError]:
    """One error for every key: a prewrite that met several locks tells all of them."""
    return [KeyIsLocked(lock) for lock in error.locks] if isinstance(error, ManyLocked) else [error]


def check_open(service: Any) -> None:
    """A store that stops answers UNAVAILABLE, so that clients go to another peer at once."""
    if service.closed:
        raise StoreStopped("the store is stopping")


def check_cluster(context: Any, cluster_id: int) -> None:
    """Clients that fill Context.cluster_id (client-go) must mean this cluster; 0 means they do not say."""
    asked = context.cluster_id
    if asked and cluster_id and asked != cluster_id:
        raise WrongCluster(f"the request is for cluster {asked}; this store belongs to cluster {cluster_id}")


def deadline_seconds(context: Any) -> float | None:
    """Context.max_execution_duration_ms as seconds from now; None when unset."""
    milliseconds = context.max_execution_duration_ms
    return milliseconds / 1000 if milliseconds else None

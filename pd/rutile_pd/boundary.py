"""Where a servicer's method meets the wire: checks before it, header and refusals after it.

Refusals go into the response header (typed, wire.md 5.7), except where clients cannot read them there: a request for
another cluster ends with FAILED_PRECONDITION, a malformed one with INVALID_ARGUMENT.
"""

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol

import grpc

from rutile_kv.env.rpc import RpcContext
from rutile_pd import answers
from rutile_pd.cluster import Cluster
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest, PdError, RutileError

log = logging.getLogger(__name__)


class Served(Protocol):
    """What `answered` needs of the object whose methods it makes RPCs of."""

    cluster: Cluster

    def check_cluster(self, header: pdpb.RequestHeader) -> None:
        """WrongCluster if the request names another cluster than this; 0 names none."""

    async def sync(self) -> None:
        """Everything written so far is on disk when this returns."""


class WrongCluster(RutileError):
    """The request was meant for another cluster."""


def answered(
    response_type: Any, *, any_cluster: bool = False, bootstrapped: bool = True, durable: bool = False
) -> Callable[[Any], Any]:
    """Makes `async method(self, request, context) -> response` an RPC: checks before, header and refusals after."""

    def decorate(method: Callable[[Any, Any, RpcContext], Awaitable[Any]]) -> Any:
        @functools.wraps(method)
        async def serve(self: Served, request: Any, context: RpcContext) -> Any:
            try:
                if not any_cluster:
                    self.check_cluster(request.header)
                if bootstrapped:
                    self.cluster.require_bootstrapped()
                response = await method(self, request, context)
                if durable:
                    await self.sync()
            except PdError as error:
                response = response_type(header=pdpb.ResponseHeader(error=answers.refusal(error)))
            except RutileError as error:
                await abort(context, error)
            response.header.cluster_id = self.cluster.id
            return response

        return serve

    return decorate


async def abort(context: RpcContext, error: RutileError) -> NoReturn:
    """End the RPC with the status for an error that has no place in a response."""
    match error:
        case WrongCluster():
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        case InvalidRequest():
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        case PdError():
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        case _:
            log.error("the placement driver cannot serve", exc_info=error)
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"{type(error).__name__}: {error}")

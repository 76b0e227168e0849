"""Where a servicer's method meets the wire: checks before it, header and refusals after it.

Refusals go into the response header (typed, wire.md 5.7), except where clients cannot read them there: a request for
another cluster ends with FAILED_PRECONDITION, a malformed one with INVALID_ARGUMENT, and one that the leader must
answer, at a member that does not lead, with UNAVAILABLE and "not leader", by which clients know it (wire.md 7.9).
"""

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol

import grpc

from rutile_kv.env.rpc import RpcContext
from rutile_pd.cluster import Cluster
from rutile_pd.consensus.leadership import Leadership
from rutile_pd.consensus.members import NotLeading
from rutile_pd.services import answers
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest, PdError, RutileError

log = logging.getLogger(__name__)


class Served(Protocol):
    """What `answered` needs of the object whose methods it makes RPCs of."""

    cluster: Cluster

    leadership: Leadership

    def check_cluster(self, header: pdpb.RequestHeader) -> None:
        """WrongCluster if the request names another cluster than this; 0 names none."""


class WrongCluster(RutileError):
    """The request was meant for another cluster."""


def answered(response_type: Any, *, any_cluster: bool = False, bootstrapped: bool = True) -> Callable[[Any], Any]:
    """Makes `async method(self, request, context) -> response` an RPC: checks before, header and refusals after.

    Answers and refusals leave when what they may rest on is committed, and this is sure to be the leader still."""

    def decorate(method: Callable[[Any, Any, RpcContext], Awaitable[Any]]) -> Any:
        @functools.wraps(method)
        async def serve(self: Served, request: Any, context: RpcContext) -> Any:
            try:
                if not any_cluster:
                    self.check_cluster(request.header)
                if bootstrapped:
                    self.cluster.require_bootstrapped()
                response = await method(self, request, context)
            except PdError as error:
                response = response_type(header=pdpb.ResponseHeader(error=answers.refusal(error)))
            except RutileError as error:
                await abort(context, error)
            await _prove(self.leadership, context)
            response.header.cluster_id = self.cluster.id
            return response

        return serve

    return decorate


async def _prove(leadership: Leadership, context: RpcContext) -> None:
    try:
        await leadership.settle()
        await leadership.confirm()
    except RutileError as error:
        await abort(context, error)


async def abort(context: RpcContext, error: RutileError) -> NoReturn:
    """End the RPC with the status for an error that has no place in a response."""
    match error:
        case WrongCluster():
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        case InvalidRequest():
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        case PdError() | NotLeading():
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        case _:
            log.error("the placement driver cannot serve", exc_info=error)
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"{type(error).__name__}: {error}")

"""Answers for the methods of a gRPC service that are not built: UNIMPLEMENTED, with the method's name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from rutile_kv.env.rpc import RpcContext

Servicer = TypeVar("Servicer", bound=type)


def rest_unimplemented(service: ServiceDescriptor) -> Any:
    """A class decorator that gives the class every method of `service` it lacks."""

    def decorate(cls: Servicer) -> Servicer:
        for method in service.methods:
            if not hasattr(cls, method.name):
                setattr(cls, method.name, _answer(service.name, method))
        return cls

    return decorate


def _answer(service_name: str, method: MethodDescriptor) -> Any:
    text = f"{service_name}.{method.name} is not built in this version of Rutile"

    async def refuse(_self: Any, _request: Any, context: RpcContext) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, text)

    async def refuse_stream(_self: Any, _request: Any, context: RpcContext) -> AsyncIterator[None]:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, text)
        yield  # makes this an async generator, which is how a stream is answered

    answer = refuse_stream if method.server_streaming else refuse
    answer.__name__ = method.name
    answer.__doc__ = text
    return answer

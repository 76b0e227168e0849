"""/grpc.health.v1.Health/Check: clients ask it after a failed send and before they trust a new PD leader (wire.md 1.1).

The messages are declared in rutilepb under names of our own, because Python's descriptor pool would refuse a second
grpc.health.v1 in a process that also loads grpcio-health-checking; on the wire names do not show.
"""

import grpc

from rutile_proto import rutilepb_pb2 as rutilepb

SERVICE = "grpc.health.v1.Health"
_Response = rutilepb.HealthCheckResponse


class HealthService:
    """One status for the whole process, whichever service name is asked for. Starts as NOT_SERVING."""

    def __init__(self) -> None:
        self.serving = False

    async def Check(self, request: rutilepb.HealthCheckRequest, context: object) -> rutilepb.HealthCheckResponse:
        """SERVING or NOT_SERVING."""
        return _Response(status=_Response.SERVING if self.serving else _Response.NOT_SERVING)

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service to `server`."""
        check = grpc.unary_unary_rpc_method_handler(
            self.Check,
            request_deserializer=rutilepb.HealthCheckRequest.FromString,
            response_serializer=_Response.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Check": check}),))

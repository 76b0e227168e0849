"""Keyspaces: there is one, named DEFAULT, and it is the whole key space."""

from rutile_kv.env.rpc import RpcContext
from rutile_pd.services.answers import UnknownKeyspace
from rutile_pd.services.boundary import answered
from rutile_proto import keyspacepb_pb2 as keyspacepb

DEFAULT_KEYSPACE = "DEFAULT"
"""The name under which clients of API v2 find keyspace 0."""


class KeyspaceService:
    """Mixed into the PD service."""

    @answered(keyspacepb.LoadKeyspaceResponse, bootstrapped=False)
    async def LoadKeyspace(
        self, request: keyspacepb.LoadKeyspaceRequest, context: RpcContext
    ) -> keyspacepb.LoadKeyspaceResponse:
        if request.name != DEFAULT_KEYSPACE:
            raise UnknownKeyspace(f"there is no keyspace {request.name!r}: Rutile has only {DEFAULT_KEYSPACE}")
        keyspace = keyspacepb.KeyspaceMeta(id=0, name=DEFAULT_KEYSPACE, state=keyspacepb.ENABLED)
        return keyspacepb.LoadKeyspaceResponse(keyspace=keyspace)

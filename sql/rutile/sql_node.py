"""A SQL front end as a server: `rutilepb.Sql` over gRPC, against a cluster found by its placement driver."""

from __future__ import annotations

from collections.abc import Sequence

from rutile.cluster import open_database
from rutile.service import SqlServicer
from rutile_kv.env.rpc import start_server
from rutile_proto.rutilepb_pb2_grpc import add_SqlServicer_to_server


class SqlNode:
    """A SQL front end serving `rutilepb.Sql`."""

    def __init__(self, pd_addresses: Sequence[str], address: str) -> None:
        self._pd_addresses = list(pd_addresses)
        self.address = address

    async def start(self) -> None:
        """Connect to the cluster, then listen. Raises PdError, PortInUse."""
        self.client, self.database = await open_database(self._pd_addresses)
        servicer = SqlServicer(self.database)
        try:
            self._server, self.address = await start_server(
                self.address,
                [lambda server: add_SqlServicer_to_server(servicer, server)],  # type: ignore[no-untyped-call]
            )
        except BaseException:
            await self.database.close()
            await self.client.close()
            raise

    async def stop(self) -> None:
        """Refuse new sessions, end the open ones, leave the cluster."""
        await self._server.stop(grace=0.5)
        await self.database.close()
        await self.client.close()

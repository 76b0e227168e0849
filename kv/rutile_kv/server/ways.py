"""The ways from one store to the others: Raft's messages, services, and reads as a client makes them.

A store with an address goes by network; one without meets the others of its process on a LocalNetwork.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from rutile_kv.client.cluster import ClientOptions, Cluster
from rutile_kv.client.connections import GrpcStores, StoreConnections
from rutile_kv.client.pd import PdClient
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.server.local_network import LocalConnections, LocalNetwork, LocalTransport
from rutile_kv.server.raft_transport import NetworkTransport
from rutile_kv.server.raw_scan_relay import BUDGET_SECONDS


class Unreachable:
    """Passes unreachable stores on to a driver, which can only be built after its transport."""

    def __init__(self) -> None:
        self.driver: StoreDriver | None = None

    def __call__(self, store_id: int) -> None:
        if self.driver is not None:
            self.driver.store_unreachable(store_id)


class Ways:
    """Opens what a store needs to reach others, each closed again by `opened`."""

    def __init__(self, store_id: int, pd: PdClient, network: LocalNetwork | None, opened: AsyncExitStack) -> None:
        """`network` is given where the stores share a process."""
        self._store_id = store_id
        self._pd = pd
        self._network = network
        self._opened = opened

    def transport(self, unreachable: Unreachable) -> NetworkTransport | LocalTransport:
        """For Raft's messages; `unreachable` hears of stores that do not take them."""
        transport: NetworkTransport | LocalTransport
        if self._network is not None:
            transport = self._network.transport(self._store_id, unreachable)
        else:
            transport = NetworkTransport(self._grpc(), self._pd.cluster_id, unreachable)
        self._opened.push_async_callback(transport.close)
        return transport

    def connections(self) -> StoreConnections:
        """To the services of the other stores."""
        return LocalConnections(self._network, self._store_id) if self._network is not None else self._grpc()

    def others(self) -> Cluster | None:
        """The other stores, as a client sees them, for what is asked here and known there. Stores of one process have
        none: their callers know where to ask."""
        if self._network is not None:
            return None
        options = ClientOptions(read_budget_s=BUDGET_SECONDS, pd_budget_s=BUDGET_SECONDS)
        return Cluster(self._pd, self._grpc(), options=options)

    def _grpc(self) -> GrpcStores:
        stores = GrpcStores(self._pd)
        self._opened.push_async_callback(stores.close)
        return stores

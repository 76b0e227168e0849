"""`StoreService`: everything a store answers, under TiKV's service names and ours, in one object.

The methods live by idea in the classes it is made of; what none of them has is answered with UNIMPLEMENTED. One
LocalStub of it serves both `tikvpb.Tikv` and `rutilepb.RutileKv`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from rutile_kv.client.cluster import Cluster
from rutile_kv.env.clock import Clock
from rutile_kv.raw.writer import RawWriter
from rutile_kv.server.admin_service import AdminService
from rutile_kv.server.batch_commands import BatchCommandsService
from rutile_kv.server.bulk_service import BulkService
from rutile_kv.server.coprocessor_endpoint import CoprocessorEndpoint
from rutile_kv.server.coprocessor_service import CoprocessorService
from rutile_kv.server.deadlock_service import DeadlockDetector, DeadlockService
from rutile_kv.server.gc_service import GcService, SpaceParts
from rutile_kv.server.local_network import RaftReceiver
from rutile_kv.server.lock_fates import LockFates
from rutile_kv.server.patience import PATIENCE_SECONDS
from rutile_kv.server.pessimistic_service import PessimisticService
from rutile_kv.server.raft_service import RaftService
from rutile_kv.server.raw_scan_relay import RawScanRelay
from rutile_kv.server.raw_writes import RawWrites
from rutile_kv.server.region_store import RegionStore
from rutile_kv.server.stale_reads import StaleReads
from rutile_kv.server.transactional_writes import TransactionalWrites
from rutile_kv.server.unimplemented import rest_unimplemented
from rutile_kv.server.watch_service import WatchParts, WatchService
from rutile_kv.txn.lock_waiting import LockWaiting
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import deadlock_pb2_grpc, rutilepb_pb2_grpc, tikvpb_pb2_grpc
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto import tikvpb_pb2 as tikvpb


@dataclass(frozen=True, slots=True)
class RawParts:
    """What the services of raw data work with."""

    writer: RawWriter
    clock: Clock
    """Tells what has expired."""
    relay: RawScanRelay | None
    """For scans that came to the wrong place; None: they get their region error."""


@dataclass(slots=True)
class ServiceParts:
    """What the services of one store work with."""

    cluster_id: int
    store_id: int
    kv: RegionStore
    scheduler: TxnScheduler
    endpoint: CoprocessorEndpoint
    raft: RaftReceiver
    max_entry_bytes: int
    raw: RawParts
    first_region_term: Callable[[], int] = lambda: 0
    """The term in which this store leads the region of the empty key, 0 if it does not: where deadlocks are found."""
    space: SpaceParts | None = None
    """None: KvGC and UnsafeDestroyRange are refused."""
    watching: WatchParts | None = None
    """None: Watch is refused."""
    stale: StaleReads | None = None
    """None: stale reads are served as others are."""
    others: Cluster | None = None
    """Reaches the other stores; None if there are none to ask."""
    tikv_only: bool = False
    """Answer nothing that TiKV would not."""
    patience_seconds: float = PATIENCE_SECONDS
    """For how long busy times are waited out."""
    free_bytes: Callable[[], int] = lambda: sys.maxsize
    """What is left on the disk: bulk loads leave some of it to others."""


@rest_unimplemented(tikvpb.DESCRIPTOR.services_by_name["Tikv"])
@rest_unimplemented(rutilepb.DESCRIPTOR.services_by_name["RutileKv"])
class StoreService(
    BatchCommandsService,  # with the transactional, the raw and the prompt reads
    TransactionalWrites,
    PessimisticService,
    DeadlockService,
    GcService,
    RawWrites,
    AdminService,
    CoprocessorService,
    BulkService,
    WatchService,
    RaftService,
):
    """The servicer of one store."""

    def __init__(self, parts: ServiceParts) -> None:
        self.cluster_id = parts.cluster_id
        self.store_id = parts.store_id
        self.kv = parts.kv
        self.scheduler = parts.scheduler
        self.endpoint = parts.endpoint
        self.raft = parts.raft
        self.max_entry_bytes = parts.max_entry_bytes
        self.free_bytes = parts.free_bytes
        self.raw = parts.raw.writer
        self.clock = parts.raw.clock
        self.relay = parts.raw.relay
        self.fates = LockFates(parts.store_id, parts.kv, parts.scheduler, parts.others)
        self.stale = parts.stale
        self.space = parts.space
        self.watching = parts.watching
        self.waiting = LockWaiting(parts.scheduler)
        self.detector = DeadlockDetector(parts.first_region_term)
        self.patience_seconds = parts.patience_seconds
        self.tikv_only = parts.tikv_only
        self.closed = False

    def register(self, server: grpc.aio.Server) -> None:
        """Add all services to `server`."""
        tikvpb_pb2_grpc.add_TikvServicer_to_server(self, server)  # type: ignore[no-untyped-call]
        if not self.tikv_only:
            rutilepb_pb2_grpc.add_RutileKvServicer_to_server(self, server)  # type: ignore[no-untyped-call]
        deadlock_pb2_grpc.add_DeadlockServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """From now on every call is answered with UNAVAILABLE: a client goes to the next peer at once."""
        self.closed = True

"""What PD is told of a store: where it can be reached, and how much it holds."""

from __future__ import annotations

import shutil

from rutile_kv.client.scan_parts import FLIGHT_LABEL
from rutile_kv.engine.options import machine_memory_bytes
from rutile_kv.env.clock import Clock
from rutile_kv.raftstore.store import Store
from rutile_kv.server.config import StoreConfig
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb

STORE_VERSION = "8.5.0"
"""What PD and client-java take for the store's version: the protocol generation that is spoken (wire.md 3.4)."""


class StoreProfile:
    """A store's addresses, filled in as its ports open: before a server listens on a port of the system's choice there
    is no address to tell yet."""

    def __init__(self, config: StoreConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self.address = ""
        """host:port it listens on; empty without a server."""
        self.peer_address = ""
        """host:port for Raft's frames, as other stores reach it."""
        self.flight_location = ""

    @property
    def advertised(self) -> str:
        """host:port by which others reach it."""
        return self._config.advertise_address or self.address

    def set_peer_port(self, port: int) -> None:
        """Raft's frames are taken at `port` of the advertised host, unless the configuration says otherwise."""
        self.peer_address = self._config.advertise_peer_address or f"{host_of(self.advertised)}:{port}"

    def describe(self, store_id: int) -> metapb.Store:
        """What PutStore takes."""
        labels = dict(self._config.labels)
        if self.flight_location:
            labels[FLIGHT_LABEL] = self.flight_location
        return metapb.Store(
            id=store_id,
            address=self.advertised,
            peer_address=self.peer_address,
            version=STORE_VERSION,
            labels=[metapb.StoreLabel(key=key, value=value) for key, value in sorted(labels.items())],
            start_timestamp=self._clock.wall_ms() // 1000,
        )

    def stats(self, store: Store) -> pdpb.StoreStats:
        """What StoreHeartbeat takes, sizes in bytes."""
        regions, _ = store.peer_counts()
        capacity, available = self._space()
        return pdpb.StoreStats(
            store_id=store.store_id,
            region_count=regions,
            capacity=capacity,
            available=available,
            used_size=store.used_bytes(),
        )

    def free_bytes(self) -> int:
        """What is left where the data lies."""
        return self._space()[1]

    def _space(self) -> tuple[int, int]:
        """(bytes there, bytes free) where the data lies: the disk, or for a store in memory the machine."""
        if self._config.data_dir is None:
            return machine_memory_bytes(), machine_memory_bytes()
        usage = shutil.disk_usage(self._config.data_dir)
        return usage.total, usage.free


def host_of(address: str) -> str:
    """`host` of `http://host:port` or `host:port`; an IPv6 host keeps its brackets."""
    return address.removeprefix("http://").rpartition(":")[0]

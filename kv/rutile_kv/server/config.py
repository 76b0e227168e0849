"""What a store process can be told. Defaults are for a small machine, and grow with its memory where that pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rutile_kv.engine.options import machine_memory_bytes

if TYPE_CHECKING:
    from rutile_kv.env.flight import FlightOptions  # loads Arrow Flight: only those who serve it wait for it

MIB = 1024 * 1024
MEMORY_SHARE = 16


def _share_of_memory(least_bytes: int) -> int:
    return max(least_bytes, machine_memory_bytes() // MEMORY_SHARE)


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """One store. `data_dir=None` keeps everything in memory; `address=None` opens no socket (in-process use)."""

    data_dir: Path | None = None
    address: str | None = "127.0.0.1:20160"
    advertise_address: str | None = None
    """What PD tells others to dial; the bound address when not given."""
    peer_port: int = 0
    """Where the Raft messages of other stores arrive, at the host of `address`; 0: any free port."""
    advertise_peer_address: str | None = None
    """What other stores dial for it; the host of `advertise_address` and the bound port when not given."""
    pd_addresses: Sequence[str] = ()
    labels: dict[str, str] = field(default_factory=dict)
    flight: FlightOptions | None = None
    """Where clients fetch large scans from; None: nowhere, they go through the SQL front end."""

    tick_seconds: float = 0.1
    """One Raft tick; an election takes 10 to 20 of them."""
    store_heartbeat_seconds: float = 3.0
    region_heartbeat_seconds: float = 10.0
    """How often a leader reports a region of which nothing changed; changes are reported at once."""

    region_max_bytes: int = 96 * MIB
    region_max_keys: int = 960_000
    """A region that holds more than either cuts itself into parts of about two thirds of it."""
    load_split_requests: int = 1_000
    """Requests a second, ten seconds long, for which a region is cut between them; 0: none is."""
    snapshot_bytes_per_second: int = 100 * MIB
    """What all region snapshots together may be sent at, and received at; 0: no limit."""
    consistency_check_seconds: float = 0.0
    """How often the replicas of each region compare their data, some hours if at all; 0: only when asked to."""
    hibernate_after_seconds: float = 5.0
    """A region that nobody used for this long stops ticking; 0: none does."""

    watch_progress_seconds: float = 1.0
    """How often watchers hear how far they are."""
    watch_queue_bytes: int = 8 * MIB
    """Changes kept for a watcher that reads slowly; beyond it, it is ended."""

    pessimistic_locks_in_memory: bool = True
    """Keep the locks of running pessimistic transactions in the leader's memory (TiKV's pessimistic-txn.in-memory), as
    long as there is room; False: each is written through Raft."""

    gc_life_time_seconds: float = 600.0
    """How long versions are kept after they were overwritten, and so how old a snapshot can be."""
    gc_interval_seconds: float = 600.0
    """How often the safe point is moved, by the store that leads the first region."""
    gc_poll_seconds: float = 10.0
    """How often PD is asked for the safe point; versions below it are removed two polls after it rose."""

    max_entry_bytes: int = 8 * MIB
    """The largest write of one request, keys and values together: it becomes one Raft entry."""
    coprocessor_concurrency: int = 2
    """Fragments run at once; the others wait their turn."""
    coprocessor_threads: int = 2
    """DuckDB's threads, shared by all fragments."""
    coprocessor_memory_bytes: int = field(default_factory=lambda: _share_of_memory(512 * MIB))
    """Per fragment: decoded batches, and DuckDB's own limit. A fragment may ask for less, not for more. 512 MiB, or a
    sixteenth of the machine's memory if that is more."""
    coprocessor_spill_bytes: int = 2048 * MIB
    """Disk that sorts, joins and groupings of fragments may take under `data_dir`. 0: what does not fit fails."""
    tikv_only: bool = False
    """Answer nothing that TiKV would not: fragments and Rutile's own service are UNIMPLEMENTED."""
    mirror_budget_bytes: int = field(default_factory=lambda: _share_of_memory(256 * MIB))
    """Memory for decoded batches kept between fragments, beside those in files: what is written meanwhile lands there,
    a chunk for each row of it at worst. 256 MiB, or a sixteenth of the machine's memory; 0 switches the mirror off."""
    mirror_narrow_bytes: int = 256 * MIB
    """Memory for what is read often of them in DuckDB's own encodings, which it scans faster. 0: there is none."""
    mirror_disk_bytes: int = 4096 * MIB
    """Disk for decoded batches, under `data_dir`: mapped, they take page cache, no memory. 0: none are written."""

    def __post_init__(self) -> None:
        if self.coprocessor_concurrency < 1:
            raise ValueError(f"coprocessor_concurrency must be at least 1, not {self.coprocessor_concurrency}")
        if self.watch_progress_seconds <= 0:
            raise ValueError("watchers need a positive period")
        if self.region_max_bytes < 1 or self.region_max_keys < 1 or self.load_split_requests < 0:
            raise ValueError("regions need a positive size, and load a limit of 0 or more")
        if self.snapshot_bytes_per_second < 0:
            raise ValueError("snapshots travel at 0 (no limit) or more bytes per second")
        if self.hibernate_after_seconds < 0 or self.consistency_check_seconds < 0:
            raise ValueError("regions sleep, and are compared, after 0 seconds (never) or more")
        if self.tick_seconds <= 0 or self.store_heartbeat_seconds <= 0 or self.region_heartbeat_seconds <= 0:
            raise ValueError("ticks and heartbeats need a positive period")

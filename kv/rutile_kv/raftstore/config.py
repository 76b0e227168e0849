"""What a store may be told at its start. Times are in ticks: the core has no clock, the driver decides how long one
is.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Limits and rhythms of one store. The defaults are those of a small machine with 100 ms ticks."""

    election_timeout_ticks: int = 10
    """A follower campaigns after this many silent ticks, up to twice as many (drawn anew each time)."""
    heartbeat_ticks: int = 2

    max_entry_bytes: int = 8 << 20
    """A larger command is refused with RaftEntryTooLarge."""
    max_coalesced_bytes: int = 256 << 10
    """Writes that wait in the same round share a log entry up to this size."""
    quick_sync_seconds: float = 0.001
    """A disk that syncs faster than this does it while the store waits, if nothing else is to be done (see
    `driver_sync`); 0: never."""
    entry_cache_bytes: int = 4 << 20
    """Per region: entries kept in memory for followers that lag a little; older ones are read back from the engine."""
    max_apply_bytes: int = 16 << 20
    """Per region and round: how much of the committed log is applied before others get their turn."""

    region_max_bytes: int = 96 << 20
    region_max_keys: int = 960_000
    """A region with more than either is cut (see `split_check`) ..."""
    region_split_bytes: int = 64 << 20
    region_split_keys: int = 640_000
    """... into parts of about this size. Between the two lies what keeps a region from being cut again soon."""
    table_split_bytes: int = 16 << 20
    """A region over this that holds several tables is cut where one of them begins that has at least half of it."""
    max_split_parts: int = 16
    """A region is cut into so many at a time."""
    split_check_ticks: int = 20
    split_check_growth_bytes: int = 8 << 20
    """A region that a check left whole is looked at again when it has grown by this."""
    load_split_requests: int = 1_000
    load_split_bytes: int = 16 << 20
    """Requests, or bytes read and written, a second beyond which a region is hot. With 0 requests none ever is."""
    load_windows: int = 10
    """Seconds in a row a region has to be hot before it is cut."""

    compact_check_ticks: int = 10
    log_gap_entries: int = 512
    """Fewer applied entries than this are not worth a compaction (see `log_compaction`)."""
    log_gap_bytes: int = 8 << 20
    """... but of a log that holds more than this half is kept: what is cut soon is never written to table files."""
    log_limit_entries: int = 16_384
    log_limit_bytes: int = 48 << 20
    """Beyond either the log is cut to half even where a follower still needs it: that one gets a snapshot."""
    dead_follower_ticks: int = 600
    """The log waits no longer for a member that has been silent for this long."""

    region_heartbeat_ticks: int = 100
    """A leader reports to PD this often, and at once when something changed."""
    peer_check_ticks: int = 5
    """How often a leader looks whether a peer came or went, and a follower whether it was forgotten."""
    down_peer_ticks: int = 100
    """A peer not heard of for this long is reported as down."""
    missing_leader_ticks: int = 100
    """A follower without a leader for this long asks the others whether it is still a member."""

    merge_check_ticks: int = 2
    """How often it is looked what can be done for a region that is prepared to merge."""
    max_merge_gap_entries: int = 256
    """A region with a peer that lacks more of the log than this does not begin to merge."""

    consistency_check_ticks: int = 0
    """How often a leader has all replicas compare their data (see `consistency`); 0: only when asked to."""
    consistency_pause_ticks: int = 36_000
    """So long a peer takes no part after data was destroyed beside the log."""

    hibernate_after_ticks: int = 50
    """A region that nobody used for this long goes to sleep (see `hibernation`); 0: never."""
    hibernate_answer_ticks: int = 6
    """So long a leader that wants to sleep waits for the consent of all members; well below the election timeout."""
    store_ping_ticks: int = 3
    """How often stores with sleeping regions in common ping each other. After an election timeout of silence the
    regions wake."""
    asleep_check_ticks: int = 600
    """How often a sleeping leader reports to PD, and a sleeping follower asks whether it still belongs."""

    read_retry_ticks: int = 5
    read_timeout_ticks: int = 30
    """A ReadIndex not confirmed is asked again after the first, and fails with ReadIndexNotReady after the second."""

    max_snapshots: int = 4
    """Snapshots sent at a time; further ones wait."""
    snapshot_bytes_per_second: int = 100 << 20
    """What all snapshots sent, and all received, may take of network and disk; 0: everything."""
    max_pending_votes: int = 256
    """First messages for regions that a split has yet to create here; beyond it they are dropped (they come again)."""
    max_siblings: int = 32
    """Neighbours named in an EpochNotMatch."""

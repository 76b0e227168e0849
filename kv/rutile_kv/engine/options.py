"""How much of the machine an engine may take: defaults for small machines, as bounded shares of what is there."""

import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Memory and background work of one RocksEngine. Three stores on one laptop is the case to have in mind."""

    block_cache_bytes: int
    """Uncompressed blocks of table files, shared by all families."""
    memtable_bytes: int
    """Written data not yet in table files, all families together; a restart replays about as much log."""
    background_jobs: int = 2
    """Threads for flushes and compactions."""
    max_open_files: int = 512

    @classmethod
    def for_machine(cls, memory_bytes: int | None = None) -> "EngineOptions":
        """Shares of `memory_bytes` (default: what this machine, or its container, has)."""
        total = machine_memory_bytes() if memory_bytes is None else memory_bytes
        return cls(
            block_cache_bytes=_bounded(total // 32, 16 * MIB, 512 * MIB),
            memtable_bytes=_bounded(total // 64, 8 * MIB, 128 * MIB),
        )


def machine_memory_bytes() -> int:
    """The memory this process can hope for: the machine's, or its container's limit where that is lower."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.exists() else "max"
    return min(physical, int(limit)) if limit.isdigit() else physical


def _bounded(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))

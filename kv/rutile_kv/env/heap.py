"""The C library's heap, told to keep what it is given back.

Work that takes and frees arrays of megabytes, batch after batch, has glibc ask the kernel for fresh pages each time,
and the kernel fill them with zeros: a fifth of the processor time of an import. One heap that keeps its pages costs
nothing in a process whose only work is that.
"""

from __future__ import annotations

import ctypes

import pyarrow as pa

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Have all threads, and Arrow, share one heap that keeps up to a gibibyte of what is freed. False where the C
    library is not glibc: then nothing changes. To be called before there are threads."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _KEPT_BYTES), (_M_TRIM_THRESHOLD, _KEPT_BYTES))
    if any(not mallopt(setting, value) for setting, value in settings):
        return False
    pa.set_memory_pool(pa.system_memory_pool())
    return True

"""TSO timestamps: 46 bits of Unix milliseconds, 18 bits of logical counter.

    63                      18 17          0
    +-------------------------+-------------+
    | physical (milliseconds) |   logical   |
    +-------------------------+-------------+

One integer orders every event of the cluster; 0 means "no timestamp" and MAX_TIMESTAMP means "the newest there is".
"""

from rutile_proto.types import Timestamp

LOGICAL_BITS = 18
LOGICAL_LIMIT = 1 << LOGICAL_BITS
MAX_TIMESTAMP = Timestamp((1 << 64) - 1)


def compose(physical_ms: int, logical: int = 0) -> Timestamp:
    """The timestamp at `physical_ms` Unix milliseconds with `logical` in 0..262143; ValueError outside."""
    if not 0 <= logical < LOGICAL_LIMIT:
        raise ValueError(f"logical part {logical} is outside 0..{LOGICAL_LIMIT - 1}")
    if physical_ms < 0:
        raise ValueError(f"physical part {physical_ms} ms is negative")
    return Timestamp(physical_ms << LOGICAL_BITS | logical)


def physical_ms(ts: Timestamp | int) -> int:
    """The Unix milliseconds in `ts`."""
    return ts >> LOGICAL_BITS


def logical(ts: Timestamp | int) -> int:
    """The counter in `ts`, 0..262143."""
    return ts & (LOGICAL_LIMIT - 1)

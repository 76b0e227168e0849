"""Finding what has expired, a bounded number of rows at a time."""

from dataclasses import dataclass
from itertools import islice

from rutile_kv.engine.api import Cf, Reader
from rutile_kv.raw.values import decode_value, has_expired


@dataclass(frozen=True, slots=True)
class SweepStep:
    """What one look found: keys that had expired, and where to look next (None: the end of the range is reached)."""

    expired: list[bytes]
    next_key: bytes | None


def find_expired(reader: Reader, cf: Cf, start: bytes, end: bytes, now_s: int, rows: int) -> SweepStep:
    """Look at up to `rows` rows of [start, end), of which an empty end is infinite."""
    seen = list(islice(reader.scan(cf, start, end or None), rows))
    expired = [key for key, stored in seen if has_expired(decode_value(stored)[1], now_s)]
    return SweepStep(expired, seen[-1][0] + b"\0" if len(seen) == rows else None)

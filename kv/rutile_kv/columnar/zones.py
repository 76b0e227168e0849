"""Zones: the least and the largest value of a column in a chunk, by which chunks are left out of a scan.

A base finds them when they are first asked for and keeps them; the next base takes over those of the chunks it shares,
and a file's manifest holds them. Only numbers, dates and moments have zones: texts are wide, and those that queries
compare with constants are seldom in order. A chunk whose zone is not known is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from rutile_coprocessor.pruning import Bounds, Use, Value, may_hold

FEW = 32
"""Values that are looked at one by one."""


@dataclass(frozen=True, slots=True)
class Zone:
    """The values of a chunk lie in [low, high]; without both, all are NULL."""

    low: Value | None
    high: Value | None

    def may_hold(self, bounds: Bounds) -> bool:
        """Whether a value may lie within the bounds."""
        return self.low is not None and self.high is not None and may_hold(bounds, self.low, self.high)


def zone_of(array: pa.Array) -> Zone | None:
    """The zone of a chunk; None for a type that has none, or doubles that are not all numbers."""
    if not has_zones(array.type):
        return None
    if len(array) <= FEW:
        return _zone_of_few([value for value in array.to_pylist() if value is not None])
    if pa.types.is_floating(array.type) and pc.any(pc.is_nan(array)).as_py():
        return None
    ends = pc.min_max(array)
    return Zone(ends["min"].as_py(), ends["max"].as_py())


def _zone_of_few(values: Sequence[Value]) -> Zone | None:
    """Without a step that gives up the interpreter's lock, which costs a worker of a busy store more than the rest."""
    if any(value != value for value in values):
        return None
    return Zone(min(values), max(values)) if values else Zone(None, None)


def joined(one: Zone, other: Zone | None) -> Zone | None:
    """A zone that holds the values of both; None if one is not known."""
    if other is None or one.low is None or one.high is None:
        return other
    if other.low is None or other.high is None:
        return one
    lows, highs = (one.low, other.low), (one.high, other.high)
    return Zone(min(lows), max(highs))


def has_zones(kind: pa.DataType) -> bool:
    """Whether values of this type are kept as zones."""
    types = pa.types
    if types.is_timestamp(kind):
        return bool(kind.tz is None and kind.unit == "us")
    tests = (types.is_integer, types.is_floating, types.is_decimal, types.is_date32)
    return any(test(kind) for test in tests)


def is_wanted(zones: Sequence[Sequence[Zone | None]], uses: Sequence[Use]) -> bool:
    """Whether any of `uses` may want a row of a chunk; `zones` are those of its bounds' columns, in their order."""
    return any(
        all(zone is None or zone.may_hold(bounds) for zone, bounds in zip(found, use, strict=True))
        for found, use in zip(zones, uses, strict=True)
    )


# --- in a manifest ----------------------------------------------------------------------------------------------------


def to_json(zone: Zone) -> list[str | None]:
    """[type, low, high], exact."""
    if zone.low is None or zone.high is None:
        return [None, None, None]
    return [type(zone.low).__name__, _text(zone.low), _text(zone.high)]


def from_json(body: Sequence[str | None]) -> Zone:
    """Raises ValueError, KeyError or TypeError for what `to_json` did not write."""
    kind, low, high = body
    if kind is None or low is None or high is None:
        return Zone(None, None)
    read = _READERS[kind]
    return Zone(read(low), read(high))


def _text(value: Value) -> str:
    if isinstance(value, float):
        return value.hex()
    return value.isoformat() if isinstance(value, date) else str(value)


_READERS: dict[str, Callable[[str], Value]] = {
    "int": int, "float": float.fromhex, "Decimal": Decimal, "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
}  # fmt: skip

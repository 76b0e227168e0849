"""What is kept of a table: counts, and for each column its range, its common values and a histogram."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rutile_coprocessor.schema import Scalar, scalar_from_json, scalar_to_json


@dataclass(frozen=True, slots=True)
class Bucket:
    """Rows with values above the bucket before and up to `high`, those with a common value not counted."""

    high: Scalar
    rows: float
    """All up to and with this bucket."""
    repeats: float
    """Those that equal `high`."""


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """How the values of one column are spread, scaled to the whole table."""

    nulls: int = 0
    distinct: int = 0
    """About how many different values there are, NULL not counted."""
    low: Scalar = None
    high: Scalar = None
    width: float = 0.0
    """Bytes of a value on average."""
    common: tuple[tuple[Scalar, float], ...] = ()
    """The most common values with how many rows have them, the most common first."""
    buckets: tuple[Bucket, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON's types."""
        return {
            "nulls": self.nulls, "distinct": self.distinct, "width": self.width,
            "low": scalar_to_json(self.low), "high": scalar_to_json(self.high),
            "common": [[scalar_to_json(value), rows] for value, rows in self.common],
            "buckets": [[scalar_to_json(each.high), each.rows, each.repeats] for each in self.buckets],
        }  # fmt: skip

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> ColumnStatistics:
        """What `to_json` made."""
        return ColumnStatistics(
            body["nulls"], body["distinct"], scalar_from_json(body["low"]), scalar_from_json(body["high"]),
            body["width"], tuple((scalar_from_json(value), rows) for value, rows in body["common"]),
            tuple(Bucket(scalar_from_json(high), rows, repeats) for high, rows, repeats in body["buckets"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """What ANALYZE found at one timestamp."""

    table_id: int
    ts: int
    """The snapshot that was read."""
    rows: int
    sampled: int = 0
    """How many of them the histograms were made of."""
    columns: Mapping[int, ColumnStatistics] = field(default_factory=dict)
    """By column id."""

    def to_bytes(self) -> bytes:
        """JSON."""
        columns = {str(column_id): column.to_json() for column_id, column in self.columns.items()}
        body = {"table": self.table_id, "ts": self.ts, "rows": self.rows, "sampled": self.sampled, "columns": columns}
        return json.dumps(body, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> TableStatistics:
        """What `to_bytes` made."""
        body = json.loads(data)
        columns = {int(column_id): ColumnStatistics.from_json(each) for column_id, each in body["columns"].items()}
        return TableStatistics(body["table"], body["ts"], body["rows"], body["sampled"], columns)

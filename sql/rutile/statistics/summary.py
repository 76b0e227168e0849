"""A sample of one column to its common values and an equi-depth histogram."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from rutile.statistics.model import Bucket
from rutile_coprocessor.schema import Scalar

COMMON_VALUES = 20
BUCKETS = 64
RARELY = 1.25
"""A value is common if it is this many times as frequent as the average one."""


@dataclass(frozen=True, slots=True)
class Detail:
    """How finely a column is described: WITH n TOPN, n BUCKETS."""

    common: int = COMMON_VALUES
    buckets: int = BUCKETS


def summarize(
    sample: pa.ChunkedArray, scale: float, detail: Detail
) -> tuple[tuple[tuple[Scalar, float], ...], tuple[Bucket, ...]]:
    """Common values and buckets of the values of a sample that are not NULL; one sampled row is `scale` rows."""
    values = sample.drop_null().combine_chunks()
    if len(values) == 0:
        return (), ()
    counted = pc.value_counts(values)
    names, counts = counted.field("values"), counted.field("counts")
    common = _common(names, counts, len(values), detail.common)
    kept = pc.invert(pc.is_in(names, value_set=common[0])) if len(common[0]) else pa.array([True] * len(names))
    rest_names, rest_counts = names.filter(kept), counts.filter(kept)
    order = pc.sort_indices(rest_names)
    buckets = _buckets(rest_names.take(order), rest_counts.take(order).to_pylist(), scale, detail.buckets)
    return tuple((name, count * scale) for name, count in zip(common[0].to_pylist(), common[1], strict=True)), buckets


def _common(names: pa.Array, counts: pa.Array, rows: int, most: int) -> tuple[pa.Array, list[int]]:
    """The values seen clearly more often than the average value, the most frequent first; never all of a long list."""
    average = rows / len(names)
    order = pc.sort_indices(counts, sort_keys=[("", "descending")])[:most]
    found = counts.take(order).to_pylist()
    few = len(names) <= most
    taken = sum(1 for count in found if count > 1 and (few or count >= RARELY * average))
    return names.take(order[:taken]), found[:taken]


def _buckets(names: pa.Array, counts: list[int], scale: float, most: int) -> tuple[Bucket, ...]:
    """Sorted values with how often each was seen, cut into parts of about equal size."""
    depth = max(1.0, sum(counts) / most)
    found: list[Bucket] = []
    total, closed = 0, 0.0
    for place, count in enumerate(counts):
        total += count
        if total - closed >= depth or place == len(counts) - 1:
            found.append(Bucket(names[place].as_py(), total * scale, count * scale))
            closed = total
    return tuple(found)

"""Estimates against the truth: exact where everything is a common value, near it where a histogram must do."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as hs

from rutile.statistics.estimate import equal_rows, rows_below
from rutile.statistics.model import ColumnStatistics, TableStatistics
from rutile.statistics.summary import Detail, summarize

DETAIL = Detail(common=8, buckets=16)


def describe(values: list[int | None], detail: Detail = DETAIL) -> ColumnStatistics:
    present = [value for value in values if value is not None]
    common, buckets = summarize(pa.chunked_array([pa.array(values, pa.int64())]), 1.0, detail)
    low, high = (min(present), max(present)) if present else (None, None)
    return ColumnStatistics(len(values) - len(present), len(set(present)), low, high, 8.0, common, buckets)


few = hs.lists(hs.integers(0, 6) | hs.none(), min_size=1, max_size=60)
many = hs.lists(hs.integers(-1_000, 1_000) | hs.none(), min_size=1, max_size=300)


@given(many)
def test_rows_are_told_once(values: list[int | None]) -> None:
    column = describe(values)
    told = sum(rows for _, rows in column.common) + (column.buckets[-1].rows if column.buckets else 0)
    assert told + column.nulls == len(values)
    assert [bucket.high for bucket in column.buckets] == sorted(bucket.high for bucket in column.buckets)


@given(few, hs.integers(-1, 7))
def test_a_value_of_few_is_counted_exactly(values: list[int | None], asked: int) -> None:
    column = describe([*values, *values])  # each at least twice: all of them are common
    assert equal_rows(asked, column) == pytest.approx(Counter([*values, *values])[asked], abs=0.01)


@given(many, hs.integers(-1_100, 1_100), hs.booleans())
def test_a_bound_is_off_by_no_more_than_a_bucket(values: list[int | None], bound: int, with_equal: bool) -> None:
    column = describe(values)
    truth = sum(1 for value in values if value is not None and (value < bound or (with_equal and value == bound)))
    counts = [0.0, *(bucket.rows for bucket in column.buckets)]
    deepest = max((after - before for before, after in pairwise(counts)), default=0.0)
    assert abs(rows_below(bound, column, with_equal=with_equal) - truth) <= deepest


@given(many, hs.integers(-1_100, 1_100), hs.integers(-1_100, 1_100))
def test_more_is_below_a_higher_bound(values: list[int | None], one: int, other: int) -> None:
    column = describe(values)
    low, high = sorted((one, other))
    assert rows_below(low, column, with_equal=False) <= rows_below(high, column, with_equal=True) + 1e-9


def test_a_constant_of_another_kind_is_no_error() -> None:
    column = describe([1, 2, 3, 3])
    assert 0 < rows_below("x", column, with_equal=False) <= 4


def test_statistics_survive_their_bytes() -> None:
    found = TableStatistics(7, 12, 4, 4, {1: describe([1, 2, 3, 3, None])})
    assert TableStatistics.from_bytes(found.to_bytes()) == found

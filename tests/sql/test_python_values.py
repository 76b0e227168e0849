"""Rows as Python values: by numpy where that is faster, and the same as pyarrow makes one by one."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile.session.result import rows_of_table

KINDS = {
    pa.timestamp("us"): st.datetimes(), pa.timestamp("s"): st.datetimes().map(lambda each: each.replace(microsecond=0)),
    pa.date32(): st.dates(), pa.decimal128(20, 4): st.decimals(-(10**15), 10**15, places=4),
    pa.decimal128(38, 0): st.decimals(-(10**37), 10**37, places=0),
    pa.duration("us"): st.timedeltas(datetime.timedelta(days=-400), datetime.timedelta(days=400)),
    pa.int64(): st.integers(-(2**63), 2**63 - 1), pa.uint64(): st.integers(0, 2**64 - 1),
    pa.string(): st.text(), pa.binary(): st.binary(), pa.float64(): st.floats(allow_nan=False),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(KINDS), ids=str)
def test_values_are_what_went_in(kind: pa.DataType) -> None:
    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.none() | KINDS[kind], max_size=8), st.integers(0, 3))
    def check(values: list[object], offset: int) -> None:
        column = pa.chunked_array([pa.array(values, kind), pa.array([], kind)]).slice(offset)
        rows = rows_of_table(pa.table({"x": column}))
        assert rows == [(value,) for value in values[offset:]]
        assert [type(row[0]) for row in rows] == [type(value) for value in values[offset:]]

    check()


def test_times_of_day_are_timedeltas() -> None:
    table = pa.table({"x": pa.array([datetime.time(1, 2, 3, 4), None], pa.time64("us"))})
    assert rows_of_table(table) == [(datetime.timedelta(hours=1, minutes=2, seconds=3, microseconds=4),), (None,)]

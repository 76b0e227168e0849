"""The key map: keys order as what they stand for, and come apart again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutile_proto import keys
from rutile_proto.errors import MalformedEncoding

INT64 = st.integers(-(2**63), 2**63 - 1)
ROW = st.tuples(INT64, INT64)
PART = st.one_of(st.integers(0, 2**40), st.binary(max_size=12))


@given(ROW, ROW)
def test_row_keys_order_by_table_then_handle(a, b):
    def key(row):
        return keys.record_key(row[0], keys.int_handle(row[1]))

    assert (key(a) < key(b)) == (a < b)
    assert (keys.storage_key(key(a)) < keys.storage_key(key(b))) == (a < b)
    assert keys.decode_record_key(key(a)) == (a[0], keys.int_handle(a[1]))


@given(INT64, INT64, INT64)
def test_a_tables_range_holds_its_rows_and_nothing_else(table, other, handle):
    start, end = keys.table_range(table)
    assert (start <= keys.record_key(other, keys.int_handle(handle)) < end) == (table == other)
    assert not start <= keys.index_key(table, 1, b"x") < end


@given(INT64, st.lists(INT64, max_size=6))
def test_vectorised_row_keys(table, handles):
    rows = keys.record_keys(table, np.array(handles, dtype=np.int64))
    assert [row.tobytes() for row in rows] == [keys.record_key(table, keys.int_handle(handle)) for handle in handles]


@given(st.binary(max_size=20), st.integers(0, 2**64 - 1), st.binary(max_size=20), st.integers(0, 2**64 - 1))
def test_versions_order_by_key_then_newest_first(key_a, ts_a, key_b, ts_b):
    a = keys.versioned_key(keys.storage_key(key_a), ts_a)
    b = keys.versioned_key(keys.storage_key(key_b), ts_b)
    assert (a < b) == ((key_a, -ts_a) < (key_b, -ts_b))
    assert keys.split_versioned(a) == (keys.storage_key(key_a), ts_a)
    assert keys.user_key(keys.storage_key(key_a)) == key_a


@given(st.lists(PART, max_size=4), PART, st.lists(PART, max_size=4))
def test_meta_keys_nest_and_do_not_collide(path, part, other):
    key = keys.meta_key(*path)
    assert keys.meta_key(*path, part).startswith(key)
    assert key < keys.meta_key(*path, part) < keys.prefix_next(key)
    assert (key == keys.meta_key(*other)) == (path == other)


@given(st.binary(max_size=6), st.binary(max_size=8))
def test_prefix_next_bounds_exactly_the_prefix(prefix, key):
    end = keys.prefix_next(prefix)
    assert (prefix <= key and (not end or key < end)) == key.startswith(prefix)


def test_the_last_prefix_ends_at_infinity():
    assert keys.prefix_next(b"\xff\xff") == b""
    assert keys.prefix_next(b"a\xff") == b"b"


def test_infinity_is_never_encoded():
    assert keys.storage_bound(b"") == b"" == keys.user_bound(b"")
    assert keys.user_bound(keys.storage_bound(b"k")) == b"k"


@pytest.mark.parametrize("key", [b"", b"t", b"m12345678_r", keys.index_key(1, 2, b"c")])
def test_other_keys_are_not_row_keys(key):
    with pytest.raises(MalformedEncoding):
        keys.decode_record_key(key)


def test_other_bytes_are_not_storage_or_versioned_keys():
    with pytest.raises(MalformedEncoding):
        keys.user_key(keys.storage_key(b"k") + b"tail")
    with pytest.raises(MalformedEncoding):
        keys.split_versioned(b"short")

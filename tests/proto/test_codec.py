"""Every ordered codec keeps the order of its values, reads back what it wrote, and refuses what it did not write."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutile_proto import codec
from rutile_proto.errors import MalformedEncoding

INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, 2**64 - 1)
DECIMAL = st.integers(-(2**127), 2**127 - 1)
FLOAT = st.floats(allow_nan=False)
BYTES = st.one_of(st.binary(max_size=40), st.text("\x00\x01\xfe\xff", max_size=20).map(lambda s: s.encode("latin-1")))

ORDERED = {
    "bytes": (codec.encode_bytes, codec.decode_bytes, BYTES),
    "int64": (codec.encode_int64, codec.decode_int64, INT64),
    "uint64": (codec.encode_uint64, codec.decode_uint64, UINT64),
    "float64": (codec.encode_float64, codec.decode_float64, FLOAT),
    "decimal": (codec.encode_decimal, codec.decode_decimal, DECIMAL),
}
COMPACT = {
    "uvarint": (codec.encode_uvarint, codec.decode_uvarint, UINT64),
    "varint": (codec.encode_varint, codec.decode_varint, INT64),
    "compact bytes": (codec.encode_compact_bytes, codec.decode_compact_bytes, BYTES),
    "uint64 descending": (codec.encode_uint64_desc, codec.decode_uint64_desc, UINT64),
}


@pytest.mark.parametrize("name", ORDERED)
@given(data=st.data())
def test_order_of_encodings_is_order_of_values(name, data):
    encode, _, values = ORDERED[name]
    a, b = data.draw(values), data.draw(values)
    assert (encode(a) < encode(b), encode(a) == encode(b)) == (a < b, a == b)
    assert (codec.invert(encode(a)) > codec.invert(encode(b))) == (a < b)


@given(st.tuples(BYTES, INT64), st.tuples(BYTES, INT64))
def test_order_survives_concatenation(a, b):
    def encode(pair):
        return codec.encode_bytes(pair[0]) + codec.encode_int64(pair[1])

    assert (encode(a) < encode(b)) == (a < b)


@pytest.mark.parametrize("name", [*ORDERED, *COMPACT])
@given(data=st.data(), before=st.binary(max_size=9), behind=st.binary(max_size=9))
def test_reads_back_what_it_wrote_anywhere_in_a_buffer(name, data, before, behind):
    encode, decode, values = {**ORDERED, **COMPACT}[name]
    value = data.draw(values)
    encoded = encode(value)
    assert decode(before + encoded + behind, len(before)) == (value, len(before) + len(encoded))


@pytest.mark.parametrize("name", [*ORDERED, *COMPACT])
@given(data=st.data())
def test_a_cut_encoding_is_refused(name, data):
    encode, decode, values = {**ORDERED, **COMPACT}[name]
    encoded = encode(data.draw(values))
    with pytest.raises(MalformedEncoding):
        decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(st.binary(max_size=30))
def test_memcomparable_accepts_only_its_own_output(noise):
    try:
        value, end = codec.decode_bytes(noise)
    except MalformedEncoding:
        return
    assert codec.encode_bytes(value) == noise[:end]


def test_known_memcomparable_forms():
    assert codec.encode_bytes(b"") == bytes(8) + b"\xf7"
    assert codec.encode_bytes(b"a") == b"a" + bytes(7) + b"\xf8"
    assert codec.encode_bytes(b"12345678") == b"12345678\xff" + bytes(8) + b"\xf7"


@given(st.integers(0, 40))
def test_length_is_known_beforehand(length):
    assert len(codec.encode_bytes(bytes(length))) == codec.encoded_bytes_length(length)


def test_zero_has_one_float_form_and_nan_none():
    assert codec.encode_float64(-0.0) == codec.encode_float64(0.0)
    with pytest.raises(ValueError, match="NaN"):
        codec.encode_float64(math.nan)


@pytest.mark.parametrize(
    ("encode", "value"),
    [
        (codec.encode_int64, 2**63),
        (codec.encode_uint64, -1),
        (codec.encode_decimal, 2**127),
        (codec.encode_uvarint, 2**64),
        (codec.encode_varint, -(2**63) - 1),
    ],
)
def test_out_of_range_is_refused(encode, value):
    with pytest.raises((OverflowError, ValueError)):
        encode(value)


def test_an_overlong_varint_is_refused():
    with pytest.raises(MalformedEncoding):
        codec.decode_uvarint(b"\xff" * 9 + b"\x7f")


@given(st.integers(0, 20).flatmap(lambda n: st.lists(st.binary(min_size=n, max_size=n), min_size=1, max_size=5)))
def test_fixed_width_form_equals_the_scalar_one(rows):
    matrix = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), -1)
    encoded = codec.encode_bytes_fixed(matrix)
    assert [row.tobytes() for row in encoded] == [codec.encode_bytes(row) for row in rows]
    assert (codec.decode_bytes_fixed(encoded) == matrix).all()


def test_fixed_width_form_refuses_mixed_lengths_and_broken_groups():
    mixed = np.frombuffer(codec.encode_bytes(b"a") + codec.encode_bytes(b"ab"), dtype=np.uint8).reshape(2, 9)
    with pytest.raises(MalformedEncoding):
        codec.decode_bytes_fixed(mixed)
    with pytest.raises(MalformedEncoding):
        codec.decode_bytes_fixed(np.zeros((1, 8), dtype=np.uint8))
    with pytest.raises(MalformedEncoding):
        codec.decode_bytes_fixed(np.zeros((1, 9), dtype=np.uint8))


@given(st.lists(INT64, max_size=8))
def test_int64_array_equals_the_scalar_form(values):
    array = np.array(values, dtype=np.int64)
    encoded = codec.encode_int64_array(array)
    assert [row.tobytes() for row in encoded] == [codec.encode_int64(value) for value in values]
    assert codec.decode_int64_array(encoded).tolist() == values

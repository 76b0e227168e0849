"""Values with and without an end, and where regions can begin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutile_kv.engine.api import RAW_CFS
from rutile_kv.raw.families import raw_family
from rutile_kv.raw.values import MAX_EXPIRY_S, decode_value, encode_value, expiry, live_value
from rutile_proto.boundaries import boundaries_before, boundary_before, is_boundary
from rutile_proto.codec import encode_bytes
from rutile_proto.errors import EngineCorrupt, InvalidRequest

NOW = 1_700_000_000


@given(st.binary(), st.integers(0, MAX_EXPIRY_S))
def test_a_value_comes_back_with_its_expiry(value: bytes, expires_at_s: int) -> None:
    assert decode_value(encode_value(value, expires_at_s)) == (value, expires_at_s)


def test_bytes_in_the_engine() -> None:
    assert encode_value(b"v") == b"v\x00"
    assert encode_value(b"") == b"\x00"
    assert encode_value(b"v", 0x0102) == b"v" + bytes.fromhex("0000000000000102") + b"\x01"


@pytest.mark.parametrize("stored", [b"", b"v\x02", b"\x01", b"1234567\x01"])
def test_what_we_did_not_write_is_corrupt(stored: bytes) -> None:
    with pytest.raises(EngineCorrupt):
        decode_value(stored)


def test_a_value_lives_until_its_second_comes() -> None:
    stored = encode_value(b"v", expiry(5, NOW))
    assert [live_value(stored, NOW + after) for after in (0, 4, 5, 6)] == [b"v", b"v", None, None]
    assert live_value(encode_value(b"v", expiry(0, NOW)), MAX_EXPIRY_S) == b"v"
    assert live_value(None, NOW) is None


def test_a_ttl_beyond_the_end_of_time_is_refused() -> None:
    assert expiry(MAX_EXPIRY_S - NOW, NOW) == MAX_EXPIRY_S
    with pytest.raises(InvalidRequest, match="use 0 for no end"):
        expiry(MAX_EXPIRY_S - NOW + 1, NOW)


def test_families_by_name() -> None:
    assert [raw_family(name) for name in ("default", "lock", "write")] == list(RAW_CFS)
    assert raw_family("") == raw_family("default")
    with pytest.raises(InvalidRequest, match=r"^invalid cf name: raft$"):
        raw_family("raft")


# --- boundaries -------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=24))
def test_a_boundary_leaves_its_key_to_the_right_and_decodes(key: bytes) -> None:
    if key[:8].strip(b"\0") == b"" and not is_boundary(key):
        with pytest.raises(InvalidRequest, match="are zeros"):
            boundary_before(key)
        return
    boundary = boundary_before(key)
    assert boundary <= key
    assert is_boundary(boundary)


@given(st.binary(min_size=8, max_size=16), st.binary(min_size=8, max_size=16))
def test_keys_that_differ_in_their_first_8_bytes_are_separated(one: bytes, other: bytes) -> None:
    low, high = sorted((one, other))
    boundary = None if high[:8] == bytes(8) or is_boundary(high) else boundary_before(high)
    if boundary is not None and low[:8] != high[:8] and low[8:9] < b"\xff":
        assert low < boundary <= high


@given(st.binary(max_size=20))
def test_every_memcomparable_encoding_is_a_boundary_and_stays(key: bytes) -> None:
    assert boundary_before(encode_bytes(key)) == encode_bytes(key)


def test_keys_no_boundary_separates_share_one() -> None:
    assert boundaries_before([b"user:0001", b"user:0002", b"zebra"]) == [
        encode_bytes(b"user:00/"),
        encode_bytes(b"zebr`\xff\xff\xff"),
    ]

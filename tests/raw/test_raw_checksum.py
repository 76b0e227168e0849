"""The checksum laid out as integers, against CRC-64 bit by bit."""

from hypothesis import given
from hypothesis import strategies as st

from rutile_kv.raw.checksum import RangeChecksum, crc64


def slow_crc64(data: bytes) -> int:
    register = (1 << 64) - 1
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xC96C5795D7870F42 if register & 1 else 0)
    return register ^ (1 << 64) - 1


def test_the_check_value_of_crc_64_xz() -> None:
    assert crc64(b"123456789") == slow_crc64(b"123456789") == 0x995DC9BBDF1939FA


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=300)), max_size=12), st.integers(1, 5))
def test_the_digest_is_the_xor_of_each_pair(pairs: list[tuple[bytes, bytes]], step: int) -> None:
    expected = 0
    for key, value in pairs:
        expected ^= slow_crc64(key + value)
    total = RangeChecksum()
    for at in range(0, len(pairs), step):
        total.add(pairs[at : at + step])
    assert total.digest() == expected
    assert total.total_kvs == len(pairs)
    assert total.total_bytes == sum(len(key) + len(value) for key, value in pairs)


def test_equal_pairs_cancel_out_and_the_empty_pair_counts() -> None:
    total = RangeChecksum()
    total.add([(b"k", b"v"), (b"k", b"v"), (b"", b"")])
    assert (total.digest(), total.total_kvs) == (slow_crc64(b""), 3)

"""Packets: however the bytes arrive, the same payloads come out; what is too large passes by."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile.errors import SqlError
from rutile.mysql.constants import MAX_FRAGMENT_BYTES
from rutile.mysql.packets import PacketDecoder, frame
from rutile.mysql.wire import FieldReader, lenenc_int

LIMIT = 1 << 26
SMALL_LIMIT = 64


def outcomes(decoder: PacketDecoder) -> list[bytes | int]:
    """Everything the decoder can give now: payloads, and the numbers of its errors."""
    found: list[bytes | int] = []
    while True:
        try:
            payload = decoder.next_payload()
        except SqlError as error:
            found.append(error.code)
            continue
        if payload is None:
            return found
        found.append(payload)


def stream_of(payloads: list[bytes]) -> bytes:
    stream, sequence = b"", 0
    for payload in payloads:
        framed, sequence = frame(payload, sequence)
        stream += framed
    return stream


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=2 * SMALL_LIMIT), max_size=12), st.data())
def test_any_cut_of_the_stream_gives_the_same_payloads(payloads: list[bytes], data: st.DataObject) -> None:
    stream = stream_of(payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    decoder = PacketDecoder(SMALL_LIMIT)
    found: list[bytes | int] = []
    for start, end in pairwise([0, *cuts, len(stream)]):
        decoder.feed(stream[start:end])
        found += outcomes(decoder)
        assert decoder.buffered_bytes <= SMALL_LIMIT + 4
    assert found == [payload if len(payload) <= SMALL_LIMIT else 1153 for payload in payloads]


@pytest.mark.parametrize("size", [MAX_FRAGMENT_BYTES - 1, MAX_FRAGMENT_BYTES, MAX_FRAGMENT_BYTES + 1])
def test_payloads_around_the_largest_packet(size: int) -> None:
    payload = b"x" * size
    framed, sequence = frame(payload, 255)
    assert sequence == (0 if size < MAX_FRAGMENT_BYTES else 1)
    decoder = PacketDecoder(LIMIT)
    decoder.sequence = 255
    decoder.feed(framed[:-1])
    if size != MAX_FRAGMENT_BYTES:
        assert decoder.next_payload() is None
    decoder.feed(framed[-1:])
    assert decoder.next_payload() == payload
    assert decoder.buffered_bytes == 0


def test_an_oversize_payload_of_several_packets_passes_by_unkept() -> None:
    framed, sequence = frame(b"x" * (2 * MAX_FRAGMENT_BYTES + 5), 0)
    decoder = PacketDecoder(MAX_FRAGMENT_BYTES + 1)
    for start in range(0, len(framed), 1 << 20):
        assert outcomes(decoder) == []
        decoder.feed(framed[start : start + (1 << 20)])
        assert decoder.buffered_bytes <= MAX_FRAGMENT_BYTES + (1 << 20) + 4
    decoder.feed(frame(b"next", sequence)[0])
    assert outcomes(decoder) == [1153, b"next"]


def test_a_packet_out_of_order_is_refused() -> None:
    decoder = PacketDecoder(LIMIT)
    decoder.feed(frame(b"a", 0)[0] + frame(b"b", 2)[0])
    assert decoder.next_payload() == b"a"
    with pytest.raises(SqlError) as caught:
        decoder.next_payload()
    assert (caught.value.code, caught.value.sqlstate) == (1156, "08S01")


@given(st.integers(0, (1 << 64) - 1))
def test_length_encoded_numbers(value: int) -> None:
    encoded = lenenc_int(value)
    reader = FieldReader(encoded)
    assert reader.lenenc_number() == value and reader.left == 0
    for size in range(len(encoded)):
        with pytest.raises(SqlError) as caught:
            FieldReader(encoded[:size]).lenenc_number()
        assert caught.value.code == 1835

"""CRC-64 of raw pairs, xored together: the same whatever the order, comparable between clusters.

The checksum of a range is the xor of CRC-64/XZ (ECMA-182, reflected) of key‖value for each pair, as TiKV's. Dividing
every byte of every pair by the polynomial would take Python a tenth of a microsecond a byte. But a CRC is linear:

    without its initial value, the CRC of the xor of two messages is the xor of their CRCs,
    and zeros in front of a message do not change it.

So the pairs are laid over each other, ends aligned, and xored as integers; the division runs once, over the result.
The initial value of all ones contributes something that depends on a pair's length only: it cancels out for every
length that occurs an even number of times, and is added for the others.
"""

from collections.abc import Iterable

_POLYNOMIAL = 0xC96C5795D7870F42
_ONES = (1 << 64) - 1


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = register >> 1 ^ (_POLYNOMIAL if register & 1 else 0)
        entries.append(register)
    return tuple(entries)


_TABLE = _table()


def _divide(register: int, data: bytes) -> int:
    """The CRC register after `data`."""
    table = _TABLE
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ register >> 8
    return register


def crc64(data: bytes) -> int:
    """CRC-64/XZ of one message."""
    return _divide(_ONES, data) ^ _ONES


class RangeChecksum:
    """The checksum of the pairs added so far."""

    def __init__(self) -> None:
        self.total_kvs = 0
        self.total_bytes = 0
        self._layers: dict[int, int] = {}
        """By the bit length of the messages' length: their xor. One long value then costs its own class only."""
        self._odd_lengths: set[int] = set()
        """Lengths that occurred an odd number of times."""

    def add(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        layers, odd = self._layers, self._odd_lengths
        for key, value in pairs:
            length = len(key) + len(value)
            size = length.bit_length()
            layers[size] = layers.get(size, 0) ^ int.from_bytes(key + value, "big")
            odd ^= {length}
            self.total_kvs += 1
            self.total_bytes += length

    def digest(self) -> int:
        """The xor of all pairs' CRCs; 0 when there are none."""
        digest = _ONES if self.total_kvs % 2 else 0
        for size, layer in self._layers.items():
            digest ^= _divide(0, layer.to_bytes(1 << size, "big"))
        register, reached = _ONES, 0
        for length in sorted(self._odd_lengths):
            register = _divide(register, bytes(length - reached))
            reached = length
            digest ^= register
        return digest

"""AUTO_RANDOM: primary keys whose highest bits spread the rows of different transactions over the key space.

    | sign or reserved | shard: S bits, from the transaction's timestamp | counter: the rest of R bits |

The counter alone makes values unique; it is the table's AUTO_INCREMENT counter.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_SHARD_BITS = 5
MAX_SHARD_BITS = 15
RANGE_BITS = 64
MIN_RANGE_BITS = 32
_MIXER = 0x9E37_79B9_7F4A_7C15
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class AutoRandom:
    """AUTO_RANDOM(shard_bits, range_bits) of an integer primary key."""

    shard_bits: int = DEFAULT_SHARD_BITS
    range_bits: int = RANGE_BITS

    def counter_bits(self, *, unsigned: bool) -> int:
        return self.range_bits - self.shard_bits - (not unsigned)

    def shard(self, timestamp: int) -> int:
        """The shard of a transaction."""
        return (timestamp * _MIXER & _MASK) >> (64 - self.shard_bits)

    def value(self, shard: int, counter: int, *, unsigned: bool) -> int:
        """The key with that counter. Raises OverflowError when the counter has no bits left."""
        bits = self.counter_bits(unsigned=unsigned)
        if counter >> bits:
            raise OverflowError(f"{counter} needs more than {bits} bits")
        return shard << bits | counter

    def counter_of(self, value: int, *, unsigned: bool) -> int:
        """The counter in a key."""
        return value & ((1 << self.counter_bits(unsigned=unsigned)) - 1)

    def __str__(self) -> str:
        ranged = f", {self.range_bits}" if self.range_bits != RANGE_BITS else ""
        return f"AUTO_RANDOM({self.shard_bits}{ranged})"

"""Do the replicas of a region hold the same data? What one peer knows of the answer.

The leader proposes ComputeHash. Each replica stops applying there for the round, so that the engine snapshot taken
after the round's write is of exactly that log entry, and hashes the region's data beside the rounds. The leader then
proposes VerifyHash with what it got; each replica compares, at once or when its own hash is ready. Nothing is compared
twice and nothing is compared across another ComputeHash.

A replica that differs has lost or damaged data, or applied something otherwise than the others. It cannot know who is
right, but it must not serve: it refuses every request with RegionDamaged, campaigns no more, and its store says so
loudly. It goes on voting and storing the log, which is sound. Restarts do not heal it: the mark is kept in the engine
until the peer is removed. Its successor gets a snapshot.

Data that is destroyed beside the log (dropped tables) goes at another moment on each store. So a peer that had that
happen to it takes no part for a while, nor do those that are cut off from it; and where it ever happened, all peers
take no part for as long after each start, since the last time may have been a moment before the store was killed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, islice
from struct import pack

from rutile_kv.engine.api import DATA_CFS, Reader
from rutile_proto import metapb_pb2 as metapb

HASH_BYTES = 16


@dataclass(slots=True)
class Consistency:
    """One peer's hash, the leader's, and what came of it."""

    paused_until_tick: int = 0
    """The store's tick until when this peer takes no part; 0: it does."""
    damage: str = ""
    """How this replica differs; empty as long as it is not known to."""
    _computed: tuple[int, bytes] = (0, b"")
    _expected: tuple[int, bytes] = (0, b"")

    def computed(self, index: int, value: bytes) -> bool:
        """This replica's hash at a log index; True if that shows damage."""
        self._computed = (index, value)
        return self._compare()

    def expect(self, index: int, value: bytes) -> bool:
        """The leader's hash at a log index; True if that shows damage."""
        self._expected = (index, value)
        return self._compare()

    def _compare(self) -> bool:
        (index, value), (expected_index, expected) = self._computed, self._expected
        if not index or index != expected_index or value == expected or self.damage:
            return False
        self.damage = f"its data at log entry {index} hashes to {value.hex()}, its leader's to {expected.hex()}"
        return True


class HashScan:
    """The hash of a region's data, in slices: `advance` until it says False, then `value`."""

    def __init__(self, reader: Reader, region: metapb.Region) -> None:
        self._hash = blake2b(digest_size=HASH_BYTES)
        self._parts = self._scans(reader, region)
        self._current = next(self._parts)

    def advance(self, limit: int) -> bool:
        """Read up to `limit` more entries; False once all are read."""
        pairs = list(islice(self._current, limit))
        if pairs:
            flat = list(chain.from_iterable(pairs))
            self._hash.update(pack(f">{len(flat)}I", *map(len, flat)))
            self._hash.update(b"".join(flat))
        if len(pairs) == limit:
            return True
        following = next(self._parts, None)
        if following is None:
            return False
        self._current = following
        return True

    def value(self) -> bytes:
        """The same on every replica that holds the same, read in slices of the same size."""
        return self._hash.digest()

    def _scans(self, reader: Reader, region: metapb.Region) -> Iterator[Iterator[tuple[bytes, bytes]]]:
        for cf in DATA_CFS:
            self._hash.update(b"\n" + cf.encode())
            yield reader.scan(cf, region.start_key, region.end_key or None)

"""One request to split: which of its keys a region begins at by now."""

from collections.abc import Sequence

from rutile_pd.regions.tree import RegionTree
from rutile_proto.codec import decode_bytes
from rutile_proto.errors import InvalidRequest, MalformedEncoding

MAX_KEYS = 1024


class SplitRequest:
    """The keys of one SplitRegions request, against the tree as it changes."""

    def __init__(self, keys: Sequence[bytes], tree: RegionTree) -> None:
        """`keys` are in storage form. Raises InvalidRequest for too many, or for one that no region may begin at."""
        self._tree = tree
        self._keys = sorted(dict.fromkeys(keys))
        if not 1 <= len(self._keys) <= MAX_KEYS:
            raise InvalidRequest(f"a request splits at 1 to {MAX_KEYS} keys, not at {len(self._keys)}")
        for key in self._keys:
            check_border(key)
        self._there = self._begun()

    def missing(self) -> list[bytes]:
        """The keys that no region begins at, in order."""
        begun = self._begun()
        return [key for key in self._keys if key not in begun]

    def is_done(self) -> bool:
        return len(self._begun()) == len(self._keys)

    def percentage(self) -> int:
        """How many of a hundred keys a region begins at."""
        return 100 * len(self._begun()) // len(self._keys)

    def region_ids(self) -> list[int]:
        """Regions that have come into being at the keys since the request was made, in key order."""
        return [region_id for key, region_id in self._begun().items() if key not in self._there]

    def _begun(self) -> dict[bytes, int]:
        found = ((key, self._tree.find(key)) for key in self._keys)
        return {key: info.id for key, info in found if info is not None and info.start_key == key}


def check_border(key: bytes) -> None:
    """InvalidRequest unless a region may begin at `key`: clients with transactions decode borders (wire.md 7.2)."""
    try:
        _, length = decode_bytes(key)
    except MalformedEncoding as error:
        raise InvalidRequest(f"a region cannot begin at {key.hex()}: {error}") from error
    if length != len(key):
        raise InvalidRequest(f"a region cannot begin at {key.hex()}: it does not end with the encoded key")

"""A view of a region that tells the load monitor what is read through it.

A request is counted where it looks for locks, which a transactional read does once for each key or range, or where it
reads raw data. Bytes are counted in all families.
"""

from collections.abc import Iterator

from rutile_kv.engine.api import CF_LOCK, RAW_CFS, Cf, Reader
from rutile_kv.raftstore.load import LoadMonitor
from rutile_kv.raftstore.region_profile import border_of
from rutile_kv.raftstore.region_reader import RegionReader
from rutile_proto import metapb_pb2 as metapb

_REQUEST_CFS = frozenset((CF_LOCK, *RAW_CFS))


class SampledReader(RegionReader):
    """The Reader protocol confined to `region`, watched."""

    __slots__ = ("_load",)

    def __init__(self, reader: Reader, region: metapb.Region, load: LoadMonitor) -> None:
        super().__init__(reader, region)
        self._load = load

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        value = super().get(cf, key)
        size_bytes = len(key) + len(value or b"")
        border = border_of(cf, key) if cf in _REQUEST_CFS else None
        if border is not None:
            self._load.read(self.region.id, (border, border), size_bytes)
        else:
            self._load.read_bytes(self.region.id, size_bytes)
        return value

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        if cf in _REQUEST_CFS:
            low = border_of(cf, start) if start else b""
            high = border_of(cf, end) if end else None
            self._load.read(self.region.id, (low or b"", high), 0)
        return self._counted(super().scan(cf, start, end, reverse=reverse))

    def _counted(self, pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        for key, value in pairs:
            self._load.read_bytes(self.region.id, len(key) + len(value))
            yield key, value

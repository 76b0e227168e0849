"""Deleting a region's data."""

from rutile_kv.engine.api import DATA_CFS, Reader, WriteBatch
from rutile_proto import metapb_pb2 as metapb

_FAR_END = b"\xff" * 1024
"""Above every key anybody should use. Keys beyond it are looked for one by one."""


def clear_region(batch: WriteBatch, reader: Reader, region: metapb.Region) -> None:
    """Delete everything the region's range holds in the data families."""
    for cf in DATA_CFS:
        if region.end_key:
            batch.delete_range(cf, region.start_key, region.end_key)
            continue
        batch.delete_range(cf, region.start_key, _FAR_END)
        for key, _ in reader.scan(cf, max(region.start_key, _FAR_END), None):
            batch.delete(cf, key)

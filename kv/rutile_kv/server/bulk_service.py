"""RutileKv.BulkWrite: committed versions, already encoded, as one log entry of their region.

Made for loading data nobody reads or writes yet: it looks at no lock and checks for no conflict. So it may touch only
the families of committed versions, and it may put but also take back (a failed load). Many versions come as table
files; one that RocksDB would not take over, or that holds something else than it says, is refused here: in the log it
would stop every replica.

A load is the one client that fills disks faster than anybody can look. A store without room for a request and its
RESERVED_BYTES refuses it with DiskFull, which is no reason to stop: what is left is enough for everything else, for
taking the load back among it. Each leader looks at its own disk; replicas on smaller ones are PD's to keep empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rutile_kv.engine.api import CF_DEFAULT, CF_WRITE, FILE_CFS, Modify
from rutile_kv.engine.rocks_table_files import check_table_file
from rutile_kv.engine.table_file import TableFile
from rutile_kv.raftstore.commands import decode_modifies
from rutile_kv.server.boundary import unary
from rutile_kv.server.region_store import RegionStore
from rutile_kv.server.validation import check_encoded_key
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import DiskFull, EngineCorrupt, InvalidRequest

RESERVED_BYTES = 256 << 20
"""Of the disk, which loads leave free."""
_COPIES = 3
"""What is loaded lies on the disk as log, as a file to be checked, and as the engine's."""


class BulkService:
    """Mixed into the service; needs what is named here. The driver checks epoch and range."""

    kv: RegionStore
    cluster_id: int
    store_id: int
    max_entry_bytes: int
    free_bytes: Callable[[], int]

    @unary(rutilepb.BulkWriteResponse)
    async def BulkWrite(self, request: rutilepb.BulkWriteRequest) -> rutilepb.BulkWriteResponse:
        modifies = _checked(request.ops, self.max_entry_bytes)
        await self._check_room(request.ByteSize())
        for cf, key, value in modifies:
            if cf in FILE_CFS:
                await asyncio.to_thread(_check_file, key, value)
        if modifies:
            await self.kv.write(request.context, modifies)
        return rutilepb.BulkWriteResponse()

    async def _check_room(self, size_bytes: int) -> None:
        """Raises DiskFull."""
        free_bytes = await asyncio.to_thread(self.free_bytes)
        if free_bytes < RESERVED_BYTES + _COPIES * size_bytes:
            left = f"{free_bytes >> 20} MiB are left, and bulk loads leave {RESERVED_BYTES >> 20}"
            raise DiskFull([self.store_id], left)


def _checked(ops: rutilepb.WriteOps, limit_bytes: int) -> list[Modify]:
    """The changes; raises InvalidRequest when they are malformed, too many, or touch the lock family."""
    size_bytes = sum(map(len, ops.keys)) + sum(map(len, ops.values))
    if size_bytes > limit_bytes:
        raise InvalidRequest(f"the bulk write holds {size_bytes} bytes; the limit of one request is {limit_bytes}")
    try:
        modifies = decode_modifies(ops)
    except EngineCorrupt as error:
        raise InvalidRequest(f"malformed write operations: {error}") from error
    for cf, key, _ in modifies:
        if cf not in (CF_DEFAULT, CF_WRITE, *FILE_CFS):
            raise InvalidRequest(f"a bulk write holds committed versions: it may not touch the {cf} family")
        check_encoded_key("ops.keys", key)
    return modifies


def _check_file(key: bytes, value: bytes | None) -> None:
    """Raises InvalidRequest."""
    if value is None:
        raise InvalidRequest("a table file cannot be deleted")
    table = TableFile.from_bytes(value)
    for each in (table.first_key, table.last_key):
        check_encoded_key("the table file", each)
    if key != table.first_key:
        raise InvalidRequest("a table file is to be sent under its first key")
    check_table_file(table)

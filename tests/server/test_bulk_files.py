"""Table files at the store's door: what would stop every replica is refused before it is in the log."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import grpc
import pytest
from server_tools import WIRES, Served, serving

from rutile_kv.client.bulk_load import PUT_WRITE_FILE
from rutile_kv.engine.rocks_table_files import make_table_file
from rutile_kv.engine.table_file import TableFile
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.keys import storage_key, versioned_key

KEYS = [versioned_key(storage_key(b"k%03d" % number), 20) for number in range(100)]
GOOD = make_table_file(KEYS, [b"P\x0av\x01x"] * len(KEYS))


def request(served: Served, kind: int, key: bytes, value: bytes) -> rutilepb.BulkWriteRequest:
    ops = rutilepb.WriteOps(kinds=bytes([kind]), keys=[key], values=[value])
    return rutilepb.BulkWriteRequest(context=served.context(), ops=ops)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("kind", "key", "table", "says"),
    [
        (PUT_WRITE_FILE, KEYS[0], b"no file", "does not begin"),
        (PUT_WRITE_FILE, KEYS[0], GOOD.to_bytes()[:-1] + b"?", "checksum"),
        (PUT_WRITE_FILE, KEYS[0], replace(GOOD, data=GOOD.data[:-60]), "RocksDB refuses"),
        (PUT_WRITE_FILE, KEYS[0], replace(GOOD, data=b"noise" * 400), "RocksDB refuses"),
        (PUT_WRITE_FILE, KEYS[0], replace(GOOD, last_key=KEYS[-2]), "something else"),
        (PUT_WRITE_FILE, KEYS[0], replace(GOOD, entries=7), "something else"),
        (PUT_WRITE_FILE, KEYS[1], GOOD, "first key"),
        (PUT_WRITE_FILE, b"short", make_table_file([b"short"], [b""]), "versioned key"),
        (PUT_WRITE_FILE | 1, KEYS[0], b"", "cannot be deleted"),
    ],
)
def test_what_is_no_good_table_file(wire: str, kind: int, key: bytes, table: TableFile | bytes, says: str) -> None:
    async def main() -> None:
        async with serving(wire) as served:
            value = table if isinstance(table, bytes) else table.to_bytes()
            with pytest.raises(grpc.RpcError) as caught:
                await served.rutile.BulkWrite(request(served, kind, key, value))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert says in caught.value.details()
            assert (await served.get(b"k001", 25)).not_found

    asyncio.run(main())

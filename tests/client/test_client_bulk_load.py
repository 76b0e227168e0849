"""Bulk loads: table files, cut by region and by size, sent again where regions move."""

from __future__ import annotations

from typing import Any

import pytest
from client_fakes import DROP, World, run

from rutile_kv.client.bulk_load import FILE_FROM_BYTES, MAX_FILES_BYTES, CommittedRows
from rutile_kv.engine.rocks_table_files import pairs_of
from rutile_kv.engine.table_file import TableFile
from rutile_kv.mvcc.records import Write
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest
from rutile_proto.keys import storage_key, versioned_key


def rows_of(count: int, size: int) -> CommittedRows:
    keys = [storage_key(b"k%06d" % number) for number in range(count)]
    return CommittedRows.of(keys, [bytes([number % 251]) * size for number in range(count)], 10, 20)


def families(world: World) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """What arrived in `default` and `write`, out of files and single entries."""
    found: dict[int, dict[bytes, bytes]] = {0: {}, 2: {}}
    for (kind, key), value in world.cluster.bulk.items():
        family = kind >> 1
        if family < 6:
            found[family][key] = value
        else:
            found[(family - 6) * 2] |= dict(pairs_of(TableFile.from_bytes(value)))
    return found[0], found[2]


@pytest.mark.parametrize(("count", "size"), [(20_000, 100), (5_000, 400), (100, 50)])
def test_every_row_arrives(transport: str, count: int, size: int) -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"k000300", b"k003000")
        rows = rows_of(count, size)

        def split(request: Any) -> None:
            world.cluster.split(b"k001000")

        world.cluster.inject("BulkWrite", None, DROP, split)
        await world.client.bulk_load(rows)
        longs, writes = families(world)
        keys, values = rows.storage_keys.to_pylist(), rows.values.to_pylist()
        assert list(writes) == [] or sorted(writes) == [versioned_key(key, 20) for key in keys]
        outside = values if size > 255 else []
        assert longs == {versioned_key(key, 10): value for key, value in zip(keys, outside, strict=False)}
        if size <= 255:
            assert Write.from_bytes(writes[versioned_key(keys[7], 20)]).short_value == values[7]

    run(transport, body)


def test_files_that_do_not_compress_are_made_smaller() -> None:
    import random

    async def body(world: World) -> None:
        noise = random.Random(1)
        keys = [storage_key(b"k%06d" % number) for number in range(50_000)]
        rows = CommittedRows.of(keys, [noise.randbytes(200) for _ in keys], 10, 20)
        await world.client.bulk_load(rows)
        sent: list[rutilepb.WriteOps] = [call.ops for method, call in world.cluster.calls if method == "BulkWrite"]
        assert len(sent) > 1 and all(sum(map(len, ops.values)) <= MAX_FILES_BYTES for ops in sent)
        assert len(families(world)[1]) == 50_000

    run("local", body)


def test_rows_out_of_order_are_refused() -> None:
    async def body(world: World) -> None:
        rows = rows_of(FILE_FROM_BYTES // 50, 50)
        backwards = CommittedRows.of(rows.storage_keys.to_pylist()[::-1], rows.values.to_pylist(), 10, 20)
        with pytest.raises(InvalidRequest, match="ascend"):
            await world.client.bulk_load(backwards)
        assert world.cluster.bulk == {}

    run("local", body)

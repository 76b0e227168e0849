"""What DROP, TRUNCATE and FLASHBACK leave on the list of what garbage collection removes."""

from __future__ import annotations

import asyncio

from fake_client import FakeClient
from sql_runner import make_database

from rutile.ddl.delete_ranges import range_of_table
from rutile_proto.keys import meta_key, prefix_next

NOTES = meta_key("delete_range")

CREATE = (
    "CREATE TABLE t (a INT) PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (5), PARTITION q VALUES LESS THAN (9))"
)


async def ids_after(statements: list[str]) -> tuple[list[tuple[int, ...]], list[bytes]]:
    """(the physical ids after each statement, the notes of what is to be removed at the end)."""
    client = FakeClient()
    database = make_database(client)
    await database.start()
    session = await database.session("test")
    seen = []
    for statement in statements:
        await session.execute(statement)
        info = (await database.catalog.current()).table("test", "t")
        seen.append(info.physical_ids if info is not None else ())
    now = client.snapshot(await client.timestamp())
    notes = await now.scan(NOTES, prefix_next(NOTES), None)
    await session.close()
    await database.close()
    return seen, [key for key, _ in notes]


def noted(notes: list[bytes], physical_id: int) -> bool:
    return meta_key("delete_range", *range_of_table(physical_id)) in notes


def test_a_partition_truncated_or_dropped_is_to_be_removed() -> None:
    inserted = "INSERT INTO t VALUES (1), (6)"
    steps = [CREATE, inserted, "ALTER TABLE t TRUNCATE PARTITION p", "ALTER TABLE t DROP PARTITION p"]
    (first, _, truncated, dropped), notes = asyncio.run(ids_after(steps))
    assert truncated[0] not in first
    assert truncated[1] == first[1] == dropped[0]
    assert [noted(notes, each) for each in (*first, truncated[0])] == [True, False, True]


def test_a_table_takes_its_partitions_along_and_back() -> None:
    (first, truncated, _), notes = asyncio.run(ids_after([CREATE, "TRUNCATE TABLE t", "DROP TABLE t"]))
    assert not set(first) & set(truncated)
    assert all(noted(notes, each) for each in (*first, *truncated))
    (first, _, back), notes = asyncio.run(ids_after([CREATE, "DROP TABLE t", "FLASHBACK TABLE t"]))
    assert back == first
    assert not any(noted(notes, each) for each in first)

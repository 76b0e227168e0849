"""Fragments begin before the leaders have said how far a region has to be: no page leaves before they have."""

import asyncio
from collections.abc import Awaitable, Callable

import pyarrow as pa
import pytest
from server_tools import Served, serving

from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.keys import int_handle, record_key, table_range

SCHEMA = TableSchema(
    7, "t", (Column(1, "a", ColumnType(Kind.BIGINT), nullable=False),), primary_key=(1,), handle="int"
)  # fmt: skip


def run(scenario: Callable[[Served], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving("local") as served:
            await put(served, 1, 20)
            await scenario(served)
            assert served.kv.snapshots_open == 0

    asyncio.run(main())


async def put(served: Served, number: int, commit_ts: int) -> None:
    key = record_key(SCHEMA.table_id, int_handle(number))
    await served.put(commit_ts - 1, commit_ts, {key: RowCodec(SCHEMA).encode_row((number,))})


async def answer(served: Served, sql: str = "SELECT a FROM t ORDER BY a") -> list[int]:
    work = Fragment(sql, (Scan("t", SCHEMA, ("a",), (table_range(7),)),))
    request = coprocessor.BatchRequest(tp=200, data=work.to_proto().SerializeToString(), start_ts=30)
    ranges = [coprocessor.KeyRange(start=start, end=end) for start, end in (table_range(7),)]
    request.regions.add(region_id=1, region_epoch=served.kv.regions[1].region_epoch, ranges=ranges)
    found = [each async for each in served.tikv.BatchCoprocessor(request)]
    assert not any(each.other_error for each in found), found
    pages = [rutilepb.FragmentPage.FromString(each.data) for each in found]
    return [row for page in pages for row in pa.ipc.open_stream(page.arrow_ipc).read_all().column(0).to_pylist()]


def test_no_page_leaves_before_the_leaders_have_answered() -> None:
    async def scenario(served: Served) -> None:
        asked, may_answer = asyncio.Event(), asyncio.Event()

        async def confirming() -> None:
            asked.set()
            await may_answer.wait()

        served.kv.confirming = confirming
        reading = asyncio.ensure_future(answer(served))
        await asked.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        assert not reading.done()
        may_answer.set()
        assert await reading == [1]
        assert served.kv.snapshots_taken == 1

    run(scenario)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM t ORDER BY a", [0, 1]),
        ("SELECT CAST(CASE WHEN count(*) = 1 THEN 'one' ELSE '7' END AS BIGINT) FROM t", [7]),
    ],
    ids=["rows", "an error of the old rows"],
)
def test_what_was_read_too_early_is_read_again(sql: str, expected: list[int]) -> None:
    async def scenario(served: Served) -> None:
        async def confirming() -> None:
            await put(served, 0, 25)

        served.kv.are_new, served.kv.confirming = False, confirming
        assert await answer(served, sql) == expected
        assert served.kv.snapshots_taken == 2
        assert await answer(served, sql) == expected  # for a while nobody tries again
        assert served.kv.snapshots_taken == 3

    run(scenario)


def test_a_client_that_goes_away_while_leaders_are_asked_leaves_nothing_open() -> None:
    async def scenario(served: Served) -> None:
        asked = asyncio.Event()

        async def confirming() -> None:
            asked.set()
            await asyncio.Event().wait()

        served.kv.confirming = confirming
        reading = asyncio.ensure_future(answer(served))
        await asked.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert (served.kv.snapshots_taken, served.kv.snapshots_open) == (1, 0)

    run(scenario)

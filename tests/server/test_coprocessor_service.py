"""Fragments over both wires against plain Python, and everything that can stand in their way."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import pyarrow as pa
import pytest
from direct_kv import make_region
from server_tools import WIRES, Served, serving, until

from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_kv.server.config import StoreConfig
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.keys import int_handle, record_key, storage_key, table_range

SCHEMA = TableSchema(
    table_id=7,
    name="orders",
    columns=(
        Column(1, "id", ColumnType(Kind.BIGINT), nullable=False),
        Column(2, "city", ColumnType(Kind.VARCHAR, length=20)),
        Column(3, "amount", ColumnType(Kind.INT)),
    ),
    primary_key=(1,),
    handle="int",
)
ROWS = [(number, f"city {number % 3}", None if number % 10 == 0 else number * 7 % 50) for number in range(60)]
WHOLE = (table_range(SCHEMA.table_id),)
SUMS = "SELECT city, count(*) AS n, sum(amount) AS total FROM orders GROUP BY city ORDER BY city"
BORDERS = (20, 45)

Scenario = Callable[[Served], Awaitable[None]]


def key_of(number: int) -> bytes:
    return record_key(SCHEMA.table_id, int_handle(number))


def regions() -> list[metapb.Region]:
    borders = [storage_key(key_of(number)) for number in BORDERS]
    return [
        make_region(place + 1, *bounds)
        for place, bounds in enumerate(zip([b"", *borders], [*borders, b""], strict=True))
    ]


@pytest.fixture(params=WIRES)
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Runs a scenario against a service that holds ROWS, committed at 20, in three regions."""

    def run_it(scenario: Scenario, config: StoreConfig | None = None) -> None:
        async def main() -> None:
            async with serving(request.param, *regions(), config=config) as served:
                codec = RowCodec(SCHEMA)
                for region_id, low, high in ((1, 0, 20), (2, 20, 45), (3, 45, 60)):
                    values = {key_of(row[0]): codec.encode_row(row) for row in ROWS[low:high]}
                    await served.put(10, 20, values, region_id)
                await scenario(served)

        asyncio.run(main())

    return run_it


def fragment(sql: str = SUMS, columns: tuple[str, ...] = ("city", "amount"), **fields: Any) -> Fragment:
    return Fragment(sql, (Scan("orders", SCHEMA, columns, WHOLE),), **fields)


def batch_request(
    served: Served, work: Fragment, ts: int = 30, region_ids: Sequence[int] = (1, 2, 3)
) -> coprocessor.BatchRequest:
    request = coprocessor.BatchRequest(tp=200, data=work.to_proto().SerializeToString(), start_ts=ts)
    for region_id in region_ids:
        region = served.kv.regions[region_id]
        ranges = [coprocessor.KeyRange(start=start, end=end) for start, end in WHOLE]
        request.regions.add(region_id=region_id, region_epoch=region.region_epoch, ranges=ranges)
    return request


def unary_request(served: Served, work: Fragment, region_id: int, **fields: Any) -> coprocessor.Request:
    bounds = coprocessor.KeyRange(start=WHOLE[0][0], end=WHOLE[0][1])
    return coprocessor.Request(
        context=served.context(region_id),
        tp=200,
        data=work.to_proto().SerializeToString(),
        start_ts=30,
        **{"ranges": [bounds], **fields},
    )


async def answers(served: Served, request: coprocessor.BatchRequest) -> list[coprocessor.BatchResponse]:
    return [answer async for answer in served.tikv.BatchCoprocessor(request)]


def pages_of(found: Sequence[coprocessor.BatchResponse]) -> list[rutilepb.FragmentPage]:
    assert not any(answer.other_error or answer.retry_regions for answer in found), found
    return [rutilepb.FragmentPage.FromString(answer.data) for answer in found]


def rows_of(pages: Sequence[rutilepb.FragmentPage]) -> list[tuple[Any, ...]]:
    tables = [pa.ipc.open_stream(page.arrow_ipc).read_all() for page in pages]
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


def expected_sums() -> list[tuple[Any, ...]]:
    """The twin: plain Python."""
    found = []
    for city in sorted({row[1] for row in ROWS}):
        amounts = [row[2] for row in ROWS if row[1] == city]
        found.append((city, len(amounts), sum(amount for amount in amounts if amount is not None)))
    return found


# --- the good way -----------------------------------------------------------------------------------------------------


def test_a_query_over_three_regions_equals_plain_python(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        (page,) = pages_of(await answers(served, batch_request(served, fragment())))
        assert rows_of([page]) == expected_sums()
        summary = page.summary
        assert (summary.store_id, summary.rows_out, list(summary.region_ids)) == (1, 3, [1, 2, 3])
        (scan,) = summary.scans
        assert (scan.name, scan.rows_read, scan.regions, scan.path) == ("orders", 60, 3, "rows")

    run(scenario)


def test_the_second_time_the_mirror_answers_and_follows_what_is_written(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        async def path() -> str:
            pages = pages_of(await answers(served, batch_request(served, fragment(), ts=100)))
            return pages[-1].summary.scans[0].path

        assert [await path(), await path()] == ["rows", "mirror"]
        changed = RowCodec(SCHEMA).encode_row((1, "city 9", 1))
        await served.put(40, 50, {key_of(1): changed}, 1)
        assert [await path(), await path()] == ["mirror+delta", "mirror"]
        pages = pages_of(await answers(served, batch_request(served, fragment(), ts=100)))
        assert ("city 9", 1, 1) in rows_of(pages)
        old = pages_of(await answers(served, batch_request(served, fragment(), ts=30)))
        assert rows_of(old) == expected_sums()

    run(scenario)


def test_counting_needs_no_column(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        work = fragment("SELECT count(*) FROM orders", ())
        assert rows_of(pages_of(await answers(served, batch_request(served, work)))) == [(60,)]

    run(scenario)


def test_an_empty_result_has_its_schema(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        work = fragment("SELECT city FROM orders WHERE amount > 1000")
        (page,) = pages_of(await answers(served, batch_request(served, work)))
        assert pa.ipc.open_stream(page.arrow_ipc).schema.names == ["city"]
        assert page.HasField("summary")
        assert rows_of([page]) == []

    run(scenario)


def test_pages_have_at_most_page_rows_and_the_last_has_the_summary(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        work = fragment("SELECT id FROM orders", ("id",), page_rows=25)
        pages = pages_of(await answers(served, batch_request(served, work)))
        assert [len(rows_of([page])) for page in pages] == [20, 25, 15]
        assert [page.HasField("summary") for page in pages] == [False, False, True]
        assert [row[0] for row in rows_of(pages)] == [row[0] for row in ROWS]

    run(scenario)


def test_a_rowwise_fragment_reads_a_region_page_by_page(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        work = fragment("SELECT id FROM orders WHERE id % 2 = 0", ("id",), rowwise=True)
        found: list[int] = []
        start, end = WHOLE[0]
        sizes = []
        while True:
            bounds = [coprocessor.KeyRange(start=start, end=end)]
            answer = await served.tikv.Coprocessor(unary_request(served, work, 2, ranges=bounds, paging_size=10))
            rows = rows_of([rutilepb.FragmentPage.FromString(answer.data)])
            sizes.append(len(rows))
            found += [row[0] for row in rows]
            assert answer.range.start == start
            if answer.range.end == end:
                break
            start = answer.range.end
        assert (found, sizes) == ([number for number in range(20, 45) if number % 2 == 0], [5, 5, 3])

    run(scenario)


def test_one_region_without_paging_answers_at_once(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        work = fragment("SELECT id FROM orders", ("id",), page_rows=4)
        answer = await served.tikv.Coprocessor(unary_request(served, work, 1))
        assert rows_of([rutilepb.FragmentPage.FromString(answer.data)]) == [(number,) for number in range(20)]
        assert answer.range.end == WHOLE[0][1]

    run(scenario)


def test_reads_raise_max_ts(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await answers(served, batch_request(served, fragment(), ts=777))
        assert served.service.scheduler.max_ts.newest == 777

    run(scenario)


# --- what stands in the way -------------------------------------------------------------------------------------------


def test_one_region_that_fails_means_no_data_at_all(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        request = batch_request(served, fragment())
        request.regions[1].region_epoch.version = 9
        request.regions.add(region_id=99)
        (answer,) = await answers(served, request)
        assert (answer.data, sorted(region.id for region in answer.retry_regions)) == (b"", [2, 99])
        unary = unary_request(served, fragment(), 1)
        unary.context.region_epoch.version = 9
        assert (await served.tikv.Coprocessor(unary)).region_error.HasField("epoch_not_match")

    run(scenario)


def test_followers_serve_replica_reads(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        served.kv.followers.update((1, 2, 3))
        request = batch_request(served, fragment())
        (answer,) = await answers(served, request)
        assert len(answer.retry_regions) == 3
        request.context.replica_read = True
        assert rows_of(pages_of(await answers(served, request))) == expected_sums()

    run(scenario)


def test_a_lock_below_the_read_is_told_and_can_be_looked_through(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.lock(25, {key_of(30): b"half a row"}, 2)
        request = batch_request(served, fragment())
        (page,) = pages_of(await answers(served, request))
        assert (page.locked.lock_version, page.locked.key, page.arrow_ipc) == (25, key_of(30), b"")
        unary = await served.tikv.Coprocessor(unary_request(served, fragment(), 2))
        assert unary.locked.lock_version == 25
        assert rows_of(pages_of(await answers(served, batch_request(served, fragment(), ts=22)))) == expected_sums()
        request.context.resolved_locks.append(25)
        assert rows_of(pages_of(await answers(served, request))) == expected_sums()

    run(scenario)


def test_refusals_carry_their_class(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        for work, text in (
            (fragment(memory_limit_bytes=100), "FragmentFailed: the rows of the fragment's scans take more than 100"),
            (fragment("SELECT * FROM read_csv('/etc/passwd')"), "FragmentRefused: "),
            (fragment("SELECT CAST(city AS INT) FROM orders"), "FragmentFailed: "),
        ):
            (answer,) = await answers(served, batch_request(served, work))
            assert answer.other_error.startswith(text), answer.other_error
            unary = await served.tikv.Coprocessor(unary_request(served, work, 1))
            assert unary.other_error.startswith(text), unary.other_error
        wrong = batch_request(served, fragment())
        wrong.tp = 103
        (answer,) = await answers(served, wrong)
        assert "not supported" in answer.other_error
        assert rows_of(pages_of(await answers(served, batch_request(served, fragment())))) == expected_sums()

    run(scenario)


HOSTILE = (
    ("SELECT * FROM read_text('/etc/hostname')", "FragmentRefused"),
    ("ATTACH 'x'", "FragmentRefused"),
    ("SET memory_limit = '100GB'", "FragmentRefused"),
    ("SELECT lpad('x', 2000000000, 'y') FROM orders", "FragmentFailed"),
    ("SELECT list_sum(range(100000000)) FROM orders", "FragmentFailed"),
    ("SELECT repeat(repeat(city, 1000000), 1000000) FROM orders", "FragmentFailed"),
)


def test_hostile_fragments_end_with_a_reason_and_the_store_goes_on(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        for sql, error in HOSTILE:
            found = await answers(served, batch_request(served, fragment(sql)))
            assert [answer.other_error.partition(":")[0] for answer in found] == [error], sql
        assert rows_of(pages_of(await answers(served, batch_request(served, fragment())))) == expected_sums()

    run(scenario)


def test_a_fragment_that_is_no_message_is_an_invalid_argument(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        request = batch_request(served, fragment())
        request.data = b"\xff\xff"
        with pytest.raises(grpc.RpcError) as caught:
            await answers(served, request)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        paged = unary_request(served, fragment(), 1, paging_size=5)
        with pytest.raises(grpc.RpcError) as caught:
            await served.tikv.Coprocessor(paged)
        assert "rowwise" in caught.value.details()

    run(scenario)


def test_a_query_that_takes_too_long_is_stopped(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        endless = (
            "SELECT count(*) FROM orders a, orders b, orders c, orders d, orders e, orders f WHERE a.id+b.id+f.id=1"
        )
        request = batch_request(served, fragment(endless, ("id",)))
        request.context.max_execution_duration_ms = 200
        (answer,) = await answers(served, request)
        assert answer.other_error.startswith("FragmentCancelled: "), answer.other_error

    run(scenario)


def test_a_client_that_goes_away_frees_its_slot(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        endless = (
            "SELECT count(*) FROM orders a, orders b, orders c, orders d, orders e, orders f WHERE a.id+b.id+f.id=1"
        )
        gone = asyncio.ensure_future(answers(served, batch_request(served, fragment(endless, ("id",)))))
        await until(lambda: any(thread.name.startswith("coprocessor") for thread in threading.enumerate()))
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert rows_of(pages_of(await answers(served, batch_request(served, fragment())))) == expected_sums()

    run(scenario, StoreConfig(coprocessor_concurrency=1))


def test_snapshots_are_closed_whatever_happens(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        failing = batch_request(served, fragment("SELECT CAST(city AS INT) FROM orders"))
        stale = batch_request(served, fragment())
        stale.regions[2].region_epoch.version = 9
        for request in (failing, stale):
            await answers(served, request)
        assert (served.kv.snapshots_taken, served.kv.snapshots_open) == (5, 0)

    run(scenario)

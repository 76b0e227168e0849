"""A million rows as Arrow from the replicas to a client: Flight with one endpoint and with three, beside pyarrow
Flight's own loopback rate in the same run, Ibis, and DB-API's fetchall. GB/s: Arrow bytes over wall clock, planning
included, the best of RUNS (a first run fills the stores' mirrors). The last column is the ratio that means something on
another machine. A minute or two.

    python benchmarks/flight_scan.py [--rows 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import adbc_driver_flightsql.dbapi as adbc
import numpy as np
import pyarrow as pa
from pyarrow import flight

import rutile
from rutile.flight.wire import pack
from rutile.ibis import Backend as IbisBackend
from rutile.nodes.playground import Playground
from rutile_coprocessor.schema import TableSchema
from rutile_kv.client.client import Client
from rutile_proto import flightsqlpb_pb2 as pb
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.keys import int_handle, record_key

ALL = "SELECT * FROM big"
RUNS = 5
PARTS = 9
"""Regions of the table in the run with three endpoints."""


def table_of(rows: int) -> pa.Table:
    """Five columns, about 60 bytes a row."""
    rng = np.random.default_rng(7)
    text = pa.array([f"customer number {i % 5000:06}" for i in range(rows)])
    values = {name: rng.random(rows) for name in ("price", "discount", "tax")}
    return pa.table({"id": np.arange(rows), **values, "text": text})


def best(run: Callable[[], int]) -> float:
    """GB/s of the fastest run; `run` returns bytes."""
    rates = []
    for _ in range(RUNS):
        started = time.perf_counter()
        size = run()
        rates.append(size / (time.perf_counter() - started) / 1e9)
    return max(rates)


class _Loopback(flight.FlightServerBase):
    """pyarrow's own server with the same table in memory."""

    def __init__(self, table: pa.Table) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self._table = table

    def do_get(self, context: object, ticket: object) -> flight.RecordBatchStream:
        return flight.RecordBatchStream(self._table)


def read(client: flight.FlightClient, ticket: flight.Ticket) -> int:
    return int(client.do_get(ticket).read_all().nbytes)


def plan(location: str, sql: str) -> flight.FlightInfo:
    with flight.connect(location) as client:
        command = pack(pb.CommandStatementQuery(query=sql))
        return client.get_flight_info(flight.FlightDescriptor.for_command(command))


def fetch(location: str, threads: int) -> int:
    """Plan the scan and fetch its parts, so many at a time; the bytes that came."""
    endpoints = plan(location, ALL).endpoints

    def one(endpoint: flight.FlightEndpoint) -> int:
        with flight.connect(endpoint.locations[0]) as client:
            return read(client, endpoint.ticket)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(one, endpoints))


async def split(playground: Playground, rows: int) -> None:
    """Cut the table into PARTS regions."""
    ticket = plan(playground.flight_location, ALL).endpoints[0].ticket.ticket
    body = ticketpb.ScanTicket.FromString(ticket[11:-32])  # within its signature, see rutile_proto.signing
    table_id = TableSchema.from_bytes(body.fragment.scans[0].schema).table_id
    keys = [record_key(table_id, int_handle(rows * part // PARTS)) for part in range(1, PARTS)]
    async with await Client.connect([playground.pd_address]) as client:
        await client.split_regions(keys)
        await client.wait_for_regions(keys)


async def wait_for_replicas(playground: Playground) -> None:
    """Until every region is on three stores: what is cut from it later is so, too."""
    deadline = time.monotonic() + 120
    async with await Client.connect([playground.pd_address]) as client:
        while not all(len(each.region.peers) == 3 for each in await client.pd.scan_regions(b"", b"", 100)):
            if time.monotonic() > deadline:
                raise TimeoutError("the regions are not on three stores after two minutes")
            await asyncio.sleep(0.5)


def through_adbc(cursor: adbc.Cursor) -> int:
    return int(cursor.execute(ALL).fetch_arrow_table().nbytes)


def through_fetchall(connection: rutile.Connection, size_bytes: int) -> int:
    rows = connection.execute(ALL).fetchall()
    return size_bytes if rows else 0


def through_stream(connection: rutile.Connection) -> int:
    with connection.stream(ALL) as batches:
        return sum(batch.nbytes for batch in batches)


class Report:
    """Prints a line as soon as it is known; ratios are to the first."""

    def __init__(self) -> None:
        self._base: float | None = None
        print(f"  {'':54} {'GB/s':>7} {'of loopback':>12}")

    def line(self, what: str, run: Callable[[], int]) -> None:
        rate = best(run)
        self._base = self._base or rate
        print(f"  {what:54} {rate:7.3f} {rate / self._base:11.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    table = table_of(rows)
    print(f"{rows:,} rows, {table.nbytes / 1e6:.0f} MB of Arrow, best of {RUNS}\n")
    report = Report()
    with _Loopback(table) as server, flight.connect(f"grpc://127.0.0.1:{server.port}") as client:
        report.line("pyarrow Flight, loopback, table in memory", lambda: read(client, flight.Ticket(b"")))
    with Playground(3) as playground, adbc.connect(playground.flight_location, autocommit=True) as connection:
        asyncio.run(wait_for_replicas(playground))
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE big (id BIGINT PRIMARY KEY, price DOUBLE, discount DOUBLE, tax DOUBLE, text TEXT)")
        cursor.adbc_ingest("big", table.to_reader(max_chunksize=32_768), mode="append")
        from_replicas(report, playground, "as loaded")
        asyncio.run(split(playground, rows))
        from_replicas(report, playground, f"{PARTS} regions")
        report.line("ADBC, execute and fetch_arrow_table", lambda: through_adbc(cursor))
        cursor.close()
        with rutile.connect(playground.sql_address) as dbapi:
            through_the_server(report, dbapi, table.nbytes)


def from_replicas(report: Report, playground: Playground, regions: str) -> None:
    location = playground.flight_location
    endpoints = len(plan(location, ALL).endpoints)
    what = f"stores' replicas, {regions}, {endpoints} endpoint{'s' if endpoints > 1 else ''}"
    report.line(f"{what}, one at a time", lambda: fetch(location, 1))
    if endpoints > 1:
        report.line(f"{what}, all at once", lambda: fetch(location, endpoints))


def through_the_server(report: Report, dbapi: rutile.Connection, size_bytes: int) -> None:
    big = IbisBackend.from_connection(dbapi).table("big")
    report.line("SQL server: Ibis, to_pyarrow", lambda: int(big.to_pyarrow().nbytes))
    report.line("SQL server: Ibis, to_pyarrow_batches", lambda: sum(each.nbytes for each in big.to_pyarrow_batches()))
    report.line("SQL server: DB-API, stream", lambda: through_stream(dbapi))
    report.line("SQL server: DB-API, fetchall (Python rows)", lambda: through_fetchall(dbapi, size_bytes))


if __name__ == "__main__":
    main()

"""A table read by many workers at once, each from the store that has its part, all at one snapshot.

    rutile playground                                       # prints where Arrow Flight SQL is served
    python examples/flight_scan.py grpc://127.0.0.1:31337   # needs `pip install adbc-driver-flightsql`

The plan comes from the SQL server: partitions, each a signed ticket with a store's address. Whoever holds one can read
it, in whichever process and order, for ten minutes; rows changed meanwhile do not show.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc


def load(cursor: adbc.Cursor, rows: int) -> None:
    """An Arrow table becomes a database table; in batches, as gRPC's messages are bounded."""
    ids = pa.array(range(rows))
    table = pa.table({"id": ids, "city": pc.cast(pc.bit_wise_and(ids, 7), pa.string()), "amount": pc.multiply(ids, 2)})
    cursor.adbc_ingest("orders", table.to_reader(max_chunksize=16_384), mode="replace")


def read(location: str, partition: bytes) -> pa.Table:
    """One partition's rows, on a connection of its own."""
    with adbc.connect(location, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_read_partition(partition)
        return cursor.fetch_arrow_table()


def main(location: str) -> None:
    """Load, plan, change something, read what was there when it was planned."""
    with adbc.connect(location, autocommit=True) as connection, connection.cursor() as cursor:
        load(cursor, 50_000)
        partitions, schema = cursor.adbc_execute_partitions("SELECT city, amount FROM orders WHERE id >= 1000")
        print(f"{len(partitions)} partitions of {', '.join(schema.names)}")
        cursor.execute("DELETE FROM orders WHERE id < 2000")
    with ThreadPoolExecutor(len(partitions)) as pool:
        tables = list(pool.map(lambda each: read(location, each), partitions))
    table = pa.concat_tables(tables)
    print(f"{table.num_rows} rows, total amount {pc.sum(table['amount']).as_py()}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "grpc://127.0.0.1:31337")

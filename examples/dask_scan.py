"""A table as a Dask DataFrame: one Dask partition a Flight partition, read by whichever worker gets it.

    rutile playground
    python examples/dask_scan.py grpc://127.0.0.1:31337   # needs `pip install 'dask[dataframe]' adbc-driver-flightsql`

All partitions are of one snapshot, so the computation is of one, too, however long it takes within the tickets' ten
minutes. Rows go from the stores to the workers; the SQL server only plans.
"""

from __future__ import annotations

import sys

import adbc_driver_flightsql.dbapi as adbc
import dask.dataframe as dd
import pandas as pd
import pyarrow as pa


def read_partition(partition: bytes, location: str) -> pd.DataFrame:
    """Runs in a worker."""
    with adbc.connect(location, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_read_partition(partition)
        return cursor.fetch_arrow_table().to_pandas()


def read_sql(sql: str, location: str) -> dd.DataFrame:
    """The rows of a scan, filter or projection as a Dask DataFrame."""
    with adbc.connect(location, autocommit=True) as connection, connection.cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions(sql)
    return dd.from_map(read_partition, partitions, location=location, meta=schema.empty_table().to_pandas())


def main(location: str) -> None:
    """Sums by group, computed by Dask over what the stores send."""
    with adbc.connect(location, autocommit=True) as connection, connection.cursor() as cursor:
        sales = pa.table({"id": range(20_000), "shop": [i % 4 for i in range(20_000)], "amount": range(20_000)})
        cursor.adbc_ingest("sales", sales.to_reader(max_chunksize=10_000), mode="replace")
    frame = read_sql("SELECT shop, amount FROM sales WHERE amount >= 100", location)
    print(frame.groupby("shop")["amount"].sum().compute(scheduler="threads").sort_index().to_dict())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "grpc://127.0.0.1:31337")

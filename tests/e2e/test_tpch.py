"""All 22 TPC-H queries through a playground of real processes give DuckDB's answers on the same Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from tpch_queries import QUERIES

import rutile
from rutile.nodes.demo import TABLE_KEYS, import_tpch
from rutile.nodes.playground import Playground


@pytest.fixture(scope="module")
def tpch(playground: Playground, tpch_folder: Path) -> Iterator[rutile.Connection]:
    """A connection to a cluster that holds the tables."""
    import_tpch(f"pd://{playground.pd_address}", tpch_folder)
    with rutile.connect(playground.sql_address) as connection:
        yield connection


@pytest.fixture(scope="module")
def reference(tpch_folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB on the same files."""
    with duckdb.connect() as connection:
        for table in TABLE_KEYS:
            connection.execute(f"CREATE VIEW {table} AS SELECT * FROM '{tpch_folder / table}.parquet'")
        yield connection


def assert_same(ours: list[tuple[object, ...]], theirs: list[tuple[object, ...]]) -> None:
    """Equal rows in equal order; numbers to six digits: one side averages in DECIMAL, the other in DOUBLE."""
    assert len(ours) == len(theirs)
    for row, (mine, yours) in enumerate(zip(ours, theirs, strict=True)):
        for a, b in zip(mine, yours, strict=True):
            if isinstance(a, Decimal | float | int):
                assert float(a) == pytest.approx(float(b), rel=1e-6, abs=1e-6), f"row {row}: {mine} != {yours}"
            else:
                assert a == b, f"row {row}: {mine} != {yours}"


@pytest.mark.parametrize("number", sorted(QUERIES))
@pytest.mark.parametrize("mode", ["whole", "per_store"])
def test_query(tpch: rutile.Connection, reference: duckdb.DuckDBPyConnection, number: int, mode: str) -> None:
    tpch.execute(f"SET rutile_read_mode = '{mode}'")
    ours = tpch.execute(QUERIES[number]).fetchall()
    theirs = reference.execute(QUERIES[number]).fetchall()
    assert_same(ours, theirs)


def path_of(connection: rutile.Connection, number: int) -> str:
    """What EXPLAIN ANALYZE shows of a query, as one text."""
    rows = connection.execute(f"EXPLAIN ANALYZE {QUERIES[number]}").fetchall()
    return "\n".join(" ".join(str(cell) for cell in row) for row in rows)


@pytest.mark.parametrize("number", [5, 8])
def test_joins_of_several_stores(tpch: rutile.Connection, reference: duckdb.DuckDBPyConnection, number: int) -> None:
    """With statistics, what no store has all of is joined by sending small tables and keys to the large ones."""
    tpch.execute(f"ANALYZE TABLE {', '.join(TABLE_KEYS)}")
    tpch.execute("SET rutile_read_mode = 'per_store'")
    assert_same(tpch.execute(QUERIES[number]).fetchall(), reference.execute(QUERIES[number]).fetchall())
    shown = path_of(tpch, number)
    assert "ExchangeType: Broadcast" in shown or "runtime filter" in shown


@pytest.mark.parametrize("number", [6, 14])
def test_the_row_path_gives_the_mirrors_answer(tpch: rutile.Connection, number: int) -> None:
    tpch.execute("SET rutile_read_mode = 'auto'")
    mirrored = tpch.execute(QUERIES[number]).fetchall()
    tpch.execute("SET tidb_isolation_read_engines = 'tikv'")
    try:
        assert tpch.execute(QUERIES[number]).fetchall() == mirrored
        assert "path:rows" in path_of(tpch, number)
    finally:
        tpch.execute("SET tidb_isolation_read_engines = DEFAULT")

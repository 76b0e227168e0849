"""TPC-H from MySQL text to answers: translated, checked, run on rows that went through the row codec, compared with
plain DuckDB on the same Parquet files."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from sqlglot.optimizer.qualify import qualify

from rutile.translate import duckdb_sql
from rutile_coprocessor.execute import Executor
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.partial import split_query
from rutile_coprocessor.row import RowCodec

SCALE = "0.01"


def load_queries() -> ModuleType:
    path = Path(__file__).parent.parent / "tpch_queries.py"
    spec = importlib.util.spec_from_file_location("tpch_queries", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TPCH = load_queries()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tpch")
    command = [str(Path(sys.executable).parent / "tpchgen-cli"), "parquet", "-s", SCALE, "--output-dir", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def tables(files: Path) -> dict[str, list[pa.RecordBatch]]:
    """Every table, encoded into rows and decoded again."""
    found = {}
    for name, schema in TPCH.SCHEMAS.items():
        codec = RowCodec(schema)
        rows = [
            row for batch in pq.read_table(files / f"{name}.parquet").to_batches() for row in codec.encode_batch(batch)
        ]
        found[name] = [codec.decode_batch(rows)]
    return found


@pytest.fixture(scope="module")
def plain(files: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        for name in TPCH.SCHEMAS:
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{files / name}.parquet')")
        yield connection


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    executor = Executor(threads=1)
    yield executor
    executor.close()


def fragment_of(number: int) -> Fragment:
    columns = {name: {c.name: c.type.kind.value for c in schema.columns} for name, schema in TPCH.SCHEMAS.items()}
    query = qualify(sqlglot.parse_one(TPCH.QUERIES[number], read="mysql"), schema=columns, dialect="mysql")
    scans = tuple(
        Scan(name, schema, tuple(column.name for column in schema.columns)) for name, schema in TPCH.SCHEMAS.items()
    )
    return Fragment(duckdb_sql(query, TPCH.SCHEMAS), scans)


def comparable(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal | float | int) else value


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [[comparable(value) for value in column.to_pylist()] for column in table.columns]
    return list(zip(*columns, strict=True))


def assert_same(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> None:
    """Equal, numbers within the four decimals that MySQL's division keeps."""
    assert len(found) == len(expected)
    for left, right in zip(found, expected, strict=True):
        for mine, theirs in zip(left, right, strict=True):
            if isinstance(theirs, float):
                assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-4)
            else:
                assert mine == theirs


@pytest.mark.parametrize("number", sorted(TPCH.QUERIES))
def test_query_gives_duckdbs_answer(
    number: int,
    tables: dict[str, list[pa.RecordBatch]],
    plain: duckdb.DuckDBPyConnection,
    executor: Executor,
) -> None:
    with executor.run(fragment_of(number), tables) as pages:
        found = pa.Table.from_batches(list(pages), pages.schema)
    expected = plain.sql(sqlglot.transpile(TPCH.QUERIES[number], read="mysql", write="duckdb")[0]).to_arrow_table()
    assert found.schema.names == expected.schema.names
    assert_same(rows_of(found), rows_of(expected))


@pytest.mark.parametrize("number", [1, 6])
def test_single_table_queries_split_into_partials(number: int) -> None:
    plan = split_query(sqlglot.parse_one(fragment_of(number).sql, read="duckdb"))
    assert plan is not None
    assert plan.kind == "aggregate"

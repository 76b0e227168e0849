"""The Ibis backend, embedded: tables, changes, results, what is pushed down, and errors."""

from __future__ import annotations

import datetime
import decimal
import gc
import uuid
from collections.abc import Iterator
from pathlib import Path

import ibis
import ibis.common.exceptions as exc
import narwhals
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis import _

import rutile
from rutile.ibis import Backend

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'future.infer_string' option"),  # Ibis 12 asks for an option of pandas 2
    pytest.mark.filterwarnings("ignore:fetch_arrow_table"),  # and its DuckDB backend, which reads files, calls DuckDB 1
]
ITEMS = {"id": [1, 2, 3, 4], "kind": ["a", "b", "a", None], "price": [1.5, 2.5, None, 4.0]}


@pytest.fixture(scope="module")
def con() -> Iterator[Backend]:
    con = ibis.rutile.connect()
    con.create_table("item", pa.table(ITEMS), primary_key=["id"])
    yield con
    con.disconnect()


def rows(expr: ibis.Table) -> list[dict[str, object]]:
    return expr.to_pyarrow().to_pylist()


# --- connections and names --------------------------------------------------------------------------------------------


def test_connect_by_url(tmp_path: Path) -> None:
    con = ibis.connect(f"rutile://{tmp_path / 'shop'}")
    con.create_table("t", {"a": [1]})
    con.disconnect()
    again = ibis.connect(f"rutile://{tmp_path / 'shop'}")
    assert again.list_tables() == ["t"]
    assert again.table("t").a.sum().execute() == 1
    again.disconnect()


def test_over_an_open_connection() -> None:
    with rutile.connect() as connection:
        connection.execute("CREATE TABLE t (a INT PRIMARY KEY)")
        connection.begin()
        connection.execute("INSERT INTO t VALUES (7)")
        con = ibis.rutile.from_connection(connection)
        assert con.table("t").a.max().execute() == 7, "the open transaction's own rows"
        connection.rollback()
        assert con.table("t").count().execute() == 0


def test_databases(con: Backend) -> None:
    con.create_database("other")
    con.create_table("t", {"a": [1, 2]}, database="other")
    assert "other" in con.list_databases()
    assert con.list_tables(database="other") == ["t"]
    assert con.table("t", database="other").count().execute() == 2
    with pytest.raises(exc.IbisError, match="not empty"):
        con.drop_database("other")
    con.drop_database("other", cascade=True)
    assert con.list_catalogs() == ["def"]
    with pytest.raises(exc.UnsupportedOperationError, match="no catalog"):
        con.list_tables(database=("elsewhere", "test"))


# --- results ----------------------------------------------------------------------------------------------------------


def test_aggregation(con: Backend) -> None:
    item = con.table("item")
    expr = item.filter(item.id > 1).group_by("kind").agg(n=_.count(), total=_.price.sum()).order_by("kind")
    assert rows(expr) == [
        {"kind": "a", "n": 1, "total": None}, {"kind": "b", "n": 1, "total": 2.5}, {"kind": None, "n": 1, "total": 4.0},
    ]  # fmt: skip


def test_semantics_are_duckdbs_not_mysqls(con: Backend) -> None:
    item = con.table("item")
    assert (item.id / 2).max().execute() == 2.0
    assert (item.id // 3).max().execute() == 1
    assert item.order_by(_.kind).kind.to_pyarrow().to_pylist()[-1] is None, "NULLs last"
    assert ibis.literal("é").length().name("n").to_pyarrow().as_py() == 1
    with pytest.raises(rutile.DatabaseError):
        con.sql("SELECT CAST('x' AS INTEGER) AS a").to_pyarrow()


def test_result_types(con: Backend) -> None:
    expr = con.table("item").limit(1).select(
        array=ibis.array([1, 2]), struct=ibis.struct({"a": 1, "b": "x"}), map=ibis.map({"k": 1}),
        moment=ibis.timestamp("2024-02-03 04:05:06"), money=ibis.literal("1.20").cast("decimal(10, 2)"),
        id=ibis.literal("6f9619ff-8b86-d011-b42d-00c04fc964ff").cast("uuid"),
    )  # fmt: skip
    (row,) = rows(expr)
    assert row["array"] == [1, 2] and row["struct"] == {"a": 1, "b": "x"} and row["map"] == [("k", 1)]
    assert row["moment"] == datetime.datetime(2024, 2, 3, 4, 5, 6) and row["money"] == decimal.Decimal("1.20")
    assert str(row["id"]) == "6f9619ff-8b86-d011-b42d-00c04fc964ff"


def test_ways_out(con: Backend) -> None:
    item = con.table("item")
    assert isinstance(item.to_pandas(), pd.DataFrame)
    assert isinstance(item.to_polars(), pl.DataFrame)
    with item.to_pyarrow_batches(chunk_size=3) as reader:
        assert [batch.num_rows for batch in reader] == [3, 1]
    assert con.raw_sql("SELECT [1, 2] AS a").arrow().to_pylist() == [{"a": [1, 2]}]
    assert con.raw_sql("SHOW TABLES").fetchall() == [("item",)]


def test_narwhals_reads_our_tables(con: Backend) -> None:
    frame = narwhals.from_native(con.table("item"))
    grouped = frame.filter(narwhals.col("id") > 1).group_by("kind").agg(narwhals.col("price").sum())
    found = {row["kind"]: row["price"] for row in grouped.collect("pyarrow").to_native().to_pylist()}
    assert found["b"] == 2.5 and found[None] == 4.0


# --- what runs where --------------------------------------------------------------------------------------------------


def test_explain_shows_what_is_pushed_down(con: Backend) -> None:
    item = con.table("item")
    plan = con.explain(item.filter(item.id >= 3).group_by("kind").agg(total=_.price.sum()))
    assert "whole: the query runs in one store" in plan
    assert "TableRangeScan" in plan and "ranges:1, columns:id,kind,price" in plan


def test_every_store_aggregates(con: Backend) -> None:
    item = con.table("item")
    expr = item.mutate(double=item.price * 2).filter(_.double > 3).group_by("kind").agg(total=_.double.sum())
    con.plain("SET rutile_read_mode = 'per_store'")
    try:
        assert "per_store: aggregate in each store" in con.explain(expr, analyze=True)
        assert {row["kind"]: row["total"] for row in rows(expr)} == {"b": 5.0, None: 8.0}
    finally:
        con.plain("SET rutile_read_mode = 'auto'")


def test_what_depends_on_the_moment_stays_here(con: Backend) -> None:
    item = con.table("item")
    expr = item.filter(item.id < 3).mutate(r=ibis.random())
    assert "Selection" in con.explain(expr) and "StoreReader" in con.explain(expr)
    assert all(0 <= row["r"] < 1 for row in rows(expr))


# --- tables -----------------------------------------------------------------------------------------------------------


def test_every_column_type_comes_back(con: Backend) -> None:
    schema = ibis.schema({
        "flag": "bool", "tiny": "int8", "wide": "uint64", "real": "float32", "text": "string", "raw": "binary",
        "day": "date", "time": "time", "moment": "timestamp(6)", "zoned": "timestamp('UTC', 6)",
        "money": "decimal(12, 3)", "js": "json", "id": "uuid", "list": "array<int64>", "span": "interval('us')",
        "nested": "struct<a: array<string>, b: float64>", "pairs": "map<string, int64>", "required": "!int64",
    })  # fmt: skip
    key = uuid.uuid4()
    row = {
        "flag": True, "tiny": -3, "wide": 2**64 - 1, "real": 0.5, "text": "ä", "raw": b"\x00\x01",
        "day": datetime.date(2024, 2, 29), "time": datetime.time(23, 59, 59, 5),
        "moment": datetime.datetime(2024, 1, 2, 3, 4, 5, 6),
        "zoned": datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "money": decimal.Decimal("12.345"),
        "js": '{"a": [1, 2]}', "id": str(key), "list": [1, None], "nested": {"a": ["x"], "b": 1.5},
        "pairs": [("k", 1)], "span": datetime.timedelta(days=1, seconds=2), "required": 1,
    }  # fmt: skip
    empty = dict.fromkeys(row) | {"required": 2}
    table = con.create_table("every_type", schema=schema)
    assert table.schema() == schema
    arrow = pa.Table.from_pylist([row, empty], schema=_plain_uuid(schema.to_pyarrow()))
    con.insert("every_type", ibis.memtable(arrow, schema=schema))
    first, second = table.order_by("required").to_pyarrow().to_pylist()
    assert {name: str(value) if name in ("id", "js") else value for name, value in first.items()} == row
    assert second == empty
    con.drop_table("every_type")


def _plain_uuid(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_type(pa.string()) if field.name in ("id", "js") else field for field in schema])


def test_create_overwrite_rename_truncate_drop(con: Backend) -> None:
    con.create_table("t", {"a": [1]})
    with pytest.raises(rutile.DatabaseError, match="already exists"):
        con.create_table("t", {"a": [1]})
    con.create_table("t", {"a": ["x", "y"]}, overwrite=True)
    assert con.table("t").a.to_pyarrow().to_pylist() == ["x", "y"]
    con.rename_table("t", "u")
    con.truncate_table("u")
    assert con.table("u").count().execute() == 0
    con.drop_table("u")
    con.drop_table("u", force=True)
    with pytest.raises(rutile.DatabaseError, match="u"):
        con.drop_table("u")


@pytest.mark.parametrize(
    "given",
    [
        pytest.param([{"a": 3, "b": "x"}], id="rows"),
        pytest.param(pd.DataFrame({"a": [3], "b": ["x"]}), id="pandas"),
        pytest.param(pl.DataFrame({"a": [3], "b": ["x"]}), id="polars"),
        pytest.param(pa.table({"a": [3], "b": ["x"]}), id="arrow"),
        pytest.param(pa.table({"b": ["x"], "a": [3]}), id="other order"),
    ],
)
def test_insert(con: Backend, given: object) -> None:
    table = con.create_table("t", {"a": [1], "b": ["y"]}, overwrite=True)
    con.insert("t", given)
    assert rows(table.order_by("a")) == [{"a": 1, "b": "y"}, {"a": 3, "b": "x"}]
    con.insert("t", table.mutate(a=table.a + 10))
    assert sorted(table.a.to_pyarrow().to_pylist()) == [1, 3, 11, 13]
    con.insert("t", given, overwrite=True)
    assert table.a.to_pyarrow().to_pylist() == [3]


def test_many_rows_are_loaded_in_bulk(con: Backend) -> None:
    many = pa.table({"a": list(range(30_000)), "b": [True, False] * 15_000})
    table = con.create_table("many", many, primary_key=["a"])
    assert rows(table.filter(table.b).agg(n=_.count(), top=_.a.max())) == [{"n": 15_000, "top": 29_998}]
    with pytest.raises(rutile.IntegrityError, match="Duplicate"):
        con.create_table("twice", pa.concat_tables([many, many]), primary_key=["a"])
    assert "twice" not in con.list_tables()
    con.drop_table("many")


@pytest.mark.parametrize("key", [(), ("a",)])
def test_upsert_keeps_what_is_not_given(con: Backend, key: tuple[str, ...]) -> None:
    table = con.create_table("t", {"a": [1, 2], "b": ["x", "y"], "c": [1.0, 2.0]}, primary_key=key, overwrite=True)
    con.upsert("t", {"a": [2, 3], "b": ["new", "three"]}, on="a")
    assert rows(table.order_by("a")) == [
        {"a": 1, "b": "x", "c": 1.0}, {"a": 2, "b": "new", "c": 2.0}, {"a": 3, "b": "three", "c": None},
    ]  # fmt: skip
    with pytest.raises(exc.IbisInputError, match="no such column"):
        con.upsert("t", {"a": [1]}, on="b")


def test_temporary_tables_and_views(con: Backend) -> None:
    con.create_table("temporary", {"a": [[1], None]}, temp=True)
    con.create_view("big", con.table("item").filter(_.price > 2))
    assert {"temporary", "big"} <= set(con.list_tables())
    assert con.table("big").inner_join(con.table("temporary"), ibis.literal(True)).count().execute() == 4
    with con.con.duplicate() as other, pytest.raises(rutile.ProgrammingError, match="doesn't exist"):
        other.execute("SELECT * FROM temporary")
    con.insert("temporary", {"a": [[2, 3]]})
    assert con.table("temporary").a.length().sum().execute() == 3
    con.drop_view("big")
    con.drop_table("temporary")
    assert not {"temporary", "big"} & set(con.list_tables())


def test_memtables_go_when_nobody_has_them(con: Backend) -> None:
    notes = ibis.memtable({"id": [2, 3], "note": ["x", "y"]})
    name = notes.get_name()
    assert con.table("item").join(notes, "id").count().execute() == 2
    assert name in con.list_tables()
    del notes
    gc.collect()
    assert name not in con.list_tables()
    assert con.to_pyarrow(ibis.memtable({"other": [1]})).num_rows == 1
    assert name not in con.door("SHOW TABLES")["name"].to_pylist()


def test_files(con: Backend, tmp_path: Path) -> None:
    pq.write_table(pa.table(ITEMS), tmp_path / "item.parquet")
    (tmp_path / "item.csv").write_text("id,note\n1,x\n4,y\n")
    parquet, csv = con.read_parquet(tmp_path / "item.parquet"), con.read_csv(tmp_path / "item.csv", table_name="notes")
    assert parquet.join(csv, "id").count().execute() == 2
    assert con.table("item").join(con.table("notes"), "id").note.max().execute() == "y"
    con.to_parquet(con.table("item"), tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 4


@ibis.udf.scalar.python
def shout(text: str) -> str:
    return text.upper() + "!"


def test_functions_in_python_run_here(con: Backend) -> None:
    item = con.table("item")
    expr = item.filter(item.id < 3).mutate(loud=shout(item.kind)).order_by("id").select("loud")
    assert rows(expr) == [{"loud": "A!"}, {"loud": "B!"}]


# --- bad input --------------------------------------------------------------------------------------------------------


def test_errors_name_what_is_wrong(con: Backend) -> None:
    with pytest.raises(exc.TableNotFound, match="nothing"):
        con.table("nothing")
    with pytest.raises(exc.TableNotFound):
        con.list_tables(database="nowhere")
    with pytest.raises(AttributeError, match="nope"):
        con.table("item").nope  # noqa: B018
    with pytest.raises(rutile.DatabaseError, match="nope"):
        con.sql("SELECT nope FROM item")
    with pytest.raises(rutile.ProgrammingError, match="not a table"):
        con.sql("SELECT * FROM read_csv('/etc/passwd')")
    with pytest.raises(rutile.NotSupportedError, match="GETENV"):
        con.sql("SELECT getenv('HOME') AS a")
    with pytest.raises(exc.IbisTypeError, match="NULL"):
        con.create_table("t0", {"a": [None]})
    with pytest.raises(exc.IbisInputError, match="primary_key"):
        con.create_table("t0", {"a": [1]}, primary_key=["b"])
    with pytest.raises(rutile.DatabaseError):
        con.insert("item", {"id": ["x"], "kind": ["a"], "price": [1.0]})
    assert con.table("item").count().execute() == 4
    assert "t0" not in con.list_tables()


def test_a_closed_connection_says_so() -> None:
    con = ibis.rutile.connect()
    con.disconnect()
    with pytest.raises(rutile.InterfaceError, match="closed"):
        con.list_tables()

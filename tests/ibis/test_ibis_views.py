"""Views of the catalogue as tables of Ibis, and narwhals on top."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import ibis
import ibis.common.exceptions as exc
import pytest
from ibis import _

import rutile
from rutile.ibis import Backend

pytestmark = pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")


@pytest.fixture(scope="module")
def con() -> Iterator[Backend]:
    con = ibis.rutile.connect()
    for statement in (
        "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20), price DECIMAL(10, 2), made DATETIME)",
        "INSERT INTO item VALUES (1, 'a', 1.50, '2026-01-01 00:00:00'), (2, 'B', 2.25, NULL), (3, NULL, 10, NULL)",
        "CREATE VIEW dear AS SELECT id, UPPER(name) AS loud, price * 2 AS twice, 7 DIV id AS part FROM item"
        " WHERE id > 1",
        "CREATE VIEW nested (number, loud) AS SELECT id + 1, CONCAT(loud, '!') FROM dear",
        "CREATE VIEW counted AS SELECT COUNT(*) AS n, MAX(price) AS most FROM item",
        "CREATE DATABASE other",
        "CREATE VIEW other.far AS SELECT id FROM test.item",
    ):
        con.raw_sql(statement).close()
    yield con
    con.disconnect()


def test_views_are_listed_described_and_read(con: Backend) -> None:
    assert {"item", "dear", "nested", "counted"} <= set(con.list_tables()) and con.list_tables(database="other") == [
        "far"
    ]
    dear = con.table("dear")
    assert dear.columns == ("id", "loud", "twice", "part") and dear.schema()["twice"].is_decimal()
    assert dear.order_by("id").to_pyarrow().to_pylist() == [
        {"id": 2, "loud": "B", "twice": Decimal("4.50"), "part": 3},
        {"id": 3, "loud": None, "twice": Decimal("20.00"), "part": 2},
    ]
    assert con.table("nested").filter(_.loud.notnull()).to_pyarrow().to_pylist() == [{"number": 3, "loud": "B!"}]
    assert con.table("counted").to_pyarrow().to_pylist() == [{"n": 3, "most": Decimal("10.00")}]
    assert con.table("far", database="other").count().execute() == 3


def test_views_join_filter_and_explain(con: Backend) -> None:
    joined = con.table("dear").join(con.table("item"), "id").select("id", "name", "twice")
    assert joined.filter(_.id == 2).to_pyarrow().to_pylist() == [{"id": 2, "name": "B", "twice": Decimal("4.50")}]
    assert "TableRangeScan" in con.explain(con.table("dear").filter(_.id > 2))
    assert con.sql("SELECT d.id FROM dear d JOIN nested ON number = d.id").to_pyarrow().to_pylist() == [{"id": 3}]
    con.create_view("mine", con.table("dear").filter(_.id == 3))
    assert con.table("mine").loud.to_pyarrow().to_pylist() == [None]
    con.drop_view("mine")


def test_a_name_of_the_connection_goes_first(con: Backend) -> None:
    con.create_table("dear", {"x": [1]}, temp=True)
    assert con.table("dear").columns == ("x",)
    con.drop_table("dear")
    assert con.table("dear").columns[0] == "id"


def test_views_that_cannot_be_read_say_so(con: Backend) -> None:
    con.raw_sql("CREATE TABLE gone (id INT)").close()
    con.raw_sql("CREATE VIEW stale AS SELECT id FROM gone").close()
    con.raw_sql("DROP TABLE gone").close()
    with pytest.raises((exc.TableNotFound, rutile.DatabaseError), match=r"gone|stale"):
        con.table("stale").execute()
    with pytest.raises(rutile.DatabaseError, match="not updatable"):
        con.insert("dear", {"id": [9], "loud": ["x"], "twice": [Decimal(1)], "part": [1]})
    con.drop_view("stale")
    assert "stale" not in con.list_tables()
    with pytest.raises(rutile.DatabaseError, match="1051"):
        con.drop_view("stale")
    con.drop_view("stale", force=True)


def test_narwhals_on_top(con: Backend) -> None:
    narwhals = pytest.importorskip("narwhals")
    lazy = narwhals.from_native(con.table("dear"))
    found = (
        lazy.filter(narwhals.col("id") >= 2)
        .with_columns(more=narwhals.col("part") + 1)
        .group_by("more")
        .agg(narwhals.col("id").sum().alias("ids"))
        .sort("more")
        .collect()
    )
    assert narwhals.to_native(found).to_pylist() == [{"more": 3, "ids": 3}, {"more": 4, "ids": 2}]

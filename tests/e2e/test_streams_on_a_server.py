"""Results taken batch by batch from a SQL server, and by Ibis."""

from __future__ import annotations

import ibis
import pyarrow as pa
import pytest

import rutile
from rutile.nodes.playground import Playground

ROWS = 60_000
pytestmark = pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")


@pytest.fixture(scope="module", autouse=True)
def wide(playground: Playground) -> None:
    """Eighty kilobytes are not seen by gRPC's flow control; forty megabytes are."""
    with rutile.connect(f"pd://{playground.pd_address}") as connection:
        table = pa.table({"id": range(ROWS), "text": ["x" * 600] * ROWS})
        connection.insert_arrow("streamed", table, mode="replace", primary_key=["id"])
        connection.execute(f"SPLIT TABLE streamed BETWEEN (0) AND ({ROWS}) REGIONS 12")


def test_pages_from_a_server(playground: Playground) -> None:
    with rutile.connect(playground.sql_address) as connection:
        with connection.stream("SELECT id, text FROM streamed") as batches:
            assert batches.schema.names == ["id", "text"]
            assert sorted(id_ for batch in batches for id_ in batch["id"].to_pylist()) == list(range(ROWS))
        with connection.stream("SELECT id, text FROM streamed") as batches:
            next(batches)
        assert connection.execute("SELECT COUNT(*) FROM streamed").fetchall() == [(ROWS,)]
        with pytest.raises(rutile.ProgrammingError, match="1146"):
            connection.stream("SELECT * FROM missing")
        left = connection.stream("SELECT id, text FROM streamed")
        next(left)
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        with pytest.raises(rutile.InterfaceError, match="ends the stream"):
            list(left)
        forgotten = connection.stream("SELECT id, text FROM streamed")
        next(forgotten)
        del forgotten
        assert connection.execute("SELECT 2").fetchall() == [(2,)]


def test_all_pages_are_of_one_moment(playground: Playground) -> None:
    with rutile.connect(playground.sql_address) as connection, connection.duplicate() as other:
        batches = connection.stream("SELECT id, text FROM streamed")
        rows = next(batches).num_rows
        other.execute("DELETE FROM streamed WHERE id >= 59990")
        rows += sum(batch.num_rows for batch in batches)
        assert rows == ROWS
        other.execute("INSERT INTO streamed SELECT id + 10, text FROM streamed WHERE id >= 59980")


def test_ibis_batches(playground: Playground) -> None:
    con = ibis.connect(f"rutile://{playground.sql_address}/test")
    table = con.table("streamed")
    with table.filter(table.id < 30_000).select("id").to_pyarrow_batches(chunk_size=5000) as reader:
        sizes = [batch.num_rows for batch in reader]
    assert sum(sizes) == 30_000 and max(sizes) <= 5000 and reader.schema.names == ["id"]
    assert sum(batch.num_rows for batch in table.group_by("text").agg(n=table.count()).to_pyarrow_batches()) == 1
    reader = table.to_pyarrow_batches()
    reader.read_next_batch()
    del reader
    assert table.count().execute() == ROWS
    con.disconnect()

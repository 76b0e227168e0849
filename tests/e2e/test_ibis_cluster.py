"""Ibis on a cluster: through a SQL server, and with the front end here."""

from __future__ import annotations

import ibis
import pytest
from ibis import _

from rutile.nodes.playground import Playground

ROWS = 25_000
pytestmark = pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")


def test_ibis_through_a_sql_server_and_over_pd(playground: Playground) -> None:
    con = ibis.connect(f"rutile://{playground.sql_address}/test")
    lists = {"id": list(range(ROWS)), "both": [[1, 2]] * ROWS}
    table = con.create_table("ibis_lists", lists, primary_key=["id"], overwrite=True)
    answer = table.filter(_.id > 10).agg(n=_.count(), items=_.both.length().sum())
    assert answer.to_pyarrow().to_pylist() == [{"n": ROWS - 11, "items": 2 * (ROWS - 11)}]
    notes = ibis.memtable({"id": [1, ROWS], "note": ["a", "b"]})
    assert table.join(notes, "id").note.to_pyarrow().to_pylist() == ["a"]
    con.upsert("ibis_lists", {"id": [1, ROWS], "both": [[9], [8]]}, on="id")
    assert table.filter(_.id.isin([1, ROWS])).order_by("id").both.to_pyarrow().to_pylist() == [[9], [8]]
    assert "TableRangeScan" in con.explain(table.filter(_.id < 5).agg(_.count()))
    con.disconnect()
    over_pd = ibis.connect(f"rutile://{playground.pd_address}?cluster=pd")
    assert over_pd.table("ibis_lists").count().execute() == ROWS + 1
    over_pd.drop_table("ibis_lists")
    over_pd.disconnect()

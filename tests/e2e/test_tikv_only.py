"""The SQL front end on stores that answer nothing but TiKV's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

import rutile
from rutile_kv.client.loop_thread import LoopThread
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.node import StoreNode
from rutile_pd.node import PdConfig, PdNode


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A placement driver with one store whose own RPCs are switched off."""
    loop = LoopThread()
    pd = PdNode(None, "127.0.0.1:0", config=PdConfig(max_replicas=1))

    async def start() -> StoreNode:
        await pd.start()
        config = StoreConfig(address="127.0.0.1:0", pd_addresses=(pd.address,), tikv_only=True)
        store = StoreNode(config)
        await store.start()
        return store

    async def stop(store: StoreNode) -> None:
        await store.stop()
        await pd.stop()

    store = loop.run(start())
    yield pd.address
    loop.run(stop(store))
    loop.stop()


def test_sql_works_with_fragments_run_here(address: str) -> None:
    with rutile.connect(f"tikv://{address}") as connection:
        connection.execute("CREATE TABLE item (id INT PRIMARY KEY, kind CHAR(1), price DECIMAL(10, 2))")
        connection.execute("CREATE TABLE log (line TEXT)")
        connection.executemany("INSERT INTO item VALUES (?, ?, ?)", [(i, "ab"[i % 2], i) for i in range(100)])
        connection.execute("INSERT INTO log VALUES ('x'), ('y')")
        connection.execute("UPDATE item SET price = price + 1 WHERE id >= 50")
        total = connection.execute("SELECT kind, COUNT(*), SUM(price) FROM item GROUP BY kind ORDER BY kind").fetchall()
        assert total == [("a", 50, Decimal("2475.00")), ("b", 50, Decimal("2525.00"))]
        joined = connection.execute("SELECT COUNT(*) FROM item a JOIN item b ON a.id = b.id + 1, log").fetchall()
        assert joined == [(198,)]
        connection.begin()
        connection.execute("DELETE FROM log WHERE line = 'x'")
        assert connection.execute("SELECT line FROM log").fetchall() == [("y",)]
        connection.rollback()
        assert connection.execute("SELECT COUNT(*) FROM log WHERE line > ''").fetchall() == [(2,)]


def test_such_stores_do_refuse_fragments(address: str) -> None:
    """Without the scheme that says so, the front end asks for more than they answer."""
    with rutile.connect(f"pd://{address}") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS asked (id INT PRIMARY KEY)")
        with pytest.raises(rutile.Error, match=r"200 are not supported"):
            connection.execute("SELECT COUNT(*) FROM asked")

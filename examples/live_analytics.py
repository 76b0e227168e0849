"""Figures of a shop, by Ibis, while orders come in and are paid.

python examples/live_analytics.py                       # in this process
python examples/live_analytics.py 127.0.0.1:4001        # a SQL server

One thread writes in transactions; the other asks what they add up to. An order's lines and its total are written
together, so whatever moment a question falls into, the two agree.
"""

from __future__ import annotations

import random
import sys
import threading

import ibis
from ibis import _

import rutile

ORDERS = 60
KINDS = ("book", "game", "map")


def prepare(con: ibis.BaseBackend) -> None:
    """Two tables, with keys."""
    orders = ibis.schema({"id": "!int64", "paid": "boolean", "total": "int64"})
    lines = ibis.schema({"order_id": "!int64", "number": "!int64", "kind": "string", "cents": "int64"})
    con.create_table("orders", schema=orders, primary_key=["id"], overwrite=True)
    con.create_table("lines", schema=lines, primary_key=["order_id", "number"], overwrite=True)


def sell(connection: rutile.Connection, stop: threading.Event) -> None:
    """Orders of up to four lines, each in one transaction; some are paid."""
    rng = random.Random(7)
    for order in range(ORDERS):
        cents = [rng.randint(100, 9_900) for _ in range(rng.randint(1, 4))]
        with connection.transaction():
            connection.execute("INSERT INTO orders VALUES (?, ?, ?)", (order, False, sum(cents)))
            for number, price in enumerate(cents):
                connection.execute("INSERT INTO lines VALUES (?, ?, ?, ?)", (order, number, rng.choice(KINDS), price))
        if rng.random() < 0.5:
            connection.execute("UPDATE orders SET paid = TRUE WHERE id = ?", (order,))
    stop.set()


def watch(con: ibis.BaseBackend, stop: threading.Event) -> int:
    """Ask until all is sold; the number of questions. Every answer is of one moment."""
    orders, lines = con.table("orders"), con.table("lines")
    by_order = lines.group_by("order_id").agg(cents=_.cents.sum())
    both = orders.join(by_order, orders.id == by_order.order_id)
    question = both.agg(n=_.count(), total=_.total.sum(), cents=_.cents.sum(), paid=_.paid.sum())
    asked = 0
    while not stop.is_set() or not asked:
        (answer,) = question.to_pyarrow().to_pylist()
        assert answer["total"] == answer["cents"], f"torn: {answer}"
        asked += 1
    return asked


def main() -> None:
    con = ibis.rutile.connect(sys.argv[1] if len(sys.argv) > 1 else None)
    prepare(con)
    stop = threading.Event()
    with con.con.duplicate() as connection:
        seller = threading.Thread(target=sell, args=(connection, stop))
        seller.start()
        asked = watch(con, stop)
        seller.join()
    lines = con.table("lines")
    by_kind = lines.group_by("kind").agg(sold=_.count(), euros=_.cents.sum() / 100).order_by("kind")
    print(con.explain(by_kind))
    print(by_kind.to_pandas().to_string(index=False))
    print(f"{ORDERS} orders; asked {asked > 0 and 'while they came in'}; every answer added up")
    con.disconnect()


if __name__ == "__main__":
    main()

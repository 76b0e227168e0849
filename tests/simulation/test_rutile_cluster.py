"""What is shipped in `rutile.testing`, used as docs/testing.md tells."""

from __future__ import annotations

from rutile.testing.fixture import RutileCluster, rutile_cluster

__all__ = ["rutile_cluster"]  # the fixture, where pytest finds it


def test_money_survives_the_death_of_a_store(rutile_cluster: RutileCluster) -> None:
    with rutile_cluster.connect() as connection:
        connection.execute("CREATE TABLE account (id INT PRIMARY KEY, balance INT)")
        connection.execute("INSERT INTO account VALUES (1, 100), (2, 100)")
        rutile_cluster.kill_store(1)
        connection.execute("UPDATE account SET balance = balance - 10 WHERE id = 1")
        connection.execute("UPDATE account SET balance = balance + 10 WHERE id = 2")
        rutile_cluster.restart_store(1)
        assert connection.execute("SELECT SUM(balance) FROM account").fetchone() == (200,)


def test_every_fault_can_be_asked_for(rutile_cluster: RutileCluster) -> None:
    with rutile_cluster.connect() as connection:
        connection.execute("CREATE TABLE t (id INT PRIMARY KEY)")
        rutile_cluster.partition(2)
        connection.execute("INSERT INTO t VALUES (1)")
        rutile_cluster.heal()
        rutile_cluster.pause_store(3)
        connection.execute("INSERT INTO t VALUES (2)")
        rutile_cluster.resume_store(3)
        rutile_cluster.skew_clock(1, ahead_s=-5.0, rate=1.05)
        assert rutile_cluster.add_store() == 4
        assert rutile_cluster.stores == [1, 2, 3, 4]
        connection.execute("INSERT INTO t VALUES (3)")
        assert connection.execute("SELECT COUNT(*) FROM t").fetchone() == (3,)

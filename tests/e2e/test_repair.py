"""A store that stays away has its peers replaced on the store that is left."""

from __future__ import annotations

import pytest
from e2e_tools import regions, wait_for_replicas, wait_until

import rutile
from rutile.nodes.playground import Playground

MAX_STORE_DOWN_S = 15.0
"""Above the ten seconds between two heartbeats of a store."""


@pytest.mark.slow
def test_peers_of_a_lost_store_are_replaced(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Playground(4, tmp_path_factory.mktemp("repair"), max_store_down_s=MAX_STORE_DOWN_S) as cluster:
        wait_for_replicas(cluster, 3)
        with rutile.connect(cluster.sql_address) as connection:
            connection.execute("CREATE TABLE kept (id INT PRIMARY KEY)")
            connection.executemany("INSERT INTO kept VALUES (?)", [(i,) for i in range(100)])
            before = {peer.store_id for peer in regions(cluster)[0].region.peers}
            lost_id, index = next((store_id, i) for i, store_id in enumerate(store_ids(cluster)) if store_id in before)
            cluster.stores[index].kill()
            wait_until("the lost store to be replaced", lambda: replaced(cluster, lost_id), 90)
            assert connection.execute("SELECT COUNT(*) FROM kept").fetchall() == [(100,)]


def store_ids(cluster: Playground) -> list[int]:
    """The stores' ids, in the order of `cluster.stores`, read from their logs."""
    return [int(child.log_path.read_text().split("store ")[1].split()[0]) for child in cluster.stores]


def replaced(cluster: Playground, lost_id: int) -> bool:
    """Whether every region has three peers that work, none of them on the lost store."""
    return all(
        len(r.region.peers) == 3 and not r.pending_peers and lost_id not in {peer.store_id for peer in r.region.peers}
        for r in regions(cluster)
    )

"""Table files through the log: every replica takes them over, also one that was away, fell or came later."""

import pytest

from rutile_kv.engine.api import CF_WRITE, CF_WRITE_FILE
from rutile_kv.engine.rocks_table_files import make_table_file
from rutile_kv.raftstore.events import Write
from rutile_proto.errors import KeyNotInRegion

PAIRS = [(b"key%04d" % number, b"v%d" % number) for number in range(200)]


def load(cluster, pairs=PAIRS):
    """Ask the leader to load them; the token."""
    table = make_table_file([key for key, _ in pairs], [value for _, value in pairs])
    modify = (CF_WRITE_FILE, table.first_key, table.to_bytes())
    return cluster.ask_leader(lambda token, context: Write(token, context, [modify]))


def held(cluster, store_id):
    return list(cluster.machines[store_id].engine.scan(CF_WRITE, b"", None))


def test_all_replicas_hold_what_was_loaded(cluster):
    cluster.grow()
    cluster.result(load(cluster))
    cluster.caught_up()
    for store_id in cluster.machines:
        assert held(cluster, store_id) == PAIRS
    cluster.check_replicas()


def test_a_file_that_reaches_beyond_the_region_is_refused(cluster):
    cluster.grow()
    cluster.split((b"key0100", 2))
    for region_id in (1, 2):
        table = make_table_file([key for key, _ in PAIRS], [value for _, value in PAIRS])
        modify = (CF_WRITE_FILE, table.first_key, table.to_bytes())
        token = cluster.ask_leader(lambda token, context, each=modify: Write(token, context, [each]), region_id)
        cluster.settle()
        assert isinstance(cluster.error(token), KeyNotInRegion)
    assert all(held(cluster, store_id) == [] for store_id in cluster.machines)


def test_a_store_that_was_away_gets_it_from_the_log(cluster):
    cluster.grow()
    away = next(each for each in cluster.machines if each != cluster.leader().peer.store_id)
    cluster.isolate(away)
    cluster.result(load(cluster))
    assert held(cluster, away) == []
    cluster.heal()
    cluster.caught_up()
    assert held(cluster, away) == PAIRS


@pytest.mark.parametrize("survivors", [0, 1, 2, 99])
def test_a_power_cut_behind_a_load_costs_nothing(cluster, survivors):
    cluster.grow()
    cluster.result(load(cluster))
    store_id = cluster.leader().peer.store_id
    machine = cluster.machines[store_id]
    machine.crash(survivors)
    machine.restart()
    cluster.caught_up()
    cluster.write((b"later", b"x"))
    cluster.caught_up()
    for each in cluster.machines:
        assert held(cluster, each) == PAIRS
    cluster.check_replicas()

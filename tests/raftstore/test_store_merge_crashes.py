"""Power cuts at every step of every round of a merge, on the store that leads both regions, on one that follows, and on
all of them: afterwards the regions are one, or two that can be made one."""

import pytest

from rutile_kv.raftstore.events import Merge
from rutile_proto.errors import RutileError

STEPS = ("before write", "after write", "after sync", "after messages", "after advance")
SOURCE, TARGET = 2, 1


def halved(cluster):
    if cluster.leader().peer.store_id != 1:
        cluster.move_leader(1)
    cluster.split((b"m", SOURCE))
    cluster.wait(lambda: cluster.leader(SOURCE))
    cluster.write((b"a", b"left"), region_id=SOURCE)
    cluster.write((b"z", b"right"))
    return cluster


def ask(cluster):
    """Ask whoever leads the source, if the target is there too."""
    leader = cluster.leader(SOURCE)
    target = leader and cluster.info(leader.peer.store_id, TARGET)
    if not target:
        return None
    context = cluster.context(leader.peer.store_id, SOURCE)
    return cluster.ask(leader.peer.store_id, lambda token: Merge(token, context, target.region))


def merge_through(cluster):
    """Ask for the merge until it is done, and bring up whoever went down. Returns how many did."""
    crashes = 0
    for _ in range(60):
        token = ask(cluster)
        for _ in range(6):
            cluster.tick()
            for machine in cluster.machines.values():
                if not machine.up:
                    crashes += 1
                    machine.restart()
        completion = cluster.completions.get(token)
        assert completion is None or completion.error is None or isinstance(completion.error, RutileError)
        if all(cluster.info(store_id, SOURCE) is None for store_id in cluster.machines):
            for machine in cluster.machines.values():
                machine.crash_at = None
            return crashes
    raise AssertionError("the regions never became one")


def check_whole(cluster):
    cluster.wait(lambda: cluster.leader(TARGET))
    cluster.write((b"b", b"new"))
    cluster.caught_up(TARGET)
    for store_id in cluster.machines:
        assert [cluster.get(store_id, key) for key in (b"a", b"b", b"z")] == [b"left", b"new", b"right"]
    cluster.check_replicas()
    cluster.check_tiles([TARGET])


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("victim", [1, 3], ids=["leader", "follower"])
@pytest.mark.parametrize("survivors", [0, 1], ids=["all-lost", "one-through"])
def test_a_power_cut_at_any_round_of_a_merge(new_cluster, step, victim, survivors):
    crashes = 0
    for number in range(1, 9):
        cluster = halved(new_cluster(seed=number).grow())
        machine = cluster.machines[victim]
        machine.crash_at = (machine.rounds + number, step, survivors)
        crashes += merge_through(cluster)
        check_whole(cluster)
    assert crashes > 4, "the merge takes that many rounds"


@pytest.mark.parametrize("step", STEPS)
def test_every_store_at_once(new_cluster, step):
    for number in range(1, 7):
        cluster = halved(new_cluster(seed=number).grow())
        for machine in cluster.machines.values():
            machine.crash_at = (machine.rounds + number, step, number % 2)
        merge_through(cluster)
        check_whole(cluster)


@pytest.mark.parametrize("step", STEPS)
def test_while_a_snapshot_of_the_target_takes_the_place_of_the_source(new_cluster, step):
    for number in range(1, 5):
        cluster = halved(new_cluster(seed=number).grow())
        cluster.isolate(3)
        cluster.result(ask(cluster))
        cluster.wait(lambda cluster=cluster: cluster.info(1, SOURCE) is None and cluster.info(2, SOURCE) is None)
        for key in range(60):
            cluster.write((b"k%03d" % key, b"v"))
        cluster.wait(lambda cluster=cluster: cluster.leader().truncated_index > 40)
        victim = cluster.machines[3]
        victim.crash_at = (victim.rounds + number, step, number % 3)
        cluster.heal()
        for _ in range(40):
            cluster.tick()
            if not victim.up:
                victim.restart()
        cluster.wait(lambda cluster=cluster: cluster.info(3, SOURCE) is None)
        check_whole(cluster)

"""kill -9 before and after every place where a store or a placement driver writes, on three stores under load: what was
acknowledged is there afterwards, replicas agree, regions tile the key space, and the cluster serves.

The seldom places are made common (`place_provocations`). A store that died comes back on what it has; a place is passed
by one process at a time, so the others go on meanwhile, and the dead one has to catch up.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from place_playground import PlacePlayground, PlaceWorld, place_world, until
from place_provocations import PD_PLACES, STORE_PLACES, PlaceToDie, take_a_replica

from rutile.ctl.console import connect
from rutile.nodes.child_process import Child
from rutile_kv.client.pd import PdClient
from rutile_kv.raftstore.write_places import WRITE_PLACES
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdraftpb_pb2 as pdraftpb

DEATH_S = 90.0
SIDES = ("before", "after")
MORE_THAN_A_LOG = 1_300
"""Entries; a placement driver keeps 1,024 at most."""
AT_BIRTH = {"ident", "first_region"}
"""See test_failpoints.py."""
NOT_PROVOKED = {"clear_first_region", "damage"}
"""Two stores that are the first one at once, and a disk that changes what it holds: in tests of their own."""


async def kill_a_store_at(world: PlaceWorld, place: PlaceToDie, side: str) -> None:
    """Have it happen, bring the store back, and look at everything."""
    cluster, victim = world.cluster, world.dice.randrange(3)
    doomed = cluster.stores if place.everybody else [cluster.stores[victim]]
    for child in doomed:
        cluster.arm(child, f"store.{place.name}.{side}=exit@{place.passage}")
    await die(world, place, victim, doomed)
    for child in cluster.stores:
        cluster.arm(child, "")
    await revive_stores(world)
    await look(world)


async def kill_the_pd_at(world: PlaceWorld, place: PlaceToDie, side: str) -> None:
    """The same for the placement driver."""
    (pd,) = world.cluster.pds
    world.cluster.arm(pd, f"pd.{place.name}.{side}=exit@{place.passage}")
    await die(world, place, 0, [pd])
    pd.kill()
    world.cluster.arm(pd, "")
    await asyncio.to_thread(world.cluster.restart_pd, 0)
    await look(world)


async def die(world: PlaceWorld, place: PlaceToDie, victim: int, doomed: Sequence[Child]) -> None:
    """Provoke until one of them is dead. What is being asked then, goes on as long as it likes: it may be waiting for
    the dead."""
    deadline = time.monotonic() + DEATH_S
    asking = asyncio.ensure_future(asyncio.sleep(0))
    while not any(map(is_dead, doomed)):
        assert time.monotonic() < deadline, f"nobody came to {place.name}"
        if asking.done():
            asking = world.ask(place.provoke(world, victim))
        await asyncio.sleep(0.02)


async def revive_stores(world: PlaceWorld) -> None:
    """Start again who is dead; the address is the old one."""
    for index, child in enumerate(world.cluster.stores):
        if is_dead(child):
            child.kill()
            await asyncio.to_thread(world.cluster.restart_store, index)


def is_dead(child: Child) -> bool:
    return child.process is None or child.process.poll() is not None


async def look(world: PlaceWorld) -> None:
    """The invariants."""
    await until("the cluster serves", world.ledger.goes_on)
    await until("what was asked is answered", world.is_answered)
    await until("regions tile, on three stores", world.is_whole)
    await world.ledger.check()
    await until("replicas compare their data", world.compare_replicas)
    assert world.cluster.damage() == []


async def interrupt_an_installation(world: PlaceWorld, side: str) -> None:
    """A store that died between two slices of a snapshot takes it back when it starts, and dies doing so."""
    cluster, victim = world.cluster, world.dice.randrange(3)
    child = cluster.stores[victim]
    cluster.arm(child, "store.snapshot_slice.after=exit@1")
    await die(world, PlaceToDie("snapshot_slice", take_a_replica), victim, [child])
    child.kill()
    cluster.arm(child, f"store.snapshot_abandon.{side}=exit@1")
    again = cluster._spawn(child.name, cluster._store_arguments(victim, child.address))
    await until("the store dies again", lambda: _is_dead_now(again))
    again.kill()
    cluster.arm(child, "")
    await revive_stores(world)
    await look(world)


async def _is_dead_now(child: Child) -> bool:
    return is_dead(child)


def chosen(places: Sequence[PlaceToDie], names: str) -> list[PlaceToDie]:
    """Those that RUTILE_PLACES names, or all."""
    wanted = os.environ.get("RUTILE_PLACES", names)
    return [place for place in places if not wanted or place.name in wanted.split(",")]


def test_a_kill_at_some_places(tmp_path: Path) -> None:
    async def run() -> None:
        async with place_world(tmp_path) as world:
            await kill_the_pd_at(world, PD_PLACES[0], "after")
            for place in chosen(STORE_PLACES, "split,snapshot_end"):
                await kill_a_store_at(world, place, "after")

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_kill_of_a_store_at_every_place(tmp_path: Path) -> None:
    async def run() -> None:
        async with place_world(tmp_path) as world:
            for place in chosen(STORE_PLACES, ""):
                for side in SIDES:
                    began = time.monotonic()
                    await kill_a_store_at(world, place, side)
                    print(f"\nstore.{place.name}.{side}: {time.monotonic() - began:.0f} s", end="", flush=True)

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_kill_while_an_installation_is_taken_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with place_world(tmp_path) as world:
            for side in SIDES:
                await interrupt_an_installation(world, side)

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kill_of_the_placement_driver_at_every_place(tmp_path: Path) -> None:
    async def run() -> None:
        async with place_world(tmp_path) as world:
            for place in chosen(PD_PLACES, ""):
                for side in SIDES:
                    began = time.monotonic()
                    await kill_the_pd_at(world, place, side)
                    print(f"\npd.{place.name}.{side}: {time.monotonic() - began:.0f} s", end="", flush=True)

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("side", SIDES)
def test_a_kill_of_a_member_that_is_sent_everything(tmp_path: Path, side: str) -> None:
    """A member of the placement driver that was away for so long that the log does not reach back to it."""

    async def run() -> None:
        with PlacePlayground(1, tmp_path, pds=3) as cluster:
            pd = connect(cluster.pd_addresses.split(","))
            victim = await a_follower(cluster, pd)
            child = cluster.pds[victim]
            child.kill()
            for number in range(MORE_THAN_A_LOG):
                value = str(number % 50 + 1)
                request = pdadminpb.SetSettingRequest(name="leader_schedule_limit", value_json=value)
                await pd.call("SetSetting", request)
            cluster.arm(child, f"pd.snapshot.{side}=exit@1")
            arguments = [*child.arguments]
            arguments[arguments.index("--addr") + 1] = child.address
            again = cluster._spawn(child.name, arguments)
            await until("the member dies", lambda: _is_dead_now(again))
            again.kill()
            cluster.arm(child, "")
            await asyncio.to_thread(cluster.restart_pd, victim)
            await until("all members have everything", lambda: have_everything(pd))
            await pd.close()

    asyncio.run(run())


async def a_follower(cluster: PlacePlayground, pd: PdClient) -> int:
    """The index of a member that does not lead."""
    leader = (await pd.call("GetMembers", pdpb.GetMembersRequest())).leader
    return next(index for index, child in enumerate(cluster.pds) if child.name != leader.name)


async def have_everything(pd: PdClient) -> bool:
    status = await pd.call("Status", pdraftpb.StatusRequest())
    return all(each.matched_index >= status.committed_index for each in status.members)


def test_no_place_is_forgotten() -> None:
    """Whatever a batch of a store can be, is among the places where stores are killed."""
    tried = {place.name for place in STORE_PLACES} | {"snapshot_abandon"}
    assert set(WRITE_PLACES) == (tried & set(WRITE_PLACES)) | AT_BIRTH | NOT_PROVOKED

"""How to make a store or a placement driver write at each of the places it can be killed at.

A provocation is done again and again until the process it is meant for has died. It may fail, as what it asks is dying.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from place_playground import PlaceWorld, pair_key

import rutile
from rutile_kv.client.bulk_load import CommittedRows
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.keys import storage_key

Provoke = Callable[[PlaceWorld, int], Awaitable[None]]
"""The second is the index of the store that is to die; placement drivers ignore it."""


@dataclass(frozen=True)
class PlaceToDie:
    """A place, and what brings a process there. `passage`: which of the times it is passed."""

    name: str
    provoke: Provoke
    passage: int = 1
    everybody: bool = False
    """Only one store passes it, nobody knows which: all are told."""


async def wait(world: PlaceWorld, victim: int) -> None:
    """The ledger does it by itself."""
    await asyncio.sleep(0.2)


async def split(world: PlaceWorld, victim: int) -> None:
    """At some pair that is there."""
    number = world.dice.randint(1, max(2, len(world.ledger.acknowledged)))
    await world.client.split_regions([pair_key(world.dice.choice((b"a", b"z")), number)], timeout_s=3.0)


async def part_pairs(world: PlaceWorld, victim: int) -> None:
    """The halves of pairs in two regions: a transaction in one leaves no locks."""
    await world.client.split_regions([b"m"], timeout_s=3.0)
    await asyncio.sleep(0.2)


async def merge(world: PlaceWorld, victim: int) -> None:
    """Two neighbours, made if there are none."""
    regions = await world.regions()
    if len(regions) < 2:
        await split(world, victim)
        return
    at = world.dice.randrange(len(regions) - 1)
    target = pdadminpb.MergeIntoRegion(target_region_id=regions[at + 1].region.id)
    await world.operator(regions[at].region, merge=target)
    await asyncio.sleep(0.3)


async def merge_with_one_that_splits(world: PlaceWorld, victim: int) -> None:
    """The target changes between the two halves of the merge, if the moment is the right one."""
    regions = await world.regions()
    if len(regions) < 2:
        await split(world, victim)
        return
    left, right = regions[0].region, regions[1].region
    await world.operator(left, merge=pdadminpb.MergeIntoRegion(target_region_id=right.id))
    await asyncio.sleep(world.dice.uniform(0.0, 0.04))
    number = world.dice.randint(1, max(2, len(world.ledger.acknowledged)))
    await world.client.split_regions([pair_key(b"z", number)], timeout_s=2.0)
    await asyncio.sleep(0.2)


async def take_a_replica(world: PlaceWorld, victim: int) -> None:
    """A peer of the victim's goes, and the placement driver, who wants three, brings a new one there."""
    store_id = world.store_ids[victim]
    for found in await world.regions():
        peers = [peer for peer in found.region.peers if peer.store_id == store_id]
        if not peers:
            await asyncio.sleep(0.3)  # it is on its way back
        elif found.leader.store_id != store_id:
            await world.operator(found.region, remove_peer=pdadminpb.RemovePeerFrom(store_id=store_id))
            await asyncio.sleep(0.5)
            return
        elif found.region.peers:
            heir = next(peer for peer in found.region.peers if peer.store_id != store_id)
            await world.operator(found.region, transfer_leader=pdadminpb.TransferLeaderTo(store_id=heir.store_id))
            await asyncio.sleep(0.5)


async def write_much(world: PlaceWorld, victim: int) -> None:
    """Enough entries for a log to be cut."""
    for number in range(300):
        await world.client.raw.put(b"raw%d" % (number % 10), b"%d" % number)


async def write_raw(world: PlaceWorld, victim: int) -> None:
    await world.client.raw.put(b"raw", b"again")
    await asyncio.sleep(0.05)


async def load(world: PlaceWorld, victim: int) -> None:
    """Rows in bulk, of a table that nobody reads."""
    ts = await world.client.timestamp()
    pairs = [(b"load/%d/%03d" % (ts, number), bytes(100)) for number in range(200)]
    await world.client.bulk_put(pairs, ts, await world.client.timestamp())


async def load_files(world: PlaceWorld, victim: int) -> None:
    """So many rows that they travel as table files."""
    ts = await world.client.timestamp()
    keys = [storage_key(b"load/%d/%06d" % (ts, number)) for number in range(6_000)]
    rows = CommittedRows.of(keys, [bytes(300)] * len(keys), ts, await world.client.timestamp())
    await world.client.bulk_load(rows)


async def destroy(world: PlaceWorld, victim: int) -> None:
    """What was loaded."""
    await load(world, victim)
    await world.client.destroy_range(b"load/", b"load0")
    await asyncio.sleep(0.2)


async def ask_for_sums(world: PlaceWorld, victim: int) -> None:
    """A table, and a fragment over it: stores keep it in columns, and write them to files."""

    def ask() -> None:
        table = f"mirrored{world.dice.getrandbits(32)}"
        try:
            with rutile.connect(world.cluster.sql_address) as connection:
                connection.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, amount INT)")
                connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", [(each, each) for each in range(50)])
                for _ in range(3):
                    assert connection.execute(f"SELECT SUM(amount) FROM {table}").fetchone() == (1225,)
        except rutile.Error:
            return  # who serves it is dying

    await asyncio.to_thread(ask)
    await asyncio.sleep(0.3)


async def carry_sums_on(world: PlaceWorld, victim: int) -> None:
    """Columns in files, and a log that is cut behind them."""
    await ask_for_sums(world, victim)
    await write_much(world, victim)


# --- the placement driver ---------------------------------------------------------------------------------------------


async def use_up_ids(world: PlaceWorld, victim: int) -> None:
    await world.client.pd.call("AllocID", pdpb.AllocIDRequest(count=600))


async def change_a_setting(world: PlaceWorld, victim: int) -> None:
    value = str(world.dice.randint(2, 60))
    await world.admin.call("SetSetting", pdadminpb.SetSettingRequest(name="leader_schedule_limit", value_json=value))


async def change_many_settings(world: PlaceWorld, victim: int) -> None:
    """Enough entries for the log to be cut."""
    for _ in range(300):
        await change_a_setting(world, victim)


async def hold_a_safe_point(world: PlaceWorld, victim: int) -> None:
    request = pdpb.UpdateServiceGCSafePointRequest(
        service_id=b"tester", TTL=world.dice.randint(5, 50), safe_point=await world.client.timestamp()
    )
    await world.client.pd.call("UpdateServiceGCSafePoint", request)


async def register_a_store_again(world: PlaceWorld, victim: int) -> None:
    """As a store does when it starts."""
    found = await world.client.pd.call("GetStore", pdpb.GetStoreRequest(store_id=world.store_ids[0]))
    await world.client.pd.call("PutStore", pdpb.PutStoreRequest(store=found.store))
    await asyncio.sleep(0.1)


STORE_PLACES = (
    PlaceToDie("append", wait, 20),
    PlaceToDie("hard_state", wait, 20),
    PlaceToDie("apply", wait, 20),
    PlaceToDie("lock", part_pairs, 10),
    PlaceToDie("commit", part_pairs, 10),
    PlaceToDie("sync", wait, 10),
    PlaceToDie("raw", write_raw, 5),
    PlaceToDie("bulk", load),
    PlaceToDie("table_files", load_files),
    PlaceToDie("gc", wait),
    PlaceToDie("compact_log", write_much),
    PlaceToDie("split", split),
    PlaceToDie("prepare_merge", merge),
    PlaceToDie("commit_merge", merge),
    PlaceToDie("rollback_merge", merge_with_one_that_splits),
    PlaceToDie("conf_change", take_a_replica),
    PlaceToDie("destroy", take_a_replica),
    PlaceToDie("snapshot_begin", take_a_replica),
    PlaceToDie("snapshot_slice", take_a_replica),
    PlaceToDie("snapshot_end", take_a_replica),
    PlaceToDie("destroy_range", destroy),
    PlaceToDie("mirror_data", ask_for_sums, everybody=True),
    PlaceToDie("mirror_manifest", ask_for_sums, everybody=True),
    PlaceToDie("mirror_journal", carry_sums_on, everybody=True),
)
PD_PLACES = (
    PlaceToDie("append", wait),
    PlaceToDie("hard_state", wait),
    PlaceToDie("apply", wait),
    PlaceToDie("sync", wait),
    PlaceToDie("tso", wait),
    PlaceToDie("ids", use_up_ids),
    PlaceToDie("region", split),
    PlaceToDie("store", register_a_store_again),
    PlaceToDie("setting", change_a_setting),
    PlaceToDie("safe_point", wait),
    PlaceToDie("service", hold_a_safe_point),
    PlaceToDie("cut_log", change_many_settings),
)

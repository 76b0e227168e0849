"""Stores: who is there, what they carry, and how one is emptied."""

from __future__ import annotations

import argparse
import asyncio

from rutile.ctl.console import Column, Console, Record, field
from rutile.ctl.parsing import Commands, add_actions, add_command
from rutile.ctl.sizes import size_text
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto.errors import InvalidRequest

POLL_S = 1.0
TEXT = """\
list stores; labels, weights and limits; remove one gracefully
Without an action: the list.

  rutile ctl stores                              all that are members
  rutile ctl stores show 4                       everything known of one
  rutile ctl stores set 4 --label zone=b --leader-weight 0.5
  rutile ctl stores remove 4 --wait              move its regions away, and say how far that is; then it is a tombstone
  rutile ctl stores cancel 4                     keep it after all"""

COLUMNS: tuple[Column, ...] = (
    ("id", field("id")),
    ("address", field("address")),
    ("state", field("state")),
    ("regions", field("regions")),
    ("leaders", field("leaders")),
    ("size", lambda record: size_text(record["size_bytes"])),
    ("free", lambda record: size_text(record["available_bytes"])),
    ("labels", field("labels")),
    ("heard of", lambda record: f"{record['silent_seconds']} s ago"),
)


def add(commands: Commands) -> None:
    parser = add_command(commands, "stores", TEXT)
    parser.add_argument("--all", action="store_true", help="also those that were removed (tombstones)")
    parser.set_defaults(act=show_all)
    actions = add_actions(parser, "action")
    show = actions.add_parser("show", help="everything known of one store")
    show.add_argument("store", type=int, metavar="ID")
    show.set_defaults(act=show_one)
    change = actions.add_parser("set", help="labels, weights, limits; what is not given stays")
    change.add_argument("store", type=int, metavar="ID")
    change.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="an empty value removes it")
    change.add_argument("--leader-weight", type=float, metavar="W", help="share of leaders (1 is everybody's)")
    change.add_argument("--region-weight", type=float, metavar="W", help="share of data")
    change.add_argument("--limit", type=float, metavar="N", help="peers a minute it may be given or lose; -1: default")
    change.set_defaults(act=set_one)
    remove = actions.add_parser("remove", help="replace its peers elsewhere, then forget it")
    remove.add_argument("store", type=int, metavar="ID")
    remove.add_argument("--wait", action="store_true", help="say how far it is, until it is done")
    remove.set_defaults(act=remove_one)
    cancel = actions.add_parser("cancel", help="keep a store that was to be removed")
    cancel.add_argument("store", type=int, metavar="ID")
    cancel.set_defaults(act=cancel_removal)


async def show_all(console: Console, options: argparse.Namespace) -> None:
    records = [record_of(each) for each in await figures(console, options.all)]
    console.show(records, COLUMNS, "there are no stores yet: start one with `rutile kv`")


async def show_one(console: Console, options: argparse.Namespace) -> None:
    console.tell(record_of(await figures_of(console, options.store)))


async def set_one(console: Console, options: argparse.Namespace) -> None:
    request = pdadminpb.SetStoreRequest(store_id=options.store, labels=[_label(text) for text in options.label])
    if options.leader_weight is not None:
        request.leader_weight = options.leader_weight
    if options.region_weight is not None:
        request.region_weight = options.region_weight
    if options.limit is not None:
        request.add_limit = request.remove_limit = options.limit
    await console.call("SetStore", request)
    console.done(f"store {options.store} is changed")


async def remove_one(console: Console, options: argparse.Namespace) -> None:
    await console.call("RemoveStore", pdadminpb.StoreRequest(store_id=options.store))
    if options.wait:
        await _watch(console, options.store)
    else:
        console.done(f"store {options.store} is being emptied: watch it with `rutile ctl stores show {options.store}`")


async def cancel_removal(console: Console, options: argparse.Namespace) -> None:
    await console.call("CancelRemoval", pdadminpb.StoreRequest(store_id=options.store))
    console.done(f"store {options.store} stays")


async def figures(console: Console, with_tombstones: bool) -> list[pdadminpb.StoreFigures]:
    """All stores."""
    answer = await console.call("ListStores", pdadminpb.ListStoresRequest(with_tombstones=with_tombstones))
    return list(answer.stores)


async def figures_of(console: Console, store_id: int) -> pdadminpb.StoreFigures:
    """One store; InvalidRequest if there is none of that id."""
    for each in await figures(console, with_tombstones=True):
        if each.store.id == store_id:
            return each
    raise InvalidRequest(f"there is no store {store_id}: `rutile ctl stores --all` lists them")


async def _watch(console: Console, store_id: int) -> None:
    """Tell how many regions are left whenever that changes."""
    last = None
    while (now := await figures_of(console, store_id)).state != "Tombstone":
        if now.region_count != last:
            last = now.region_count
            console.done(f"store {store_id}: {last} regions to go")
        await asyncio.sleep(POLL_S)
    console.done(f"store {store_id} is removed: its process can be stopped")


def record_of(figures: pdadminpb.StoreFigures) -> Record:
    return {
        "id": figures.store.id,
        "address": figures.store.address,
        "state": figures.state,
        "version": figures.store.version,
        "labels": {label.key: label.value for label in figures.store.labels},
        "regions": figures.region_count,
        "leaders": figures.leader_count,
        "learners": figures.learner_count,
        "pending_peers": figures.pending_peer_count,
        "incoming_peers": figures.incoming_peer_count,
        "size_bytes": figures.region_size,
        "keys": figures.region_keys,
        "capacity_bytes": figures.stats.capacity,
        "available_bytes": figures.stats.available,
        "leader_weight": figures.leader_weight,
        "region_weight": figures.region_weight,
        "leaders_evicted": figures.leaders_evicted,
        "silent_seconds": round(figures.silent_seconds, 1),
    }


def _label(text: str) -> metapb.StoreLabel:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidRequest(f"--label {text}: want NAME=VALUE")
    return metapb.StoreLabel(key=name, value=value)

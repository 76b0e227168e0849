"""The versions and the lock of one key, as the leader of its region has them."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from rutile.ctl.console import Column, Console, Record, dial_store, field
from rutile.ctl.keys import add_key_options, key_of, show_key
from rutile.ctl.parsing import Commands, add_command
from rutile.ctl.regions import region_of_key
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest
from rutile_proto.timestamps import physical_ms

CALL_TIMEOUT_S = 10.0
TEXT = """\
the versions and the lock of a key
Newest first. A lock is shown above them, with what its transaction is about to do.

  rutile ctl mvcc --table test.account --handle 7
  rutile ctl mvcc --key 'a\\x00b'
  rutile ctl mvcc --key hex:7480000000000000055f728000000000000007"""

COLUMNS: tuple[Column, ...] = (
    ("what", field("what")),
    ("started", field("start_ts")),
    ("committed", field("commit_ts")),
    ("at", field("at")),
    ("value", field("value")),
)


def add(commands: Commands) -> None:
    parser = add_command(commands, "mvcc", TEXT)
    add_key_options(parser)
    parser.set_defaults(act=show)


async def show(console: Console, options: argparse.Namespace) -> None:
    key = await key_of(options)
    region = await region_of_key(console, key)
    info = await _ask_store(console, region, key)
    console.show(records_of(info), COLUMNS, f"nothing was ever written at {show_key(key)}")


async def _ask_store(console: Console, region: pdpb.Region, key: bytes) -> kvrpcpb.MvccInfo:
    store = (await console.call("GetStore", pdpb.GetStoreRequest(store_id=region.leader.store_id))).store
    context = kvrpcpb.Context(region_id=region.region.id, region_epoch=region.region.region_epoch, peer=region.leader)
    connection = dial_store(store.address)
    try:
        request = kvrpcpb.MvccGetByKeyRequest(context=context, key=key)
        answer = await connection.stub.MvccGetByKey(request, timeout=CALL_TIMEOUT_S)
    finally:
        await connection.close()
    if answer.HasField("region_error") or answer.error:
        reason = answer.error or answer.region_error.message
        raise InvalidRequest(f"store {store.id} cannot tell now: {reason}; try again")
    info: kvrpcpb.MvccInfo = answer.info
    return info


def records_of(info: kvrpcpb.MvccInfo) -> list[Record]:
    """The lock, if there is one, then what was committed."""
    records: list[Record] = []
    if info.HasField("lock"):
        lock = info.lock
        records.append(
            _record(f"locked for {kvrpcpb.Op.Name(lock.type).lower()}", lock.start_ts, 0, lock.short_value)
            | {"primary": show_key(lock.primary)}
        )
    values = {value.start_ts: value.value for value in info.values}
    records += [
        _record(
            kvrpcpb.Op.Name(write.type).lower(),
            write.start_ts,
            write.commit_ts,
            write.short_value or values.get(write.start_ts, b""),
        )
        for write in info.writes
    ]
    return records


def _record(what: str, start_ts: int, commit_ts: int, value: bytes) -> Record:
    moment = datetime.fromtimestamp(physical_ms(commit_ts or start_ts) / 1000, UTC)
    return {
        "what": what,
        "start_ts": start_ts,
        "commit_ts": commit_ts or None,
        "at": moment.isoformat(timespec="milliseconds"),
        "value": show_key(value),
    }

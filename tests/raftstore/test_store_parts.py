"""The small parts, each against what it must do, or against a dumb twin."""

import io
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.raft.codec import message_from_pb, message_to_pb
from rutile_kv.raft.messages import ConfState, Entry, EntryKind, Message, MessageKind, SnapshotMeta
from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.bootstrap import (
    bootstrap_first_region,
    bootstrap_store,
    clear_first_region,
    first_region,
    load_ident,
)
from rutile_kv.raftstore.commands import decode_command, decode_modifies, encode_write
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.data_ranges import clear_region
from rutile_kv.raftstore.entry_cache import EntryCache
from rutile_kv.raftstore.proposals import ProposalQueue
from rutile_kv.raftstore.reads import ReadQueue
from rutile_kv.raftstore.region_change import conf_state_of, split_region
from rutile_kv.raftstore.region_map import RegionMap
from rutile_kv.raftstore.region_reader import RegionReader, RegionSnapshot
from rutile_kv.raftstore.snapshot import SpooledSnapshot, encode_snapshot
from rutile_kv.raftstore.store import Store
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import DataDirMismatch, EngineCorrupt, InvalidRequest, KeyNotInRegion

KEYS = st.binary(min_size=1, max_size=3)


def region(start=b"", end=b"", region_id=1, peers=()):
    return metapb.Region(id=region_id, start_key=start, end_key=end, peers=peers)


def filled(*pairs):
    engine = MemoryEngine()
    batch = engine.batch()
    for cf, key, value in pairs:
        batch.put(cf, key, value)
    engine.write(batch)
    return engine


# --- keys and commands ------------------------------------------------------------------------------------------------


def test_log_keys_of_a_region_are_one_range_in_index_order():
    keys = [local_keys.log_key(7, index) for index in (1, 255, 256, 1 << 40)]
    assert keys == sorted(keys)
    assert all(local_keys.log_prefix(7) <= key < local_keys.raft_state(7) for key in keys)
    assert local_keys.raft_state(7) < local_keys.apply_state(7) < local_keys.log_key(8, 0)


@given(st.sampled_from(EntryKind), st.integers(0, 1 << 60), st.binary(max_size=50))
def test_entries_round_trip(kind, term, data):
    entry = Entry(term, 9, kind, data)
    assert local_keys.decode_entry(9, local_keys.encode_entry(entry)) == entry


@pytest.mark.parametrize("value", [b"", b"\x00\x01", b"\x09" + bytes(8)])
def test_a_damaged_entry_is_told(value):
    with pytest.raises(EngineCorrupt, match="index 4"):
        local_keys.decode_entry(4, value)


MODIFIES = st.lists(st.tuples(st.sampled_from(["default", "lock", "write"]), KEYS, st.none() | st.binary(max_size=9)))


@given(MODIFIES)
def test_writes_round_trip(modifies):
    data = encode_write(metapb.RegionEpoch(conf_ver=1, version=2), 3, modifies)
    command = decode_command(Entry(3, 6, EntryKind.NORMAL, data))
    assert decode_modifies(command.write) == modifies
    assert (command.epoch.version, command.term) == (2, 3)


def test_a_malformed_command_is_told():
    with pytest.raises(EngineCorrupt):
        decode_command(Entry(3, 6, EntryKind.NORMAL, b"\xff\xff"))
    with pytest.raises(EngineCorrupt):
        decode_modifies(rutilepb.WriteOps(kinds=b"\x63", keys=[b"k"], values=[b"v"]))
    with pytest.raises(EngineCorrupt):
        decode_modifies(rutilepb.WriteOps(kinds=b"\x00", keys=[b"k", b"l"], values=[b"v"]))


def test_raft_messages_round_trip():
    state = ConfState((1, 2), (3,), (1, 4), (4,), True)
    for kind in MessageKind:
        message = Message(
            kind=kind, to=1, sender=2, term=3, log_term=4, index=5, commit=7, reject=True, reject_hint=8, context=b"c",
            entries=(Entry(3, 6, EntryKind.CONF_CHANGE, b"data"), Entry(3, 7)), snapshot=SnapshotMeta(9, 3, state),
        )  # fmt: skip
        assert message_from_pb(message_to_pb(message, b"about")) == message
    with pytest.raises(InvalidRequest):
        message_from_pb(eraftpb.Message(msg_type=eraftpb.MessageType.MsgHup))


# --- regions ----------------------------------------------------------------------------------------------------------


@given(st.lists(KEYS, unique=True, max_size=8), KEYS, KEYS, st.data())
def test_the_region_map_against_a_list(cuts, low, high, data):
    borders = [b"", *sorted(cuts), b""]
    whole = [region(start, end, n) for n, (start, end) in enumerate(pairwise(borders), 1)]
    kept = data.draw(st.lists(st.sampled_from(whole), unique_by=lambda r: r.id))
    regions = RegionMap()
    for one in whole:
        regions.put(one)
    for one in whole:
        if one not in kept:
            regions.remove(one)

    def holds(one, key):
        return one.start_key <= key and (not one.end_key or key < one.end_key)

    assert list(regions) == sorted(kept, key=lambda r: r.start_key)
    assert regions.find(low) == next((one for one in kept if holds(one, low)), None)
    expected = [
        one
        for one in regions
        if (not one.end_key or one.end_key > low) and (one.start_key < high or one.start_key < low)
    ]
    if low < high:
        assert regions.overlapping(low, high) == [one for one in expected if one.start_key < high]
    assert regions.overlapping(low, b"") == [one for one in regions if not one.end_key or one.end_key > low]


@given(st.lists(KEYS, min_size=1, max_size=6, unique=True))
def test_split_parts_tile_the_region(keys):
    requests = [
        rutilepb.SplitRequest(split_key=key, new_region_id=10 + n, new_peer_ids=[100 + n])
        for n, key in enumerate(sorted(keys))
    ]
    old = region(peers=[metapb.Peer(id=5, store_id=1)])
    children, rest = split_region(old, requests)
    parts = [*children, rest]
    assert [part.end_key for part in parts[:-1]] == [part.start_key for part in parts[1:]] == sorted(keys)
    assert (parts[0].start_key, parts[-1].end_key, rest.id) == (b"", b"", 1)
    assert old == region(peers=[metapb.Peer(id=5, store_id=1)]), "nothing is changed in place"


def test_roles_stand_for_a_raft_configuration():
    roles = [metapb.Peer(id=n, role=role) for n, role in enumerate((0, 1, 2, 3), 1)]
    assert conf_state_of(region(peers=roles)) == ConfState((1, 3), (2,), (1, 4), (4,))
    assert conf_state_of(region(peers=roles[:2])) == ConfState((1,), (2,))


def test_a_reader_sees_one_region():
    engine = filled(("write", b"a", b"1"), ("write", b"m", b"2"), ("write", b"z", b"3"))
    reader = RegionReader(engine, region(b"b", b"n"))
    assert reader.get("write", b"m") == b"2"
    for outside in (b"a", b"n", b"z"):
        with pytest.raises(KeyNotInRegion):
            reader.get("write", outside)
    assert list(reader.scan("write", b"", None)) == [(b"m", b"2")]
    assert list(reader.scan("write", b"", b"z", reverse=True)) == [(b"m", b"2")]
    assert list(reader.scan("write", b"x", None)) == []
    with RegionSnapshot(engine.snapshot(), region(b"n", b"")) as rest:
        assert list(rest.scan("write", b"", None)) == [(b"z", b"3")]


def test_clearing_an_endless_region_takes_the_farthest_keys_too():
    far = b"\xff" * 2000
    engine = filled(("default", b"a", b"1"), ("default", b"m", b"2"), ("lock", far, b"3"))
    batch = engine.batch()
    clear_region(batch, engine, region(b"b"))
    engine.write(batch)
    assert (engine.get("default", b"a"), engine.get("default", b"m"), engine.get("lock", far)) == (b"1", None, None)


# --- snapshots --------------------------------------------------------------------------------------------------------


def spooled(chunks):
    payload = SpooledSnapshot(io.BytesIO())
    for chunk in chunks:
        payload.write(chunk)
    return payload


@given(st.lists(st.tuples(st.sampled_from(["default", "lock", "write"]), KEYS, st.binary(max_size=20)), max_size=20))
def test_snapshots_round_trip(pairs):
    engine = filled(*pairs)
    whole = region(b"\x10", b"\xf0")
    payload = spooled(encode_snapshot(engine, whole, chunk_bytes=16))
    payload.verify(whole)
    expected = [
        (cf, key, value)
        for cf in ("default", "lock", "write")
        for key, value in engine.scan(cf, whole.start_key, whole.end_key)
    ]
    assert list(payload.records()) == expected
    payload.close()


def test_damage_is_seen_before_anybody_hears_of_the_snapshot():
    engine = filled(("default", b"k", b"v" * 50))
    stream = b"".join(encode_snapshot(engine, region()))
    for damaged in (stream[:-1], stream[:5], b"", stream[:20] + b"\0" + stream[21:], stream + b"x"):
        with pytest.raises(InvalidRequest):
            spooled([damaged]).verify(region())
    with pytest.raises(InvalidRequest, match="not its own"):
        spooled([stream]).verify(region(b"l"))


# --- queues -----------------------------------------------------------------------------------------------------------


def test_proposals_end_in_exactly_one_way():
    queue = ProposalQueue()
    for index, term in ((5, 1), (6, 1), (7, 1), (8, 3)):
        queue.add(index, term, [(index, term)])
    assert queue.resolve(5, 1) == ([(5, 1)], [])
    tokens, lost = queue.resolve(6, 2)
    assert (tokens, [p.index for p in lost]) == ((), [6, 7])
    assert queue.resolve(7, 2) == ((), [])
    assert queue.resolve(8, 3) == ([(8, 3)], [])
    assert len(queue) == 0


def test_reads_wait_for_an_answer_and_then_for_apply():
    reads = ReadQueue(StoreConfig(read_retry_ticks=2, read_timeout_ticks=5), 100)
    reads.fresh += ["a", "b"]
    first = reads.ask(0)
    assert reads.ask(0) is None
    reads.fresh.append("c")
    second = reads.ask(1)
    assert reads.ask_again(1) == []
    (again,) = reads.ask_again(2)
    assert len({first, second, again}) == 3
    reads.confirm(7, again)
    reads.confirm(7, first)
    assert reads.release(6) == []
    assert reads.release(7) == ["a", "b"]
    assert reads.expire(6) == ["c"]
    assert len(reads) == 0


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 5)), max_size=12), st.integers(20, 200))
def test_the_entry_cache_against_a_dict(appends, limit):
    cache, log, last = EntryCache(limit), {}, 0
    for term, (low, count) in enumerate(appends, 1):
        first = min(low, last + 1)
        entries = [Entry(term, index, data=b"x" * index) for index in range(first, first + count)]
        cache.append(entries)
        log = {index: entry for index, entry in log.items() if index < first} | {e.index: e for e in entries}
        last = entries[-1].index
        held = cache.slice(cache.first_index, last + 1)
        assert held == [log[index] for index in range(cache.first_index, last + 1)]
        assert held, "the newest entry is always held"
        assert len(held) == 1 or sum(entry.size_bytes for entry in held) <= limit


# --- the first bytes --------------------------------------------------------------------------------------------------


def test_a_store_knows_itself_again():
    engine = MemoryEngine()
    bootstrap_store(engine, 7, 1)
    bootstrap_store(engine, 7, 1)
    assert load_ident(engine).store_id == 1
    with pytest.raises(DataDirMismatch, match="cluster 7"):
        bootstrap_store(engine, 8, 1)


def test_a_first_region_can_be_taken_back():
    engine = MemoryEngine()
    bootstrap_first_region(engine, first_region(2, 3, 1))
    clear_first_region(engine, 2)
    assert Store(1, engine, StoreConfig(), random.Random(1)).region_infos() == []


def test_states_that_cannot_be_are_refused():
    engine = MemoryEngine()
    bootstrap_first_region(engine, first_region(2, 3, 1))
    with pytest.raises(EngineCorrupt, match="no peer on store 9"):
        Store(9, engine, StoreConfig(), random.Random(1))
    batch = engine.batch()
    batch.delete("raft", local_keys.raft_state(2))
    engine.write(batch)
    with pytest.raises(EngineCorrupt, match="applied 5"):
        Store(1, engine, StoreConfig(), random.Random(1))

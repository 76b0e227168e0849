"""What a peer sends and keeps: envelopes that follow region and sender, commit indexes where they are needed."""

import random

from rutile_kv.engine.api import CF_RAFT
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.raft.messages import HardState, Message, MessageKind
from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.outbox import Outbox
from rutile_kv.raftstore.peer_storage import INITIAL_INDEX, INITIAL_TERM, PeerStorage, write_initial_states
from rutile_kv.raftstore.round import Round
from rutile_kv.raftstore.snapshot_quota import SnapshotQuota
from rutile_kv.raftstore.store import Store
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb


def region(version: int = 1, *others: metapb.Peer) -> metapb.Region:
    return metapb.Region(
        id=2,
        start_key=b"a",
        end_key=b"c",
        region_epoch=metapb.RegionEpoch(conf_ver=1, version=version),
        peers=[metapb.Peer(id=21, store_id=1), *others],
    )


def storage_of(region: metapb.Region) -> tuple[MemoryEngine, PeerStorage]:
    engine = MemoryEngine()
    batch = engine.batch()
    write_initial_states(batch, region, HardState())
    engine.write(batch)
    return engine, PeerStorage(engine, region, 1 << 20, SnapshotQuota(1))


def sent(outbox: Outbox, kind: MessageKind, to: int) -> raft_serverpb.RaftMessage:
    out: list[raft_serverpb.RaftMessage] = []
    outbox.put([Message(kind, to, 21, INITIAL_TERM, index=7)], out, Round(MemoryEngine().batch()))
    (message,) = out
    return message


def test_what_is_sent_names_region_and_peers_as_they_are_now() -> None:
    second = metapb.Peer(id=22, store_id=2)
    _, storage = storage_of(region(1, second))
    outbox = Outbox(metapb.Peer(id=21, store_id=1), storage)
    first = sent(outbox, MessageKind.APPEND, 22)
    assert (first.region_id, first.from_peer.id, first.to_peer, first.message.index) == (2, 21, second, 7)
    storage.region = region(5, metapb.Peer(id=22, store_id=2, role=metapb.PeerRole.Learner))
    outbox.sender = metapb.Peer(id=21, store_id=1, role=metapb.PeerRole.Learner)
    later = sent(outbox, MessageKind.APPEND, 22)
    assert (later.region_epoch.version, later.to_peer.role, later.from_peer.role) == (5, 1, 1)
    assert (first.region_epoch.version, first.from_peer.role) == (1, 0), "a message sent is nobody else's"


def test_only_the_first_words_to_a_peer_say_which_keys_a_region_covers() -> None:
    _, storage = storage_of(region(1, metapb.Peer(id=22, store_id=2)))
    outbox = Outbox(metapb.Peer(id=21, store_id=1), storage)
    ranges = {kind: sent(outbox, kind, 22) for kind in (MessageKind.HEARTBEAT, MessageKind.APPEND, MessageKind.VOTE)}
    assert {kind: (each.start_key, each.end_key) for kind, each in ranges.items()} == {
        MessageKind.HEARTBEAT: (b"a", b"c"),
        MessageKind.APPEND: (b"", b""),
        MessageKind.VOTE: (b"a", b"c"),
    }


def test_a_stranger_that_comes_again_from_another_store_is_answered_there() -> None:
    _, storage = storage_of(region())
    outbox = Outbox(metapb.Peer(id=21, store_id=1), storage)
    for store_id in (3, 4):
        outbox.note(metapb.Peer(id=99, store_id=store_id))
        assert sent(outbox, MessageKind.APPEND_RESPONSE, 99).to_peer.store_id == store_id


def test_a_commit_index_is_written_where_it_is_ahead_of_what_is_applied() -> None:
    engine, storage = storage_of(region())
    for commit, written in ((INITIAL_INDEX, False), (INITIAL_INDEX + 2, True)):
        batch = engine.batch()
        storage.note_commit(batch, HardState(INITIAL_TERM, 0, commit))
        assert bool(len(batch)) is written
        engine.write(batch)
        assert storage.hard_state.commit == commit
    state = local_keys.load_raft_state(engine, 2)
    assert state is not None and state.hard_state.commit == INITIAL_INDEX + 2


def test_a_store_that_starts_again_takes_for_committed_what_it_has_applied(cluster) -> None:
    for number in range(5):
        cluster.write((b"k", b"%d" % number))
    cluster.caught_up()
    for machine in cluster.machines.values():
        applied = machine.store.region_info(1).applied_index
        machine.engine.sync()
        state = local_keys.load_raft_state(machine.engine, 1)
        assert state is not None and state.hard_state.commit < applied, "the last commit came alone"
        again = Store(machine.store_id, machine.engine, StoreConfig(), random.Random(1))
        assert again._registry.peers[1].node.commit == applied
        assert machine.engine.get(CF_RAFT, local_keys.raft_state(1)) is not None

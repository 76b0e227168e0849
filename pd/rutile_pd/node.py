"""A member of the placement driver as a whole: its directory, its server, the way to the others."""

import asyncio
import logging
import random
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rutile_kv.engine.api import Engine
from rutile_kv.engine.failing import with_failpoints
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.engine.options import MIB, EngineOptions
from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.env.clock import Clock, SystemClock
from rutile_kv.env.health import HealthService
from rutile_kv.env.rpc import start_server
from rutile_pd.config import PdConfig
from rutile_pd.consensus.founding import join_as, open_member
from rutile_pd.consensus.joining import ask_to_join, confirm_new
from rutile_pd.consensus.members import Founder, member_record
from rutile_pd.consensus.peer_transport import GrpcPeers, PeerService
from rutile_pd.consensus.raft_log import confirm, is_unconfirmed, member_id_in
from rutile_pd.consensus.write_places import write_places
from rutile_pd.member import PdMember
from rutile_pd.services.door import Door
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import DataDirMismatch, InvalidRequest

__all__ = ["PdConfig", "PdNode"]

log = logging.getLogger(__name__)

STOP_GRACE_S = 0.5
"""How long running calls may take when the server stops."""
_ENGINE_OPTIONS = EngineOptions(block_cache_bytes=8 * MIB, memtable_bytes=8 * MIB, background_jobs=1, max_open_files=64)
_MAX_ID = (1 << 63) - 1
_EMBEDDED_ADDRESS = "embedded"


class PdNode:
    """One placement driver, or with `founders` a member of one. Without `data_dir` it forgets everything at the end,
    without `address` it has no server.

    >>> node = PdNode(Path("data/pd"), "127.0.0.1:2379")
    >>> await node.start()                      # DataDirMismatch, EngineCorrupt, PortInUse
    >>> stub = LocalStub(node.servicer)         # in this process; others connect to node.address
    >>> await node.stop()
    """

    def __init__(
        self,
        data_dir: Path | None,
        address: str | None,
        clock: Clock | None = None,
        config: PdConfig | None = None,
        founders: Sequence[Founder] = (),
        join: Sequence[str] = (),
    ) -> None:
        """`founders` are the members a new group begins with, this one by its `config.name` among them; `join` are
        addresses of a group to become a member of. A directory that belongs to a group already goes by what it
        holds."""
        if (founders or join) and not address:
            raise InvalidRequest("a member of a group needs an address: the others are elsewhere")
        if (founders or join) and str(address).endswith(":0"):
            raise InvalidRequest("a member of a group needs a port of its own: the others must know it beforehand")
        self.config = config or PdConfig()
        self.address = address or ""
        """host:port it listens on (known after start when port 0 was asked for); empty without a server."""
        self._data_dir = data_dir
        self._founders, self._join = tuple(founders), tuple(join)
        self._clock = clock or SystemClock()
        self._health = HealthService()
        self._member: PdMember | None = None
        self._running: AsyncExitStack | None = None

    @property
    def servicer(self) -> Door:
        """What a LocalStub calls. Only between start and stop."""
        return self.member.door

    @property
    def member(self) -> PdMember:
        """The member itself. Only between start and stop."""
        if self._member is None:
            raise RuntimeError("the placement driver is not running")
        return self._member

    async def start(self) -> None:
        """Open, listen, take part; a placement driver of one member leads when this returns. What was opened is closed
        again when a step fails."""
        async with AsyncExitStack() as opened:
            engine = await asyncio.to_thread(self._open_engine)
            opened.push_async_callback(asyncio.to_thread, engine.close)
            if self._join and not member_id_in(engine):
                record = await ask_to_join(self._join, self.config.name, self.config.advertise_address or self.address)
                join_as(engine, record.member_id)
            member = self._member = self._make_member(engine)
            opened.callback(self._forget)
            transport = await self._listen(member, opened) if self.address else None
            if is_unconfirmed(engine):
                await confirm_new(member.door.own, self._founders)
                confirm(engine)
            opened.push_async_callback(member.stop)
            member.start(transport)
            if member.replication.replica.is_alone:
                await member.led_here()
            self._running = opened.pop_all()
        self._health.serving = True
        log.info("placement driver %s at %s", member.door.own.name, self.address or "this process")

    async def stop(self) -> None:
        """Hand over, end the streams and the server, make everything durable, free the directory. Harmless when not
        running."""
        self._health.serving = False
        running, self._running = self._running, None
        if running is not None:
            await running.aclose()

    def _forget(self) -> None:
        self._member = None

    def _open_engine(self) -> Engine:
        if self._data_dir is None:
            return MemoryEngine()
        engine = RocksEngine.open(self._data_dir, options=_ENGINE_OPTIONS)
        return with_failpoints(engine, "pd", self._data_dir, write_places)

    def _make_member(self, engine: Engine) -> PdMember:
        record = open_member(engine, self.config.name, self._founders, secrets.randbelow(_MAX_ID) + 1)

        async def sync() -> None:
            if self._data_dir is not None:
                await asyncio.to_thread(engine.sync)

        member = PdMember(engine, record, self.config, self._clock, sync, random.Random())
        held, expected = member.applied.cluster_id(), self.config.cluster_id
        if held and expected and held != expected:
            raise DataDirMismatch(f"the directory belongs to cluster {held}, not to cluster {expected}")
        member.door.own = self._own_record(member)
        return member

    def _own_record(self, member: PdMember) -> pdpb.Member:
        """Members of a group are where its records say; who is alone is where it listens."""
        known = member.door.own
        record = member.applied.member(known.member_id)
        if record is not None and record.client_urls and not member.replication.replica.is_alone:
            return record
        address = self.config.advertise_address or self.address or _EMBEDDED_ADDRESS
        return member_record(known.member_id, known.name, address)

    async def _listen(self, member: PdMember, opened: AsyncExitStack) -> GrpcPeers:
        """Serve, and find the way to the others."""
        service = PeerService(member.replication, member.applied.cluster_id)
        registrations = [member.door.register, service.register, self._health.register]
        server, self.address = await start_server(self.address, registrations)
        opened.push_async_callback(server.stop, STOP_GRACE_S)
        own = member.door.own = self._own_record(member)
        service.peers = GrpcPeers(member.replication, own, member.applied.member, member.applied.cluster_id)
        return service.peers

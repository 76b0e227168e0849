"""The front ends of a cluster, so that who changes a definition knows whom to wait for.

    m front_end <name>    JSON: until when it may use a catalogue it knows, and the version it says it has come to

A front end has a place here before it uses the catalogue, and only for as long as its place holds: the read by which it
checks the version comes after the write that covers the lease it gets. It keeps its place while it is used, and lets it
lapse when it is not. Its version says: nothing made with an older definition commits here any more.

So whoever has changed a definition reads the places after its commit: who is not there, or whose place has lapsed, must
look at the catalogue before it uses it again, and finds the change; who is there is waited for until it says that it
has come to the version, or for a lease at most. Alone, a front end waits for nobody. Among others each looks for
changes every LOOK_EVERY_S, so a step of a definition takes about that long.
"""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import dataclass

from rutile.catalog import meta
from rutile.catalog.transactions import in_transaction
from rutile.session.storage import KvClient, KvTransaction
from rutile_proto.errors import RutileError
from rutile_proto.keys import meta_key
from rutile_proto.timestamps import physical_ms

TERM_MS = 3_000
"""How long a place holds without being renewed: what a front end that died costs those that change definitions."""
FORGET_AFTER_MS = 60_000
"""How long a place that has lapsed stays written."""
LOOK_EVERY_S = 0.05
_PLACES = meta_key("front_end")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    key: bytes
    until_ms: int
    version: int


class OwnPlace:
    """The place of this front end."""

    def __init__(self, client: KvClient, lease_s: float) -> None:
        self._client = client
        self._key = meta_key("front_end", secrets.token_hex(8))
        self._lease_ms = round(lease_s * 1000)
        self._until_ms = 0
        self.version = 0
        """What this front end said last."""
        self.has_others = False
        """Whether other front ends were in use when the place was last renewed."""

    def covers(self, ts: int) -> bool:
        """Whether the place holds for a lease from `ts`."""
        return physical_ms(ts) + self._lease_ms <= self._until_ms

    def is_due(self, ts: int) -> bool:
        """Whether half of the term is over at `ts`."""
        return physical_ms(ts) + TERM_MS // 2 > self._until_ms

    async def hold(self, version: int) -> None:
        """Take the place, or renew it, saying that nothing older than `version` commits here."""

        async def write(txn: KvTransaction) -> tuple[int, bool]:
            now_ms = physical_ms(txn.start_ts)
            others = [each for each in await _places(txn) if each.key != self._key]
            for other in others:
                if other.until_ms + FORGET_AFTER_MS < now_ms:
                    txn.delete(other.key)
            body = {"until_ms": now_ms + TERM_MS, "version": version}
            txn.put(self._key, json.dumps(body).encode())
            return now_ms + TERM_MS, any(each.until_ms > now_ms for each in others)

        self._until_ms, self.has_others = await in_transaction(self._client, write)
        self.version = version

    async def leave(self) -> None:
        """Give the place up; nothing is used or committed from here any more."""
        self._until_ms = 0

        async def remove(txn: KvTransaction) -> None:
            txn.delete(self._key)

        try:
            await in_transaction(self._client, remove)
        except RutileError as error:
            _log.info("the place among the front ends lapses by itself: %s", error)

    async def is_anybody_behind(self, version: int) -> bool:
        """Whether another front end may still use a version before this one."""
        ts = await self._client.timestamp()
        found = await _places(self._client.snapshot(ts))
        return any(
            each.key != self._key and each.version < version and each.until_ms >= physical_ms(ts) for each in found
        )


async def _places(reader: meta.MetaReader) -> list[_Place]:
    pairs = [(key, json.loads(value)) for key, value in await meta.scan_all(reader, _PLACES)]
    return [_Place(key, body["until_ms"], body["version"]) for key, body in pairs]

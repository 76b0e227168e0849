"""What a front end loads when it looks: what has moved, and nothing else."""

from __future__ import annotations

import asyncio

from rutile.catalog.meta import scan_all
from rutile.statistics import kept
from rutile.statistics.model import ColumnStatistics, TableStatistics
from rutile_proto.keys import meta_key
from rutile_proto.types import Timestamp

ANALYZED = TableStatistics(7, 100, 1_000, 1_000, {1: ColumnStatistics(distinct=1_000)})


class Store:
    """Pairs in a dictionary, and the prefixes that were scanned."""

    def __init__(self) -> None:
        self.start_ts = Timestamp(1)
        self.pairs: dict[bytes, bytes] = {}
        self.scanned: list[bytes] = []

    async def get(self, key: bytes) -> bytes | None:
        return self.pairs.get(key)

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        self.scanned.append(start)
        return sorted(pair for pair in self.pairs.items() if start <= pair[0] < end)[:limit]

    def put(self, key: bytes, value: bytes) -> None:
        self.pairs[key] = value

    def delete(self, key: bytes) -> None:
        self.pairs.pop(key, None)


def test_tables_are_loaded_when_they_were_analyzed_and_changes_when_they_were_counted() -> None:
    async def run() -> None:
        store = Store()
        await kept.save(store, ANALYZED)
        known = await kept.load(store)
        assert (dict(known.tables), dict(known.changed)) == ({7: ANALYZED}, {})
        store.scanned.clear()
        assert await kept.load(store, known) == known
        assert store.scanned == []

        await kept.add_changes(store, {7: 3, 8: 1})
        counted = await kept.load(store, known)
        assert counted.changed == {7: 3, 8: 1}
        assert counted.tables is known.tables
        assert store.scanned == [meta_key("statistics_changes")]

        await kept.save(store, ANALYZED)
        assert (await kept.load(store, counted)).changed == {8: 1}
        await kept.drop(store, 7)
        assert (await kept.load(store, counted)).tables == {}

    asyncio.run(run())


def test_what_an_older_front_end_counted_is_loaded() -> None:
    """It has one version for all."""

    async def run() -> None:
        store = Store()
        await kept.save(store, ANALYZED)
        known = await kept.load(store)
        store.put(kept.changes_key(7), b"[7, 5]")
        store.put(kept.VERSION_KEY, b"9")
        assert (await kept.load(store, known)).changed == {7: 5}
        assert len(await scan_all(store, meta_key("statistics_changes"))) == 1

    asyncio.run(run())

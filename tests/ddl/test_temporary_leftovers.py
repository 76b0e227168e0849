"""What temporary tables leave in the store when their front end dies or their session ends."""

from __future__ import annotations

import asyncio

from rutile.catalog.meta import scan_all
from rutile.nodes.embedded import EmbeddedNode
from rutile.session.engine import Database, DatabaseOptions
from rutile_proto.keys import meta_key


async def _left(node: EmbeddedNode) -> tuple[int, int]:
    """(temporary tables written down, ranges to be removed)."""
    reader = node.client.snapshot(await node.client.timestamp())
    noted = await scan_all(reader, meta_key("temporary_table"))
    return len(noted), len(await scan_all(reader, meta_key("delete_range")))


async def _story() -> None:
    node = await EmbeddedNode.open(None)
    options = DatabaseOptions(single_front_end=True)
    try:
        first = Database(node.client, options=options)
        await first.start()
        leaving, dying = await first.session("test"), await first.session("test")
        for session in (leaving, dying):
            await session.execute("CREATE TEMPORARY TABLE t (id INT PRIMARY KEY)")
            await session.execute("INSERT INTO t VALUES (1)")
        assert await _left(node) == (2, 0)
        await leaving.close()
        assert await _left(node) == (1, 1)
        second = Database(node.client, options=options)  # the first has died without a word
        await second.start()
        assert await _left(node) == (0, 2)
        await second.close()
        await dying.close()
        await first.close()
    finally:
        await node.close()


def test_rows_go_with_the_session_and_with_a_dead_front_end() -> None:
    asyncio.run(_story())

"""What tables about the server show on the real stack, and what the slow log writes."""

from __future__ import annotations

import asyncio
import io

from fake_client import FakeClient

from rutile.nodes.embedded import EmbeddedNode
from rutile.session.engine import Database, DatabaseOptions


def test_the_cluster_is_shown() -> None:
    async def run() -> None:
        node = await EmbeddedNode.open(None)
        try:
            session = await node.database.session("test")
            shown = (await session.execute("SELECT type FROM information_schema.cluster_info")).rows()
            assert shown == [("tidb",), ("tikv",)]
            stores = await session.execute("SELECT store_state_name FROM information_schema.tikv_store_status")
            assert stores.rows() == [("Up",)]
            regions = await session.execute("SELECT COUNT(*) FROM information_schema.tikv_region_status")
            assert regions.rows()[0][0]
            await session.close()
        finally:
            await node.close()

    asyncio.run(run())


def test_the_slow_log_has_an_entry_a_statement_and_no_passwords() -> None:
    async def run() -> str:
        log = io.StringIO()
        database = Database(FakeClient(), options=DatabaseOptions(single_front_end=True, slow_log=log))
        await database.start()
        session = await database.session("test")
        await session.execute("SET tidb_slow_log_threshold = 0")
        await session.execute("SELECT 1\n  + 1")
        await session.execute("CREATE USER ann IDENTIFIED BY 'secret'")
        await session.close()
        await database.close()
        return log.getvalue()

    written = asyncio.run(run())
    assert "\nSELECT 1 + 1;\n" in written and written.count("# Query_time: ") == 3
    assert "CREATE USER ann" in written and "secret" not in written

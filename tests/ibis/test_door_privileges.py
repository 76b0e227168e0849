"""The door for DuckDB's dialect asks for the same privileges as MySQL's does."""

from __future__ import annotations

import asyncio

from rutile.errors import SqlError
from rutile.nodes.embedded import EmbeddedNode
from rutile.privileges.logins import Logins
from rutile.session.session import Session

ER_TABLE_ACCESS_DENIED = 1142
ER_NEEDS_SUPER = 1227


async def refusal(session: Session, sql: str) -> int:
    """The error's number; 0 if there is none."""
    try:
        await session.execute(sql, (), "duckdb")
    except SqlError as error:
        return error.code
    return 0


def test_tables_are_read_and_written_as_granted() -> None:
    async def run() -> None:
        node = await EmbeddedNode.open(None)
        root = await node.database.session("test")
        for statement in (
            "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE u (id INT PRIMARY KEY)",
            "CREATE VIEW few AS SELECT id FROM u", "CREATE VIEW hidden AS SELECT id FROM t",
            "CREATE USER ann IDENTIFIED BY 'pw'", "GRANT SELECT ON test.t TO ann", "GRANT INSERT ON test.u TO ann",
            "GRANT SELECT ON test.few TO ann",
        ):  # fmt: skip
            await root.execute(statement)
        ann = await node.database.session("test", await Logins(node.database.catalog).by_password("ann", "pw"))
        assert await refusal(ann, "SELECT * FROM t") == 0
        assert await refusal(ann, "INSERT INTO u SELECT id FROM t") == 0
        assert await refusal(ann, "CREATE TEMPORARY TABLE mine AS SELECT id FROM t") == 0
        assert await refusal(ann, "SELECT * FROM few") == 0
        assert await refusal(ann, "SELECT * FROM hidden") == ER_TABLE_ACCESS_DENIED
        assert await refusal(ann, "SELECT * FROM u") == ER_TABLE_ACCESS_DENIED
        assert await refusal(ann, "CREATE VIEW v AS SELECT * FROM u") == ER_TABLE_ACCESS_DENIED
        assert await refusal(ann, "INSERT INTO t SELECT 1") == ER_TABLE_ACCESS_DENIED
        assert await refusal(ann, "REPLACE INTO u SELECT 1") == ER_TABLE_ACCESS_DENIED
        assert await refusal(ann, "SELECT * FROM information_schema.tables") == ER_NEEDS_SUPER
        await ann.close()
        await root.close()
        await node.close()

    asyncio.run(run())

"""Children that come while their parents go, on the real stack: no orphan is left, whoever wins."""

from __future__ import annotations

import asyncio
import random

import pytest

from rutile.errors import SqlError
from rutile.nodes.embedded import EmbeddedNode
from rutile.session.engine import Database, DatabaseOptions
from rutile.session.session import Session

PARENTS = 6
ROUNDS = 20
LOST = (1205, 1213, 1451, 1452, 9007)
"""What the loser of a race hears."""


async def _attempt(session: Session, begin: str, statement: str) -> bool:
    try:
        if begin:
            await session.execute(begin)
        await session.execute(statement)
        await session.execute("COMMIT")
    except SqlError as error:
        assert error.code in LOST, error
        await session.execute("ROLLBACK")
        return False
    return True


async def _race(begin: str, action: str) -> None:
    node = await EmbeddedNode.open(None)
    database = Database(node.client, options=DatabaseOptions(single_front_end=True))
    await database.start()
    sessions = [await database.session() for _ in range(4)]
    try:
        for session in sessions:
            await session.use("test")
        first = sessions[0]
        await first.execute("CREATE TABLE p (id INT PRIMARY KEY)")
        await first.execute(
            "CREATE TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, p INT,"
            f" FOREIGN KEY (p) REFERENCES p (id) ON DELETE {action})"
        )
        await first.execute("INSERT INTO p VALUES " + ", ".join(f"({each})" for each in range(PARENTS)))
        dice = random.Random(7)

        async def child(session: Session) -> int:
            made = 0
            for _ in range(ROUNDS):
                made += await _attempt(session, begin, f"INSERT INTO c (p) VALUES ({dice.randrange(PARENTS)})")
            return made

        async def parent(session: Session) -> int:
            gone = 0
            for _ in range(ROUNDS):
                which = dice.randrange(PARENTS)
                gone += await _attempt(session, begin, f"DELETE FROM p WHERE id = {which}")
                await _attempt(session, "", f"INSERT IGNORE INTO p VALUES ({which})")
            return gone

        counts = await asyncio.gather(*(child(each) for each in sessions[:2]), *(parent(each) for each in sessions[2:]))
        assert sum(counts[:2]) > 0 and sum(counts[2:]) > 0, "both sides must win sometimes"
        orphans = await first.execute("SELECT COUNT(*) FROM c LEFT JOIN p ON c.p = p.id WHERE p.id IS NULL")
        assert orphans.rows() == [(0,)]
        await first.execute("ADMIN CHECK TABLE c")
    finally:
        for session in sessions:
            await session.close()
        await database.close()
        await node.close()


@pytest.mark.parametrize("action", ["RESTRICT", "CASCADE"])
@pytest.mark.parametrize("begin", ["", "BEGIN OPTIMISTIC", "BEGIN PESSIMISTIC"])
def test_no_orphan_is_left(begin: str, action: str) -> None:
    asyncio.run(_race(begin, action))

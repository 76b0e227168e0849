"""Users of the catalogue over the gRPC service: the password that hello brings, and what the session may do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fake_client import FakeClient
from sql_runner import make_database

from rutile.nodes.service import SqlServicer
from rutile_proto import rutilepb_pb2 as rutilepb


async def answers(servicer: SqlServicer, *requests: rutilepb.SqlRequest) -> list[int]:
    """The error number of each answer, 0 for done."""

    async def stream() -> AsyncIterator[rutilepb.SqlRequest]:
        for request in requests:
            yield request

    found = []
    async for response in servicer.Session(stream(), None):
        if response.HasField("error") or response.HasField("done"):
            found.append(response.error.code)
    return found


def hello(user: str, password: str) -> rutilepb.SqlRequest:
    return rutilepb.SqlRequest(id=1, hello=rutilepb.SqlHello(user=user, password=password))


def run(sql: str) -> rutilepb.SqlRequest:
    return rutilepb.SqlRequest(id=2, execute=rutilepb.SqlExecute(sql=sql))


def test_the_service_asks_for_passwords_and_privileges() -> None:
    async def scenario() -> None:
        database = make_database(FakeClient())
        await database.start()
        root = await database.session("test")
        for sql in (
            "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE USER ann IDENTIFIED BY 'pw'", "GRANT SELECT ON test.t TO ann"
        ):  # fmt: skip
            await root.execute(sql)
        servicer = SqlServicer(database)
        read, write = run("SELECT * FROM test.t"), run("INSERT INTO test.t VALUES (1)")
        assert await answers(servicer, hello("ann", "pw"), read, write) == [0, 0, 1142]
        assert await answers(servicer, hello("ann", "wrong"), read) == [1045, 1043]
        assert await answers(servicer, hello("", ""), write) == [0, 0]
        await root.execute("ALTER USER root IDENTIFIED BY 'secret'")
        assert await answers(servicer, hello("", ""), read) == [1045, 1043]
        assert await answers(SqlServicer(database, root_password="other"), hello("root", "other"), read) == [0, 0]
        await database.close()

    asyncio.run(scenario())

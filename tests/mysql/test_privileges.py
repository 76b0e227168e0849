"""What users may do: every kind of statement with and without its privilege, roles, SHOW GRANTS, what lists show."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from fake_client import FakeClient
from sql_runner import make_database

from rutile.errors import SqlError
from rutile.privileges.logins import Logins
from rutile.session.engine import Database
from rutile.session.session import Session

SETUP = (
    "CREATE TABLE t (id INT PRIMARY KEY, v INT, KEY kv (v))", "CREATE TABLE u (id INT PRIMARY KEY, v INT)",
    "CREATE DATABASE other", "CREATE TABLE other.x (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1, 10), (2, 20)",
    "CREATE USER ann IDENTIFIED BY 'pw'",
)  # fmt: skip


class Town:
    """A database, its root, and ann."""

    def __init__(self, database: Database, root: Session) -> None:
        self.database = database
        self.root = root

    async def ann(self, password: str = "pw") -> Session:
        identity = await Logins(self.database.catalog).by_password("ann", password)
        session = await self.database.session(None, identity)
        session.database = "test"  # whether it may be used is asked by USE; here only what follows matters
        return session


def play(scenario: Callable[[Town], Awaitable[None]]) -> None:
    async def run() -> None:
        database = make_database(FakeClient())
        await database.start()
        root = await database.session("test")
        try:
            for statement in SETUP:
                await root.execute(statement)
            await scenario(Town(database, root))
        finally:
            await database.close()

    asyncio.run(run())


async def refusal(session: Session, sql: str) -> int:
    """The error's number; 0 if there is none."""
    try:
        await session.execute(sql)
    except SqlError as error:
        return error.code
    return 0


async def lines(session: Session, sql: str) -> list[str]:
    return [str(row[0]) for row in (await session.execute(sql)).rows()]


CASES = [
    ("SELECT * FROM t WHERE id = 1", "SELECT ON test.t", 1142),
    ("SELECT * FROM t WHERE v > 1", "SELECT ON test.*", 1142),
    ("SELECT v FROM t WHERE v = 10", "SELECT ON *.*", 1142),
    ("SELECT COUNT(*) FROM t JOIN u USING (id)", "SELECT ON test.*", 1142),
    ("WITH c AS (SELECT * FROM t) SELECT * FROM c", "SELECT ON test.t", 1142),
    ("SELECT (SELECT MAX(v) FROM t)", "SELECT ON test.t", 1142),
    ("SELECT * FROM t WHERE id = 1 FOR UPDATE", "SELECT, UPDATE ON test.t", 1142),
    ("EXPLAIN SELECT * FROM t", "SELECT ON test.t", 1142),
    ("TABLE t", "SELECT ON test.t", 1142),
    ("INSERT INTO t VALUES (3, 30)", "INSERT ON test.t", 1142),
    ("INSERT INTO t SELECT id + 10, v FROM u", "INSERT, SELECT ON test.*", 1142),
    ("INSERT INTO t VALUES (1, 1) ON DUPLICATE KEY UPDATE v = 5", "INSERT, UPDATE ON test.t", 1142),
    ("REPLACE INTO t VALUES (1, 2)", "INSERT, DELETE ON test.t", 1142),
    ("UPDATE t SET v = 5", "UPDATE ON test.t", 1142),
    ("UPDATE t SET v = v + 1 WHERE id = 1", "SELECT, UPDATE ON test.t", 1142),
    ("UPDATE t JOIN u USING (id) SET t.v = u.v", "SELECT, UPDATE ON test.*", 1142),
    ("DELETE FROM t WHERE id = 1", "SELECT, DELETE ON test.t", 1142),
    ("DELETE t FROM t JOIN u USING (id)", "SELECT, DELETE ON test.*", 1142),
    ("CREATE TABLE fresh (id INT PRIMARY KEY)", "CREATE ON test.*", 1142),
    ("CREATE TABLE copy LIKE t", "CREATE, SELECT ON test.*", 1142),
    ("CREATE DATABASE app", "CREATE ON app.*", 1044),
    ("DROP DATABASE other", "DROP ON other.*", 1044),
    ("DROP TABLE t", "DROP ON test.t", 1142),
    ("TRUNCATE TABLE t", "DROP ON test.t", 1142),
    ("ALTER TABLE t ADD COLUMN w INT", "ALTER ON test.t", 1142),
    ("CREATE INDEX i ON t (v)", "INDEX ON test.t", 1142),
    ("RENAME TABLE t TO s", "ALTER, DROP, CREATE, INSERT ON test.*", 1142),
    ("SHOW CREATE TABLE t", "INSERT ON test.t", 1142),
    ("SHOW COLUMNS FROM t", "SELECT ON test.t", 1142),
    ("USE other", "SELECT ON other.x", 1044),
    ("SHOW TABLES FROM other", "SELECT ON other.*", 1044),
    ("FLUSH TABLES", "RELOAD ON *.*", 1227),
    ("ADMIN SHOW DDL JOBS", "SUPER ON *.*", 1227),
    ("CREATE USER bob", "CREATE USER ON *.*", 1227),
    ("CREATE ROLE r", "CREATE ROLE ON *.*", 1227),
    ("DROP USER ann", "CREATE USER ON *.*", 1227),
    ("SHOW GRANTS FOR root", "SELECT ON mysql.*", 1142),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "privileges", "code"), CASES, ids=[case[0] for case in CASES])
def test_a_statement_runs_with_its_privilege_only(sql: str, privileges: str, code: int) -> None:
    async def scenario(town: Town) -> None:
        ann = await town.ann()
        before = await town.database.client.timestamp(), (await town.root.execute("SELECT * FROM t ORDER BY id")).rows()
        assert await refusal(ann, sql) == code
        assert (await town.root.execute("SELECT * FROM t ORDER BY id")).rows() == before[1]
        await town.root.execute(f"GRANT {privileges} TO ann")
        assert await refusal(ann, sql) == 0

    play(scenario)


PARTLY = [
    ("SELECT COUNT(*) FROM t JOIN u USING (id)", "SELECT ON test.t"),
    ("SELECT * FROM t WHERE v IN (SELECT v FROM u)", "SELECT ON test.t"),
    ("UPDATE t SET v = v + 1", "UPDATE ON test.t"),
    ("UPDATE t SET v = (SELECT MAX(v) FROM u)", "SELECT, UPDATE ON test.t"),
    ("DELETE FROM t WHERE id = 1", "DELETE ON test.t"),
    ("INSERT INTO t SELECT * FROM u", "INSERT ON test.t"),
    ("REPLACE INTO t VALUES (1, 2)", "INSERT ON test.t"),
    ("UPDATE t JOIN u USING (id) SET t.v = 1, u.v = 2", "UPDATE, SELECT ON test.t"),
    ("UPDATE t JOIN u ON t.id = u.id SET u.v = 2", "SELECT, UPDATE ON test.t"),
    ("DELETE u FROM t JOIN u USING (id)", "SELECT, DELETE ON test.t"),
    ("SELECT * FROM t FOR UPDATE", "SELECT ON test.t"),
    ("SELECT * FROM t UNION SELECT * FROM u", "SELECT ON test.t"),
    ("RENAME TABLE t TO other.t", "ALTER, DROP ON test.t"),
    ("CREATE TABLE copy LIKE other.x", "CREATE ON test.*"),
]


@pytest.mark.parametrize(("sql", "privileges"), PARTLY, ids=[case[0] for case in PARTLY])
def test_half_of_what_it_needs_is_not_enough(sql: str, privileges: str) -> None:
    async def scenario(town: Town) -> None:
        await town.root.execute(f"GRANT {privileges} TO ann")
        assert await refusal(await town.ann(), sql) == 1142

    play(scenario)


def test_statements_prepared_as_text_are_asked_when_they_run() -> None:
    async def scenario(town: Town) -> None:
        ann = await town.ann()
        assert await refusal(ann, "PREPARE s FROM 'SELECT v FROM t WHERE id = ?'") == 0
        await ann.execute("SET @id = 2")
        assert await refusal(ann, "EXECUTE s USING @id") == 1142
        await town.root.execute("GRANT SELECT ON test.t TO ann")
        assert await lines(ann, "EXECUTE s USING @id") == ["20"]
        assert await refusal(ann, "EXECUTE s") == 1210
        assert await refusal(ann, "DEALLOCATE PREPARE s") == 0
        assert await refusal(ann, "EXECUTE s USING @id") == 1243
        await ann.execute("SET @text = 'SELECT ? + 1'")
        assert await refusal(ann, "PREPARE s FROM @text") == 0
        assert await lines(ann, "EXECUTE s USING @id") == ["3"]
        for sql, code in (("PREPARE s FROM 'EXECUTE x'", 1295), ("PREPARE s FROM 'SELEC'", 1064), ("EXECUTE s", 1243)):
            assert await refusal(ann, sql) == code

    play(scenario)


def test_refusals_are_worded_as_mysqls() -> None:
    async def scenario(town: Town) -> None:
        ann = await town.ann()
        for sql, text in (
            ("SELECT * FROM t", "SELECT command denied to user 'ann'@'%' for table 't'"),
            ("USE other", "Access denied for user 'ann'@'%' to database 'other'"),
            ("FLUSH TABLES", "Access denied; you need (at least one of) the RELOAD privilege(s) for this operation"),
        ):
            with pytest.raises(SqlError) as caught:
                await ann.execute(sql)
            assert caught.value.message == text and caught.value.sqlstate == "42000"

    play(scenario)


def test_lists_show_what_may_be_seen() -> None:
    async def scenario(town: Town) -> None:
        ann = await town.ann()
        assert await lines(ann, "SHOW DATABASES") == ["information_schema"]
        await town.root.execute("GRANT SELECT ON test.t TO ann")
        assert await lines(ann, "SHOW DATABASES") == ["information_schema", "test"]
        assert await lines(ann, "SHOW TABLES") == ["t"]
        names = "SELECT TABLE_NAME FROM information_schema.tables WHERE TABLE_SCHEMA <> 'information_schema'"
        assert await lines(ann, names) == ["t"]
        assert await lines(town.root, names + " ORDER BY 1") == ["t", "u", "x"]
        assert [row[1] for row in (await ann.execute("SHOW PROCESSLIST")).rows()] == ["ann"]
        assert len((await town.root.execute("SHOW PROCESSLIST")).rows()) == 2

    play(scenario)


def test_grants_as_tables() -> None:
    async def scenario(town: Town) -> None:
        await town.root.execute("CREATE USER bob")
        for sql in ("GRANT PROCESS ON *.* TO ann", "GRANT SELECT ON test.* TO ann", "GRANT INSERT ON test.t TO bob"):
            await town.root.execute(sql)
        one = "SELECT CONCAT_WS(' ', GRANTEE, PRIVILEGE_TYPE) FROM information_schema."
        ann = await town.ann()
        for session, users in ((town.root, ["'ann'@'%' PROCESS"]), (ann, ["'ann'@'%' PROCESS"])):
            assert await lines(session, one + "user_privileges WHERE GRANTEE LIKE '%ann%'") == users
            assert await lines(session, one + "schema_privileges") == ["'ann'@'%' SELECT"]
        assert await lines(town.root, one + "table_privileges") == ["'bob'@'%' INSERT"]
        assert await lines(ann, one + "table_privileges") == []
        for name in ("views", "routines", "triggers", "referential_constraints", "events", "parameters"):
            assert await lines(ann, f"SELECT * FROM information_schema.{name}") == []
        assert await lines(ann, "SELECT COLLATION_NAME FROM information_schema.collations") == ["utf8mb4_bin"]
        sql = "SELECT KEY_NAME FROM information_schema.tidb_indexes WHERE TABLE_NAME = 't' ORDER BY 1"
        assert await lines(ann, sql) == ["PRIMARY", "kv"]

    play(scenario)


def test_roles_give_what_they_have_while_they_are_active() -> None:
    async def scenario(town: Town) -> None:
        for sql in (
            "CREATE ROLE reader, writer", "GRANT SELECT ON test.* TO reader", "GRANT reader TO writer",
            "GRANT INSERT ON test.* TO writer", "GRANT writer TO ann",
        ):  # fmt: skip
            await town.root.execute(sql)
        ann = await town.ann()
        assert await refusal(ann, "SELECT * FROM t") == 1142
        await ann.execute("SET ROLE writer")
        assert await refusal(ann, "SELECT * FROM t") == 0
        assert await lines(ann, "SELECT CURRENT_ROLE()") == ["`writer`@`%`"]
        await ann.execute("SET ROLE NONE")
        assert await refusal(ann, "SELECT * FROM t") == 1142
        assert await refusal(ann, "SET ROLE reader") == 3530
        await town.root.execute("SET DEFAULT ROLE ALL TO ann")
        later = await town.ann()
        assert await refusal(later, "INSERT INTO t VALUES (7, 7)") == 0
        await town.root.execute("DROP ROLE writer")
        assert await refusal(later, "SELECT * FROM t") == 1142
        assert await lines(town.root, "SHOW GRANTS FOR ann") == ["GRANT USAGE ON *.* TO `ann`@`%`"]

    play(scenario)


def test_one_grants_what_one_has_with_grant_option() -> None:
    async def scenario(town: Town) -> None:
        await town.root.execute("CREATE USER bob")
        await town.root.execute("GRANT SELECT ON test.* TO ann WITH GRANT OPTION")
        ann = await town.ann()
        assert await refusal(ann, "GRANT SELECT ON test.t TO bob") == 0
        assert await refusal(ann, "GRANT INSERT ON test.t TO bob") == 1142
        assert await refusal(ann, "GRANT SELECT ON other.* TO bob") == 1044
        assert await refusal(ann, "GRANT SELECT ON *.* TO bob") == 1227
        assert await refusal(ann, "GRANT ALL ON *.* TO ann") == 1227
        assert await refusal(ann, "ALTER USER root IDENTIFIED BY 'mine'") == 1227
        assert await refusal(ann, "ALTER USER CURRENT_USER() IDENTIFIED BY 'x' ACCOUNT LOCK") == 1227
        assert await refusal(ann, "ALTER USER CURRENT_USER() IDENTIFIED BY 'x'") == 0

    play(scenario)


def test_show_grants_can_be_run_again() -> None:
    async def scenario(town: Town) -> None:
        for sql in (
            "GRANT SELECT, INSERT ON test.t TO ann", "GRANT ALL ON `app\\_%`.* TO ann WITH GRANT OPTION",
            "GRANT PROCESS, CREATE USER ON *.* TO ann", "REVOKE INSERT ON test.t FROM ann",
        ):  # fmt: skip
            await town.root.execute(sql)
        shown = await lines(town.root, "SHOW GRANTS FOR ann")
        assert shown == [
            "GRANT PROCESS, CREATE USER ON *.* TO `ann`@`%`",
            "GRANT ALL PRIVILEGES ON `app\\_%`.* TO `ann`@`%` WITH GRANT OPTION",
            "GRANT SELECT ON `test`.`t` TO `ann`@`%`",
        ]
        create = await lines(town.root, "SHOW CREATE USER ann")
        await town.root.execute("DROP USER ann")
        for sql in (*create, *shown):
            await town.root.execute(sql)
        assert await lines(town.root, "SHOW GRANTS FOR ann") == shown
        ann = await town.ann()  # with the password it had
        assert await refusal(ann, "CREATE DATABASE app_one") == 0
        assert await refusal(ann, "CREATE DATABASE apples") == 1044

    play(scenario)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("CREATE USER ann", 1396), ("DROP USER nobody", 1396), ("DROP USER root", 1396),
        ("ALTER USER nobody ACCOUNT LOCK", 1396),
        ("GRANT SELECT ON test.* TO nobody", 1396), ("GRANT nobody TO ann", 3523),
        ("REVOKE SELECT ON test.* FROM ann", 1141),
        ("CREATE USER b IDENTIFIED WITH auth_socket", 1524), ("GRANT SELECT (v) ON test.t TO ann", 1235),
        ("GRANT PROCESS ON test.* TO ann", 1235), ("GRANT FLYING ON *.* TO ann", 1235),
        ("CREATE USER b PASSWORD EXPIRE", 1235), ("SHOW GRANTS FOR nobody", 1141), ("KILL x", 1064),
        ("CREATE USER IF NOT EXISTS ann", 0), ("DROP USER IF EXISTS nobody", 0),
    ],
)  # fmt: skip
def test_errors_of_statements_about_users(sql: str, code: int) -> None:
    async def scenario(town: Town) -> None:
        assert await refusal(town.root, sql) == code

    play(scenario)


def test_users_outlive_the_process() -> None:
    async def scenario() -> None:
        client = FakeClient()
        for attempt in range(2):
            database = make_database(client)
            await database.start()
            session = await database.session("test")
            if attempt == 0:
                await session.execute("CREATE USER ann IDENTIFIED BY 'pw'")
                await session.execute("GRANT SELECT ON test.* TO ann")
            else:
                assert (await Logins(database.catalog).by_password("ann", "pw")).account == ("ann", "%")
                assert "GRANT SELECT ON `test`.* TO `ann`@`%`" in await lines(session, "SHOW GRANTS FOR ann")
            await database.close()

    asyncio.run(scenario())

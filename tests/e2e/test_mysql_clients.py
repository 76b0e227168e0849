"""MySQL's own clients against a playground: PyMySQL, mysql-connector-python, SQLAlchemy."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import mysql.connector
import pymysql
import pytest
import sqlalchemy
from e2e_tools import wait_until
from mysql.connector.connection import MySQLConnection
from pymysql.constants import CLIENT
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from rutile.nodes.playground import Playground
from rutile.session.variables import SERVER_VERSION

README = Path(__file__).parents[2] / "README.md"

ALL_TYPES = """
CREATE TABLE every_type (
  id BIGINT PRIMARY KEY AUTO_INCREMENT, tiny TINYINT, small SMALLINT UNSIGNED, medium MEDIUMINT, whole INT,
  big BIGINT UNSIGNED, single FLOAT, wide DOUBLE, exact DECIMAL(20, 4), yes BOOL, letters CHAR(5), words VARCHAR(200),
  story TEXT, raw VARBINARY(50), heap BLOB, day DATE, moment DATETIME(6), stamp TIMESTAMP, span TIME, facts JSON
)
"""
VALUES = (
    -128, 65535, -8388608, 2147483647, 2**64 - 1, 1.5, 1e300, Decimal("-1234567890123456.7891"), 1, "ab",
    "it's \\ \"ü\" \0", "line\nline", b"\x00\xff'\"\\", b"\x80" * 300, date(1999, 12, 31),
    datetime(2026, 1, 2, 3, 4, 5, 678901), datetime(2026, 1, 2, 3, 4, 5), timedelta(hours=100, minutes=1, seconds=2),
    '{"a": [1, null]}',
)  # fmt: skip
COLUMNS = (
    "tiny, small, medium, whole, big, single, wide, exact, yes, letters, words, story, raw, heap, day, moment, stamp,"
    " span, facts"
)
ROW = (1, *VALUES)


def port_of(playground: Playground) -> int:
    return int(playground.mysql_address.rpartition(":")[2])


def pymysql_connect(playground: Playground, **options: object) -> pymysql.Connection:
    return pymysql.connect(host="127.0.0.1", port=port_of(playground), user="root", database="test", **options)


def connector(playground: Playground, **options: object) -> MySQLConnection:
    found = mysql.connector.connect(
        host="127.0.0.1", port=port_of(playground), user="root", database="test", use_pure=True, **options
    )
    assert isinstance(found, MySQLConnection)
    return found


@pytest.fixture(scope="module")
def every_type(playground: Playground) -> Iterator[None]:
    """A table with a column of every type, and two rows: one full, one of NULLs."""
    with closing(pymysql_connect(playground, autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute(ALL_TYPES)
        placeholders = ", ".join(["%s"] * len(VALUES))
        cursor.execute(f"INSERT INTO every_type ({COLUMNS}) VALUES ({placeholders})", VALUES)
        cursor.execute("INSERT INTO every_type () VALUES ()")
        yield
        cursor.execute("DROP TABLE every_type")


@pytest.mark.parametrize("where", ["WHERE id = 1", "WHERE id < 2"], ids=["point", "scan"])
def test_every_type_as_text(playground: Playground, every_type: None, where: str) -> None:
    with closing(pymysql_connect(playground)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM every_type {where}")
        assert cursor.fetchall() == (ROW,)
        types = {column[0]: column[1] for column in cursor.description}
        assert (types["exact"], types["big"], types["heap"], types["moment"]) == (246, 8, 252, 12)
        cursor.execute("SELECT * FROM every_type WHERE id = 2")
        assert cursor.fetchall() == ((2, *[None] * len(VALUES)),)


@pytest.mark.parametrize("where", ["WHERE id = ?", "WHERE id <= ? AND id > 0"], ids=["point", "scan"])
def test_every_type_in_binary_twice(playground: Playground, every_type: None, where: str) -> None:
    with closing(connector(playground)) as connection, connection.cursor(prepared=True) as cursor:
        for _ in range(2):
            cursor.execute(f"SELECT * FROM every_type {where}", (1,))
            assert cursor.fetchall() == [ROW]
        cursor.execute(f"SELECT * FROM every_type {where} AND tiny IS NULL", (2,))
        assert cursor.fetchall() == [(2, *[None] * len(VALUES))]


def test_every_type_as_parameters(playground: Playground, every_type: None) -> None:
    with closing(connector(playground, autocommit=True)) as connection, connection.cursor(prepared=True) as cursor:
        insert = f"INSERT INTO every_type ({COLUMNS}) VALUES ({', '.join('?' * len(VALUES))})"
        for values in (VALUES, [None] * len(VALUES), VALUES):
            cursor.execute(insert, tuple(values))
        key = cursor.lastrowid
        cursor.execute("SELECT * FROM every_type WHERE id = ?", (key,))
        assert cursor.fetchall() == [(key, *VALUES)]
        cursor.execute("SELECT COUNT(*), SUM(exact) FROM every_type WHERE id > ?", (2,))
        assert cursor.fetchall() == [(3, 2 * VALUES[7])]  # type: ignore[operator]
        cursor.execute("DELETE FROM every_type WHERE id > ?", (2,))
        assert cursor.rowcount == 3


def test_transactions_roll_back_and_commit(playground: Playground) -> None:
    with closing(pymysql_connect(playground)) as one, closing(connector(playground)) as two:
        mine, theirs = one.cursor(), two.cursor()
        mine.execute("CREATE TABLE account (id INT PRIMARY KEY, balance INT)")
        assert mine.execute("INSERT INTO account VALUES (1, 10), (2, 20)") == 2
        theirs.execute("SELECT COUNT(*) FROM account")
        assert theirs.fetchall() == [(0,)] and two.in_transaction
        two.rollback()
        one.commit()
        mine.execute("UPDATE account SET balance = 0")
        one.rollback()
        theirs.execute("SELECT SUM(balance) FROM account")
        assert theirs.fetchall() == [(Decimal(30),)]
        two.commit()
        assert not two.in_transaction
        assert mine.execute("UPDATE account SET balance = 10 WHERE id IN (1, 2)") == 1  # one was so already
        one.commit()
        mine.execute("DROP TABLE account")


def test_a_write_conflict_is_an_error_to_retry(playground: Playground) -> None:
    with closing(pymysql_connect(playground)) as one, closing(pymysql_connect(playground)) as two:
        mine, theirs = one.cursor(), two.cursor()
        mine.execute("CREATE TABLE contested (id INT PRIMARY KEY, v INT)")
        for cursor in (mine, theirs):
            cursor.execute("SET tidb_txn_mode = 'optimistic'")
        mine.execute("INSERT INTO contested VALUES (1, 0)")
        one.commit()
        mine.execute("UPDATE contested SET v = 1 WHERE id = 1")
        theirs.execute("UPDATE contested SET v = 2 WHERE id = 1")
        one.commit()
        with pytest.raises(pymysql.MySQLError) as caught:
            two.commit()
        assert caught.value.args[0] == 9007
        mine.execute("DROP TABLE contested")


def test_multi_statements_give_every_result(playground: Playground) -> None:
    with closing(pymysql_connect(playground, client_flag=CLIENT.MULTI_STATEMENTS)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 'a;b'; SET @x = 5; SELECT @x; SELECT * FROM nowhere; SELECT 'never'")
        assert cursor.fetchall() == (("a;b",),)
        assert cursor.nextset() and cursor.description is None
        assert cursor.nextset() and cursor.fetchall() == ((5,),)
        with pytest.raises(pymysql.ProgrammingError) as caught:
            cursor.nextset()
        assert caught.value.args[0] == 1146
        assert cursor.execute("SELECT 1") == 1
    with closing(pymysql_connect(playground)) as connection, connection.cursor() as cursor:
        with pytest.raises(pymysql.ProgrammingError) as caught:
            cursor.execute("SELECT 1; SELECT 2")
        assert caught.value.args[0] == 1064


@pytest.mark.parametrize(
    ("sql", "code", "sqlstate"),
    [
        ("SELEC 1", 1064, "42000"),
        ("SELECT * FROM nowhere", 1146, "42S02"),
        ("SELECT nothing FROM every_type", 1054, "42S22"),
        ("INSERT INTO every_type (id) VALUES (1)", 1062, "23000"),
        ("INSERT INTO every_type (tiny) VALUES (1000)", 1264, "22003"),
        ("USE nowhere", 1049, "42000"),
        ("KILL 4000000000", 1094, "HY000"),
        ("LOAD DATA INFILE 'x' INTO TABLE every_type", 1235, "42000"),
    ],
)
def test_errors_have_mysqls_numbers(
    playground: Playground, every_type: None, sql: str, code: int, sqlstate: str
) -> None:
    with closing(connector(playground, autocommit=True)) as connection, connection.cursor() as cursor:
        with pytest.raises(mysql.connector.Error) as caught:
            cursor.execute(sql)
        assert (caught.value.errno, caught.value.sqlstate) == (code, sqlstate)
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == [(1,)]


def test_large_and_awkward_values_arrive_intact(playground: Playground) -> None:
    texts = ["", "'", "\\", "\0", "'; DROP TABLE awkward; --", "%s ? :p0 \x1a \r\n", "🦀ü", "x" * 1_000_000]
    with closing(pymysql_connect(playground)) as one, closing(connector(playground, autocommit=True)) as two:
        plain, prepared = one.cursor(), two.cursor(prepared=True)
        plain.execute("CREATE TABLE awkward (id INT PRIMARY KEY, words LONGTEXT, raw LONGBLOB)")
        for number, text in enumerate(texts):
            data = bytes(range(256)) + text.encode()
            plain.execute("INSERT INTO awkward VALUES (%s, %s, %s)", (2 * number, text, data))
            one.commit()
            prepared.execute("INSERT INTO awkward VALUES (?, ?, ?)", (2 * number + 1, text, data))
            for key in (2 * number, 2 * number + 1):
                plain.execute("SELECT words, raw FROM awkward WHERE id = %s", (key,))
                assert plain.fetchall() == ((text, data),)
                prepared.execute("SELECT words, raw FROM awkward WHERE id = ?", (key,))
                assert prepared.fetchall() == [(text, data)]
        with pytest.raises(pymysql.MySQLError) as caught:
            plain.execute("INSERT INTO awkward VALUES (-1, %s, '')", (b"\xff\xfe",))
        assert caught.value.args[0] == 1366
        one.rollback()
        plain.execute("DROP TABLE awkward")


def test_a_wrong_password_is_refused(playground: Playground) -> None:
    for user, password in (("root", "guess"), ("nobody", "")):
        with pytest.raises(pymysql.OperationalError) as caught:
            pymysql.connect(host="127.0.0.1", port=port_of(playground), user=user, password=password)
        assert caught.value.args[0] == 1045
        with pytest.raises(mysql.connector.Error) as refused:
            mysql.connector.connect(
                host="127.0.0.1", port=port_of(playground), user=user, password=password, use_pure=True
            )
        assert refused.value.errno == 1045


def test_kill_query_from_another_connection(playground: Playground) -> None:
    failures: list[int] = []

    def busy(connection: pymysql.Connection) -> None:
        with connection.cursor() as cursor:
            while not failures:
                try:
                    cursor.execute("SELECT COUNT(*) FROM every_number a, every_number b, every_number c")
                except pymysql.MySQLError as error:
                    failures.append(error.args[0])

    with closing(pymysql_connect(playground)) as victim, closing(pymysql_connect(playground)) as killer:
        cursor = killer.cursor()
        cursor.execute("CREATE TABLE every_number (n INT PRIMARY KEY)")
        cursor.executemany("INSERT INTO every_number VALUES (%s)", [(n,) for n in range(1000)])
        killer.commit()
        worker = threading.Thread(target=busy, args=(victim,))
        worker.start()

        def killed() -> bool:
            cursor.execute(f"KILL QUERY {victim.thread_id()}")
            return bool(failures)

        wait_until("the query is killed", killed)
        worker.join()
        assert failures == [1317]
        assert victim.open
        with victim.cursor() as again:
            assert again.execute("SELECT 1") == 1
        cursor.execute("DROP TABLE every_number")


def test_the_readmes_example_runs(playground: Playground) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    example = next(block for block in blocks if "import pymysql" in block)
    names: dict[str, object] = {}
    exec(example.replace("port=4000", f"port={port_of(playground)}"), names)
    cursor = names["cursor"]
    assert isinstance(cursor, pymysql.cursors.Cursor)
    assert cursor.fetchall() == ((SERVER_VERSION, "it's"),)


class Base(DeclarativeBase):
    pass


class Fruit(Base):
    __tablename__ = "orm_fruit"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sqlalchemy.String(40))
    price: Mapped[Decimal] = mapped_column(sqlalchemy.Numeric(10, 2))


@pytest.mark.parametrize("driver", ["pymysql", "mysqlconnector"])
def test_sqlalchemy_round_trip_and_reflection(playground: Playground, driver: str) -> None:
    engine = sqlalchemy.create_engine(f"mysql+{driver}://root@{playground.mysql_address}/test")
    try:
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            fig = Fruit(name="fig", price=Decimal("1.25"))
            session.add_all([fig, Fruit(name="it's", price=Decimal(3))])
            session.commit()
            fig.price = Decimal("1.50")
            session.commit()
            found = session.scalars(sqlalchemy.select(Fruit).order_by(Fruit.id)).all()
            assert [(fruit.name, fruit.price) for fruit in found] == [("fig", Decimal("1.50")), ("it's", Decimal(3))]
            session.delete(fig)
            session.commit()
        reflected = sqlalchemy.Table("orm_fruit", sqlalchemy.MetaData(), autoload_with=engine)
        assert [column.name for column in reflected.columns] == ["id", "name", "price"]
        assert [column.name for column in reflected.primary_key] == ["id"]
        Base.metadata.drop_all(engine)
    finally:
        engine.dispose()

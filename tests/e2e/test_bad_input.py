"""What must not hurt: malformed messages, oversize values, wrong names, foreign and newer data directories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from test_cli import rutile_command

import rutile
from rutile.nodes.playground import ChildFailed, Playground


@pytest.fixture(scope="module")
def connection(playground: Playground) -> Iterator[rutile.Connection]:
    with rutile.connect(playground.sql_address) as opened:
        opened.execute(
            "CREATE TABLE IF NOT EXISTS good (id INT PRIMARY KEY, n TINYINT NOT NULL, t VARCHAR(5), b LONGBLOB)"
        )
        yield opened


@pytest.mark.parametrize(
    ("statement", "code", "names"),
    [
        ("SELECT * FROM nowhere", 1146, "nowhere"),
        ("SELECT missing FROM good", 1054, "missing"),
        ("SELEC 1", 1064, "SELEC"),
        ("USE nodb", 1049, "nodb"),
        ("CREATE TABLE good (id INT)", 1050, "good"),
        ("INSERT INTO good VALUES (1, NULL, '', '')", 1048, "'n'"),
        ("INSERT INTO good VALUES (1, 1000, '', '')", 1264, "'n'"),
        ("INSERT INTO good VALUES (1, 1, 'toolong', '')", 1406, "'t'"),
        ("INSERT INTO good VALUES (1, 'x', '', '')", 1366, "'n'"),
        ("INSERT INTO good VALUES (1, 1)", 1136, ""),
        ("INSERT INTO good (id) VALUES (1)", 1364, "'n'"),
        ("SELECT no_such_function(1)", 1305, "no_such_function"),
        ("CREATE TABLE f (id INT PRIMARY KEY, t TEXT, FULLTEXT KEY (t))", 1235, ""),
    ],
)
def test_statements_fail_with_mysqls_code(connection: rutile.Connection, statement: str, code: int, names: str) -> None:
    with pytest.raises(rutile.DatabaseError) as caught:
        connection.execute(statement)
    assert caught.value.code == code, str(caught.value)
    assert names.lower() in str(caught.value).lower()
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_duplicate_keys_name_the_key(connection: rutile.Connection) -> None:
    connection.execute("INSERT INTO good VALUES (7, 1, 'a', '')")
    with pytest.raises(rutile.IntegrityError, match="Duplicate entry '7' for key 'PRIMARY'"):
        connection.execute("INSERT INTO good VALUES (7, 2, 'b', '')")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT read_text('/etc/passwd')",
        "COPY good TO '/tmp/stolen'",
        "ATTACH '/tmp/x.db'",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM good; DROP TABLE good",
    ],
)
def test_hostile_sql_is_refused(connection: rutile.Connection, query: str) -> None:
    with pytest.raises(rutile.DatabaseError):
        connection.execute(query)
    assert connection.execute("SELECT COUNT(*) FROM good").fetchall()


def test_an_oversize_value_is_refused_and_the_session_lives_on(connection: rutile.Connection) -> None:
    with pytest.raises(rutile.DatabaseError):
        connection.execute("INSERT INTO good VALUES (8, 1, 'a', ?)", (bytes(20 << 20),))
    connection.execute("INSERT INTO good VALUES (8, 1, 'a', ?)", (bytes(1 << 20),))
    assert connection.execute("SELECT LENGTH(b) FROM good WHERE id = 8").fetchall() == [(1 << 20,)]


@pytest.mark.parametrize("method", ["/tikvpb.Tikv/KvGet", "/tikvpb.Tikv/KvPrewrite", "/tikvpb.Tikv/Coprocessor"])
def test_a_malformed_message_harms_nobody(playground: Playground, connection: rutile.Connection, method: str) -> None:
    with grpc.insecure_channel(playground.stores[0].address) as channel:
        call = channel.unary_unary(method)
        for garbage in (b"\xff\xff\xff\xff", b"\x0a\xff\x01", b"\x00"):
            with pytest.raises(grpc.RpcError):
                call(garbage, timeout=5)
    assert connection.execute("SELECT COUNT(*) FROM good").fetchall()


def test_a_store_of_another_cluster_is_refused(playground: Playground, tmp_path: Path) -> None:
    with Playground(1, tmp_path / "other"):
        pass
    foreign = tmp_path / "other" / "kv1"
    run = rutile_command("kv", "--data", str(foreign), "--addr", "127.0.0.1:0", "--pd", playground.pd_address)
    assert run.returncode == 1
    assert "belongs to store" in run.stderr and "cluster" in run.stderr


@pytest.mark.parametrize("part", ["pd", "kv1"])
def test_a_newer_format_is_refused(tmp_path: Path, part: str) -> None:
    with Playground(1, tmp_path):
        pass
    (format_file,) = (tmp_path / part).glob("**/FORMAT")
    format_file.write_text("999\n")
    with pytest.raises(ChildFailed, match="format"):
        Playground(1, tmp_path).start()


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with rutile.connect(tmp_path / "mine") as held:
        held.execute("CREATE TABLE t (id INT PRIMARY KEY)")
        run = rutile_command("shell", str(tmp_path / "mine"), "-e", "SELECT 1")
        assert run.returncode == 1 and "use" in run.stderr
    assert rutile_command("shell", str(tmp_path / "mine"), "-e", "SHOW TABLES").stdout.count("| t ") == 1

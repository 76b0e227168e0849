"""`rutile sql` for MySQL clients: its addresses, its password, what it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pymysql
import pytest

from rutile.nodes.playground import Playground, endpoints

SQL = [sys.executable, "-m", "rutile", "sql"]


@contextmanager
def sql_process(*arguments: str) -> Iterator[list[str]]:
    """A front end; gives the words it announces itself with, and stops it by the end of its input."""
    command = [*SQL, *arguments, "--stop-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield process.stdout.readline().split()
        process.stdin.close()
        assert process.wait(20) == 0


def test_a_front_end_with_a_password(playground: Playground, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3crét\n")
    addresses = ("--addr", "127.0.0.1:0", "--mysql-addr", "127.0.0.1:0")
    with sql_process("--pd", playground.pd_address, *addresses, "--mysql-password-file", str(secret)) as ready:
        assert ready[:2] == ["ready", "sql"]
        port = int(ready[3].removeprefix("mysql=127.0.0.1:"))
        with pytest.raises(pymysql.OperationalError) as caught:
            pymysql.connect(host="127.0.0.1", port=port, user="root")
        assert caught.value.args[0] == 1045
        connection = pymysql.connect(host="127.0.0.1", port=port, user="root", password="s3crét".encode())
        with closing(connection), connection.cursor() as cursor:
            assert cursor.execute("SELECT 1") == 1


def test_the_playground_tells_where_mysql_clients_go(playground: Playground) -> None:
    port = playground.mysql_address.rpartition(":")[2]
    assert f"mysql -h 127.0.0.1 -P {port} -u root" in endpoints(playground)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--mysql-addr", "0.0.0.0:0"], "--insecure"),
        (["--mysql-addr", "0.0.0.0:0", "--insecure"], "--mysql-password-file"),
        (["--mysql-addr", "nonsense"], "want host:port"),
        (["--mysql-password-file", "/nonexistent/file"], "No such file"),
        (["--mysql-tls-cert", "some.pem"], "--mysql-tls-key"),
        (["--mysql-tls-cert", "/nonexistent/c", "--mysql-tls-key", "/nonexistent/k"], "No such file"),
        (["--require-secure-transport"], "--mysql-auto-tls"),
    ],
)
def test_what_is_refused(arguments: list[str], complaint: str) -> None:
    run = subprocess.run([*SQL, *arguments], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and complaint in run.stderr


def test_a_port_in_use_is_told(playground: Playground) -> None:
    arguments = ["--pd", playground.pd_address, "--addr", "127.0.0.1:0", "--mysql-addr", playground.mysql_address]
    run = subprocess.run([*SQL, *arguments], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and playground.mysql_address in run.stderr and "Traceback" not in run.stderr

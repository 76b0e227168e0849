"""The `rutile` command as a person uses it: a playground, the shell by -e, pipe and terminal, and import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from e2e_tools import wait_until

from rutile.nodes.playground import Playground

RUTILE = [sys.executable, "-m", "rutile"]


def rutile_command(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `rutile ...`; never raises on a failing exit code."""
    stdin = {"input": text} if text else {"stdin": subprocess.DEVNULL}
    return subprocess.run([*RUTILE, *arguments], **stdin, capture_output=True, text=True, timeout=60, check=False)


def test_shell_runs_statements_and_formats_results(playground: Playground) -> None:
    sql = "CREATE TABLE fruit (id INT PRIMARY KEY, name VARCHAR(20)); INSERT INTO fruit VALUES (1, 'fig'), (2, NULL);"
    assert rutile_command("shell", playground.sql_address, "-e", sql).returncode == 0
    query = "SELECT * FROM fruit ORDER BY id"
    table = rutile_command("shell", playground.sql_address, "-e", query)
    assert table.stdout.splitlines() == [
        "+----+------+",
        "| id | name |",
        "+----+------+",
        "|  1 | fig  |",
        "|  2 | NULL |",
        "+----+------+",
    ]
    as_csv = rutile_command("shell", playground.sql_address, "-e", query, "--format", "csv")
    assert as_csv.stdout == "id,name\n1,fig\n2,\n"
    as_json = rutile_command("shell", playground.sql_address, "--format", "json", text=query + ";")
    assert json.loads(as_json.stdout) == [{"id": 1, "name": "fig"}, {"id": 2, "name": None}]


def test_shell_stops_a_script_at_the_first_error(playground: Playground) -> None:
    run = rutile_command("shell", playground.sql_address, text="SELECT * FROM nowhere; CREATE TABLE never (id INT);")
    assert run.returncode == 1
    assert "1146" in run.stderr and "nowhere" in run.stderr
    assert "never" not in rutile_command("shell", playground.sql_address, "-e", "SHOW TABLES").stdout


def test_shell_at_a_terminal(playground: Playground, tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    child = pexpect.spawn(
        sys.executable, ["-m", "rutile", "shell", playground.sql_address], env=environment, timeout=30
    )
    try:
        child.expect("rutile>")
        child.sendline("SELECT 6 *\n 7 AS answer;")
        child.expect("42")
        child.expect("1 row in set")
        child.sendline("SELECT * FROM nowhere;")
        child.expect("1146")
        child.sendline("\\q")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    assert (tmp_path / ".rutile_history").exists()


def test_import_creates_and_fills_a_table(playground: Playground, tmp_path: Path) -> None:
    file = tmp_path / "item.parquet"
    pq.write_table(pa.table({"id": pa.array(range(1000), pa.int64()), "name": [f"n{i}" for i in range(1000)]}), file)
    target = ["--target", f"pd://{playground.pd_address}"]
    run = rutile_command("import", "item", str(file), "--create", "--primary-key", "id", *target)
    assert run.returncode == 0, run.stderr
    counted = rutile_command(
        "shell", playground.sql_address, "-e", "SELECT COUNT(*), MAX(name) FROM item", "--format", "csv"
    )
    assert counted.stdout.splitlines()[1] == "1000,n999"
    again = rutile_command("import", "item", str(file), *target)
    assert again.returncode == 1 and "not empty" in again.stderr


def test_import_of_a_bad_file_imports_nothing(playground: Playground, tmp_path: Path) -> None:
    target = ["--target", f"pd://{playground.pd_address}"]
    cut = tmp_path / "cut.parquet"
    pq.write_table(pa.table({"id": list(range(1000))}), cut)
    cut.write_bytes(cut.read_bytes()[:-100])
    run = rutile_command("import", "cut", str(cut), "--create", *target)
    assert run.returncode == 1 and "cut.parquet" in run.stderr
    lines = tmp_path / "bad.csv"
    lines.write_text("id,name\n1,a\n2\n3,c\n")
    run = rutile_command("import", "bad", str(lines), "--create", *target)
    assert run.returncode == 1 and "bad.csv" in run.stderr and "#3" in run.stderr
    tables = rutile_command("shell", playground.sql_address, "-e", "SHOW TABLES").stdout
    assert "cut" not in tables and "bad" not in tables


def one_store_playground(data: Path) -> list[str]:
    """The command line of a small playground on any ports."""
    ports = ["--pd-port", "0", "--kv-port", "0", "--sql-port", "0"]
    return [*RUTILE, "playground", "--kv", "1", "--data", str(data), *ports]


def test_playground_prints_ready_and_stops_on_sigterm(tmp_path: Path) -> None:
    with subprocess.Popen(one_store_playground(tmp_path), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [line.strip() for line in iter(process.stdout.readline, "ready\n")]
        assert any(line.startswith("SQL") for line in lines)
        pid = next(int(line.split()[-1]) for line in lines if line.startswith("store"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    wait_until("the store's process to be gone", lambda: not Path(f"/proc/{pid}").exists())


def test_children_stop_when_the_playground_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(one_store_playground(tmp_path), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [line.strip() for line in iter(process.stdout.readline, "ready\n")]
        pid = next(int(line.split()[-1]) for line in lines if line.startswith("store"))
        process.kill()
    wait_until("the store's process to be gone", lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.parametrize("role", ["pd", "kv", "sql"])
def test_listening_beyond_loopback_needs_insecure(role: str, tmp_path: Path) -> None:
    data = [] if role == "sql" else ["--data", str(tmp_path)]
    run = rutile_command(role, *data, "--addr", "0.0.0.0:0")
    assert run.returncode == 1 and "--insecure" in run.stderr


def test_a_port_in_use_is_named(playground: Playground, tmp_path: Path) -> None:
    run = rutile_command("pd", "--data", str(tmp_path / "pd"), "--addr", playground.pd_address)
    assert run.returncode == 1 and playground.pd_address in run.stderr

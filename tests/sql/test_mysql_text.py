"""What is written as MySQL's text does not depend on what else the process has loaded: Ibis, for one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import rename_func
from sqlglot.dialects.mysql import MySQL

import rutile
from rutile.parse.mysql_text import mysql_text

TEXTS = (
    "LENGTH(s) < 5", "CHAR_LENGTH(s) < 5", "a < LENGTH(CONCAT(s, CHAR_LENGTH(t)))", "LENGTH(s)", "OCTET_LENGTH(s)",
    "REGEXP_LIKE(s, 'x')", "REGEXP_LIKE(s, 'x', 'i')", "NOT REGEXP_LIKE(s, LENGTH(t))", "STDDEV_POP(a)",
    "STDDEV_SAMP(DISTINCT a)", "VAR_POP(a)", "VAR_SAMP(a)", "MAX(a) + MIN(b)",
)  # fmt: skip

WITH_IBIS = """
import json, sys
from sqlglot.dialects import DuckDB, MySQL
before = {each: dict(each.Generator.TRANSFORMS) for each in (MySQL, DuckDB)}
import ibis
con = ibis.rutile.connect()
changed = [
    [dialect.__name__, node.__name__]
    for dialect, was in before.items()
    for node in was.keys() | dialect.Generator.TRANSFORMS.keys()
    if was.get(node) is not dialect.Generator.TRANSFORMS.get(node)
]
from sqlglot import parse_one
from rutile.parse.mysql_text import SPELLED, mysql_text
texts = [mysql_text(parse_one(text, read="mysql")) for text in json.loads(sys.argv[1])]
con.plain("CREATE TABLE t (a INT, s VARCHAR(9), CHECK (LENGTH(s) > 2))")
con.plain("CREATE VIEW v AS SELECT a FROM t WHERE REGEXP_LIKE(s, 'x', 'i')")
plan = con.plain("EXPLAIN SELECT a FROM t WHERE LENGTH(s) > 1 AND s REGEXP 'x'").to_pylist()
shown = con.plain("SHOW CREATE TABLE t").to_pylist() + con.plain("SHOW CREATE VIEW v").to_pylist()
con.disconnect()
print(json.dumps([changed, [each.__name__ for each in SPELLED], texts, str(plan), str(shown)]))
"""


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_written_is_what_was_read(text: str) -> None:
    assert mysql_text(sqlglot.parse_one(text, read="mysql")) == text


def test_another_library_changes_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all of the process, and before it is first used: once used, it is kept."""
    monkeypatch.setitem(MySQL.Generator.TRANSFORMS, exp.Length, rename_func("char_length"))
    assert mysql_text(sqlglot.parse_one("LENGTH(s)", read="mysql")) == "LENGTH(s)"


def test_ibis_first() -> None:
    """A process that has loaded Ibis before anything was written: the same text, in plans and in the catalogue too."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITH_IBIS, json.dumps(TEXTS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    changed, spelled, texts, plan, shown = json.loads(done.stdout)
    assert texts == list(TEXTS)
    assert {name for dialect, name in changed if dialect == "MySQL"} <= set(spelled), "mysql_text has to spell these"
    assert not [name for dialect, name in changed if dialect == "DuckDB"], "fragments are DuckDB's SQL"
    assert "LENGTH(t.s) > 1" in plan and "CHAR_LENGTH" not in plan and "REGEXP_LIKE(t.s, 'x')" in plan, plan
    assert "(LENGTH(s) > 2)" in shown and "REGEXP_LIKE(s, 'x', 'i')" in shown, shown


def test_nothing_is_written_past_it() -> None:
    """sqlglot's own generator is for DuckDB's dialect alone."""
    folder = Path(rutile.__file__).parent
    wrong = ('.sql("mysql"', ".sql('mysql'", '.sql(dialect="mysql"')
    found = [
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if path.name != "mysql_text.py" and any(each in path.read_text() for each in wrong)
    ]
    assert not found

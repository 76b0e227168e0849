"""docs/functions.md, line by line: by the front end's closures and by DuckDB."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_client import FakeClient
from sql_runner import make_database

from rutile.errors import SqlError
from rutile.rows.readings import text_of
from rutile.session.session import Session

DOCUMENT = Path(__file__).parents[2] / "docs" / "functions.md"
_LINE = re.compile(r"\| (?P<name>[\w >-]+?) \| `(?P<example>.+)` \| (?P<value>.*) \|$")
_ROWS = "(SELECT 1 AS x UNION ALL SELECT 2 UNION ALL SELECT 2 UNION ALL SELECT NULL) AS rows_of_x"
LEAST_FUNCTIONS = 230


def examples() -> list[tuple[str, str, str, bool]]:
    """(function, example, value, whether it stands over rows) of every line."""
    found, over_rows = [], False
    for line in DOCUMENT.read_text().splitlines():
        over_rows = line == "## Aggregates and windows" or (over_rows and not line.startswith("## "))
        match = _LINE.match(line)
        if match:
            found.append((match["name"], match["example"].replace("\\|", "|"), match["value"], over_rows))
    return found


def refused() -> list[str]:
    section = DOCUMENT.read_text().partition("## Refused by name")[2].partition(". ")[0]
    return re.findall(r"\w+", section)


class Opened:
    """A session that runs one statement after the other."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._database = make_database(FakeClient())
        self._session = self._runner.run(self._open())

    async def _open(self) -> Session:
        await self._database.start()
        return await self._database.session("test")

    def value(self, sql: str) -> str:
        ((value,),) = self._runner.run(self._session.execute(sql)).rows()
        return "NULL" if value is None else f"0x{value.hex()}" if isinstance(value, bytes) else text_of(value)

    def close(self) -> None:
        self._runner.run(self._session.close())
        self._runner.run(self._database.close())
        self._runner.close()


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    session = Opened()
    yield session
    session.close()


LINES = examples()


@pytest.mark.parametrize(("name", "example", "value", "over_rows"), LINES, ids=[line[1] for line in LINES])
def test_the_example_has_the_value(opened: Opened, name: str, example: str, value: str, over_rows: bool) -> None:
    if over_rows:
        closing = " AS windows" if " FROM (" in example else ""
        rows = f"FROM {_ROWS}" + (")" if closing else "")
        assert opened.value(f"SELECT {example} {rows}{closing}") == value
        return
    assert opened.value(f"SELECT {example}") == value
    assert opened.value(f"SELECT {example} FROM (SELECT 1 AS one) AS one_row") == value


@pytest.mark.parametrize("name", refused())
def test_what_is_refused_is_refused_by_name(opened: Opened, name: str) -> None:
    with pytest.raises(SqlError, match=f"(?i){name}") as error:
        opened.value(f"SELECT {name}('a', 'b') FROM (SELECT 1 AS one) AS one_row")
    assert error.value.code in (1235, 1305)


def test_the_table_is_as_long_as_it_says() -> None:
    assert len({name for name, *_ in LINES}) >= LEAST_FUNCTIONS

"""What may come next in a statement."""

from __future__ import annotations

import pytest

from rutile.pep249 import Error
from rutile.shell.completion import NamedTable, suggestions, tables_in
from rutile.shell.names import CatalogNames, Names

NAMES = Names(
    "test",
    {
        "test": {"item": ["id", "name", "price"], "orders": ["order_id", "item_id", "day"]},
        "shop": {"visit": ["id", "city"]},
    },
)


def offered(text: str) -> list[str]:
    """What is suggested where `|` stands."""
    before, _, after = text.partition("|")
    return [each.text for each in suggestions(before, before + after, NAMES)[1]]


def test_tables_where_tables_go() -> None:
    assert offered("SELECT * FROM |") == ["item", "orders", "test", "shop"]
    assert offered("SELECT * FROM it|") == ["item"]
    assert offered("SELECT * FROM item, |")[:2] == ["item", "orders"]
    assert offered("INSERT INTO o|") == ["orders"]
    assert offered("UPDATE |")[:2] == ["item", "orders"]
    assert offered("SELECT * FROM shop.|") == ["visit"]
    assert offered("USE |") == ["test", "shop"]


def test_columns_of_the_tables_named_also_after_the_cursor() -> None:
    assert offered("SELECT na| FROM item") == ["name"]
    assert offered("SELECT na| FROM ITEM i") == ["name"]
    assert offered("SELECT | FROM item") == ["id", "name", "price", "item"]
    assert offered("SELECT i.| FROM item AS i JOIN orders o ON i.id = o.item_id") == ["id", "name", "price"]
    assert offered("SELECT * FROM item i JOIN orders o ON i.id = o.it|") == ["item_id"]
    assert offered("SELECT v.c| FROM `shop`.visit v") == ["city"]
    assert offered("SELECT shop.visit.c| FROM shop.visit") == ["city"]
    assert offered("UPDATE item SET pr|") == ["price", "primary key"]


def test_keywords_keep_the_case_of_what_was_typed() -> None:
    assert "SELECT" in offered("SEL|") and "select" in offered("sel|")
    assert offered("SELECT * FROM item wher|") == ["where"]


def test_nothing_within_a_string() -> None:
    assert offered("SELECT 'SEL|") == []


def test_commands_and_their_arguments() -> None:
    assert ".mode" in offered(".mo|") and "\\dt" in offered("\\d|")
    assert offered(".mode j|") == ["json"]
    assert offered("\\d o|") == ["orders"]
    assert offered("\\timer |") == ["on", "off"]
    assert offered(".read |") == []


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("SELECT 1", []),
        ("SELECT * FROM a, b AS x, c.d y WHERE 1", [("a", "a", ""), ("x", "b", ""), ("y", "d", "c")]),
        ("SELECT * FROM (SELECT * FROM inner_t) q JOIN t2 USING (id)", [("inner_t", "inner_t", ""), ("t2", "t2", "")]),
        ("DELETE FROM t WHERE x = 'open", [("t", "t", "")]),
        ("SELECT * FROM", []),
        ("SELECT * FROM a.", [("a", "a", "")]),
    ],
)
def test_tables_in_a_statement(statement: str, tables: list[tuple[str, str, str]]) -> None:
    assert tables_in(statement) == [NamedTable(*each) for each in tables]


class FakeSession:
    """A connection that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False

    def duplicate(self) -> FakeSession:
        return self

    def close(self) -> None:
        pass

    def execute(self, sql: str) -> FakeSession:
        self._sql = sql
        if self.fails:
            raise Error("the server is gone")
        return self

    def fetchall(self) -> list[tuple[str, ...]]:
        self.asked += 1
        return [("test",)] if self._sql == "SHOW DATABASES" else [("test", "item", "id")]

    def fetchone(self) -> tuple[str]:
        return ("test",)


def test_names_are_asked_for_once_until_a_definition_changes_or_time_passes() -> None:
    session, now = FakeSession(), [0.0]
    names = CatalogNames(session, lambda: now[0])  # type: ignore[arg-type]
    assert names.current().tables == {"test": {"item": ["id"]}}
    names.current()
    assert session.asked == 2  # SHOW DATABASES, and the columns
    names.forget()
    names.current()
    assert session.asked == 4
    now[0] = 61.0
    names.current()
    assert session.asked == 6


def test_completion_outlives_a_lost_server() -> None:
    session = FakeSession()
    session.fails = True
    names = CatalogNames(session)  # type: ignore[arg-type]
    assert names.current() == Names()

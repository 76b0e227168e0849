"""Random INSERT, UPDATE, DELETE and SELECT against a dict, in and out of transactions, on every read path."""

from __future__ import annotations

import asyncio

from fake_client import FakeClient
from hypothesis import given, settings
from hypothesis import strategies as hs
from sql_runner import make_database

from rutile.errors import SqlError
from rutile.session.engine import Database
from rutile.session.session import Session

ids = hs.integers(0, 7)
values = hs.integers(-3, 3) | hs.none()


def literal(value: int | None) -> str:
    return "NULL" if value is None else str(value)


inserts = hs.tuples(hs.just("insert"), hs.lists(hs.tuples(ids, values), min_size=1, max_size=3))
replaces = hs.tuples(hs.just("replace"), hs.tuples(ids, values))
upserts = hs.tuples(hs.just("upsert"), hs.tuples(ids, values))
point_updates = hs.tuples(hs.just("update"), hs.tuples(hs.lists(ids, min_size=1, max_size=3), hs.integers(-2, 2)))
range_updates = hs.tuples(hs.just("shift"), hs.tuples(hs.integers(-3, 3), hs.integers(-2, 2)))
deletes = hs.tuples(hs.just("delete"), ids)
range_deletes = hs.tuples(hs.just("prune"), hs.integers(-3, 3))
control = hs.sampled_from([("begin", None), ("commit", None), ("rollback", None)])
modes = hs.tuples(hs.just("mode"), hs.sampled_from(["whole", "per_store", "local", "auto"]))
steps = hs.lists(
    hs.one_of(inserts, replaces, upserts, point_updates, range_updates, deletes, range_deletes, control, modes),
    max_size=12,
)

Rows = dict[int, int | None]


class Twin:
    """What the table should hold."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.saved: Rows | None = None

    def apply(self, verb: str, argument: object) -> bool:
        """Whether the statement succeeds; the rows change only then."""
        match verb, argument:
            case "insert", [*pairs]:
                keys = [key for key, _ in pairs]
                if len(set(keys)) < len(keys) or any(key in self.rows for key in keys):
                    return False
                self.rows |= dict(pairs)
            case "replace" | "upsert", (key, value):
                self.rows[key] = value
            case "update", (keys, value):
                self.rows |= {key: value for key in keys if key in self.rows}
            case "shift", (low, by):
                self.rows = {
                    key: value + by if value is not None and value >= low else value for key, value in self.rows.items()
                }
            case "delete", key:
                self.rows.pop(key, None)  # type: ignore[call-overload]
            case "prune", high:
                self.rows = {key: value for key, value in self.rows.items() if value is None or value > high}
            case "begin", _:
                self.saved = dict(self.rows)
            case "commit", _:
                self.saved = None
            case "rollback", _:
                self.rows = self.rows if self.saved is None else self.saved
                self.saved = None
        return True


def sql_of(verb: str, argument: object) -> str:
    match verb, argument:
        case "insert", [*pairs]:
            rows = ", ".join(f"({key}, {literal(value)})" for key, value in pairs)
            return f"INSERT INTO t VALUES {rows}"
        case "replace", (key, value):
            return f"REPLACE INTO t VALUES ({key}, {literal(value)})"
        case "upsert", (key, value):
            return f"INSERT INTO t VALUES ({key}, {literal(value)}) ON DUPLICATE KEY UPDATE v = VALUES(v)"
        case "update", (keys, value):
            return f"UPDATE t SET v = {value} WHERE id IN ({', '.join(map(str, keys))})"
        case "shift", (low, by):
            return f"UPDATE t SET v = v + {by} WHERE v >= {low}"
        case "delete", key:
            return f"DELETE FROM t WHERE id = {key}"
        case "prune", high:
            return f"DELETE FROM t WHERE v <= {high}"
        case "mode", mode:
            return f"SET rutile_read_mode = '{mode}'"
    return verb.upper()


async def check(session: Session, twin: Twin) -> None:
    rows = (await session.execute("SELECT id, v FROM t ORDER BY id")).rows()
    assert rows == sorted(twin.rows.items())
    count = (await session.execute("SELECT COUNT(*), SUM(v), MAX(id) FROM t WHERE id < 5")).rows()
    small = {key: value for key, value in twin.rows.items() if key < 5}
    known = [value for value in small.values() if value is not None]
    assert count == [(len(small), sum(known) if known else None, max(small, default=None))]
    point = (await session.execute("SELECT v FROM t WHERE id = ?", (3,))).rows()
    assert point == ([(twin.rows[3],)] if 3 in twin.rows else [])


async def run(actions: list[tuple[str, object]]) -> None:
    database: Database = make_database(FakeClient())
    await database.start()
    session = await database.session("test")
    await session.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    twin = Twin()
    for verb, argument in actions:
        try:
            await session.execute(sql_of(verb, argument))
            succeeded = True
        except SqlError as error:
            assert error.code == 1062, error
            succeeded = False
        assert twin.apply(verb, argument) == succeeded, (verb, argument)
        await check(session, twin)
    await session.close()
    await database.close()


@given(steps)
@settings(max_examples=40, deadline=None)
def test_statements_do_what_a_dict_does(actions: list[tuple[str, object]]) -> None:
    asyncio.run(run(actions))

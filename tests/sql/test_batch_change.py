"""BATCH cuts a change into jobs that together take the rows it would take, each once."""

from __future__ import annotations

import asyncio

from fake_client import FakeClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sql_runner import make_database

from rutile.session.batch import bounds

VALUES = st.lists(st.one_of(st.none(), st.integers(0, 6)), max_size=12)


@given(st.lists(st.integers(0, 5)).map(sorted), st.integers(1, 4))
def test_jobs_are_of_as_many_rows_as_asked_for_or_of_equal_ones(values: list[int], rows: int) -> None:
    jobs = [[value for value in values if first <= value <= last] for first, last in bounds(values, rows)]  # type: ignore[operator]
    assert [value for job in jobs for value in job] == values
    assert all(len(job) <= rows or job[rows - 1 :] == [job[-1]] * (len(job) - rows + 1) for job in jobs)


@settings(max_examples=15, deadline=None)
@given(VALUES, st.integers(1, 3))
def test_a_batch_takes_what_the_statement_takes(values: list[int | None], rows: int) -> None:
    async def run() -> None:
        database = make_database(FakeClient())
        await database.start()
        session = await database.session("test")
        for name in ("one", "many"):
            await session.execute(f"CREATE TABLE {name} (id INT PRIMARY KEY, v INT)")
            for number, value in enumerate(values):
                await session.execute(f"INSERT INTO {name} VALUES (?, ?)", (number, value))
        await session.execute("UPDATE one SET id = id + 100 WHERE v IS NULL OR v > 1")
        await session.execute(f"BATCH ON v LIMIT {rows} UPDATE many SET id = id + 100 WHERE v IS NULL OR v > 1")
        found = [(await session.execute(f"SELECT * FROM {name} ORDER BY id")).rows() for name in ("one", "many")]
        assert found[0] == found[1]
        await session.close()
        await database.close()

    asyncio.run(run())

"""Results as text."""

from __future__ import annotations

import datetime
import io
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutile.display import WRITERS, html_table, text_of
from rutile.display.boxes import MIN_COLUMN_WIDTH, fitted, write_box, write_table
from rutile.display.text import cut, width_of

ROWS: list[tuple[Any, ...]] = [(1, "fig", Decimal("0.50")), (20, None, None), (3, "漢字\n|", Decimal("-1"))]


def written(fmt: str, rows: list[tuple[Any, ...]] = ROWS) -> str:
    out = io.StringIO()
    WRITERS[fmt](["id", "name", "price"], rows, out)
    return out.getvalue()


def test_a_table_as_mysql_draws_it() -> None:
    assert written("table").splitlines() == [
        "+----+---------+-------+",
        "| id | name    | price |",
        "+----+---------+-------+",
        "|  1 | fig     |  0.50 |",
        "| 20 | NULL    |  NULL |",
        "|  3 | 漢字\\n| |    -1 |",
        "+----+---------+-------+",
    ]


def test_the_other_formats() -> None:
    assert written("box").splitlines()[0] == "┌────┬─────────┬───────┐"
    assert written("markdown").splitlines()[1:3] == ["|----|----------|-------|", "|  1 | fig      |  0.50 |"]
    assert "\\|" in written("markdown").splitlines()[4]
    assert written("csv") == 'id,name,price\n1,fig,0.50\n20,,\n3,"漢字\n|",-1\n'
    assert json.loads(written("json"))[0] == {"id": 1, "name": "fig", "price": "0.50"}
    assert written("line", ROWS[:1]).splitlines()[1:] == ["   id: 1", " name: fig", "price: 0.50"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"), (True, "1"), (b"\x01\xff", "0x01FF"), (3.0, "3"), (0.1, "0.1"), (1e300, "1e+300"),
        (datetime.timedelta(hours=-100, minutes=-1), "-100:01:00"), (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.timedelta(seconds=1, microseconds=5), "00:00:01.000005"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_values(value: object, text: str) -> None:
    assert text_of(value) == text


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    out = io.StringIO()
    write_table(["x"], [("\x1b[31mred",)], out)
    assert "\x1b" not in out.getvalue() and "\\x1b[31mred" in out.getvalue()


def test_html_escapes_what_came_from_the_database() -> None:
    text = html_table(["<a>"], [("<script>",), (None,)])
    assert "<script>" not in text and "&lt;a&gt;" in text and "<em>NULL</em>" in text


@given(st.lists(st.integers(0, 200), min_size=1, max_size=12), st.integers(20, 200))
def test_columns_fit_or_are_as_narrow_as_may_be(widths: list[int], total: int) -> None:
    result = fitted(widths, total)
    room = total - 3 * len(widths) - 1
    assert all(new <= old for new, old in zip(result, widths, strict=True))
    assert sum(result) <= room or all(new <= MIN_COLUMN_WIDTH for new in result)
    assert result == widths or sum(result) >= min(room, sum(widths)) or sum(result) <= room
    if sum(widths) <= room:
        assert result == widths


@given(st.text(max_size=40), st.integers(1, 40))
def test_cut_text_takes_no_more_than_its_width(text: str, width: int) -> None:
    assert width_of(cut(text, width)) <= width
    assert cut(text, width_of(text) or 1) == text


@given(st.lists(st.tuples(st.text(max_size=30), st.integers()), max_size=5), st.integers(15, 60))
def test_all_lines_of_a_box_are_equally_wide(rows: list[tuple[Any, ...]], width: int) -> None:
    out = io.StringIO()
    write_box(["text", "number"], rows, out, width=width)
    lines = out.getvalue().split("\n")[:-1]
    assert len({width_of(line) for line in lines}) == 1 and width_of(lines[0]) <= width

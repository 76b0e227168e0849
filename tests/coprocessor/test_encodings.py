"""Narrowed columns hold the same values, and mean the same to DuckDB."""

from decimal import Decimal

import duckdb
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from rutile_coprocessor.encodings import MAX_DICTIONARY, dictionary_of, narrowed

DECIMALS = st.lists(st.none() | st.decimals(-(10**16) + 1, 10**16 - 1, places=2), max_size=40)
TEXTS = st.lists(st.none() | st.sampled_from(["", "a", "ä", "long " * 20]) | st.text(max_size=3), max_size=40)
SLICES = st.tuples(st.integers(0, 9), st.integers(0, 40))


@given(DECIMALS, SLICES)
def test_decimals_keep_their_values(values: list[Decimal | None], cut: tuple[int, int]) -> None:
    array = pa.array(values, pa.decimal128(18, 2)).slice(*cut)
    narrow = narrowed(array)
    assert narrow.type == pa.decimal64(18, 2)
    narrow.validate(full=True)
    assert narrow.to_pylist() == array.to_pylist()
    assert_same_to_duckdb(array, narrow, "x >= 0")


@given(TEXTS, SLICES)
def test_texts_keep_their_values(values: list[str | None], cut: tuple[int, int]) -> None:
    array = pa.array(values, pa.string()).slice(*cut)
    narrow = narrowed(array)
    narrow.validate(full=True)
    assert narrow.to_pylist() == array.to_pylist()
    assert_same_to_duckdb(array, narrow, "x LIKE '%a%'")


def assert_same_to_duckdb(array: pa.Array, narrow: pa.Array, condition: str) -> None:
    found = []
    for each in (array, narrow):
        with duckdb.connect() as connection:
            connection.register("t", pa.table({"x": each}))
            found.append([
                connection.execute(sql).fetchall()
                for sql in ("SELECT x, typeof(x) FROM t", f"SELECT x FROM t WHERE {condition}",
                            "SELECT x, count(*) FROM t GROUP BY x ORDER BY x NULLS FIRST")
            ])  # fmt: skip
    assert found[0] == found[1]


def test_many_different_texts_stay_as_they_are() -> None:
    few, many = [str(number) for number in range(MAX_DICTIONARY)], [str(number) for number in range(MAX_DICTIONARY + 1)]
    assert dictionary_of(pa.array(few * 2)) is not None
    assert dictionary_of(pa.array(many)) is None
    assert dictionary_of(pa.array(["a"] * 3000 + many)) is None, "the first rows do not tell"


def test_other_types_are_passed_on() -> None:
    for array in (pa.array([1, 2]), pa.array([b"x"]), pa.array([Decimal(1)], pa.decimal128(19, 0)), pa.array([1.5])):
        assert narrowed(array) is array

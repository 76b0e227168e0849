"""Tokens, statements and shapes."""

from decimal import Decimal

import pytest

from rutile.errors import SqlError
from rutile.parse.lexer import number_parameters, shape_of, split_statements, tokens, unquote_string


def test_split_keeps_semicolons_in_strings_and_comments() -> None:
    script = "SELECT ';'; -- not; here\nUSE `a;b`;; /* ; */ SELECT 1"
    assert split_statements(script) == ["SELECT ';'", "-- not; here\nUSE `a;b`", "/* ; */ SELECT 1"]


@pytest.mark.parametrize("sql", ["SELECT 'open", 'SELECT "open', "SELECT `open"])
def test_open_quotes_are_syntax_errors(sql: str) -> None:
    with pytest.raises(SqlError) as caught:
        tokens(sql)
    assert caught.value.code == 1064


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'it''s'", "it's"),
        ('"say ""hi"""', 'say "hi"'),
        (r"'a\'b\n\\'", "a'b\n\\"),
        (r"'50\%'", r"50\%"),
        ("''", ""),
    ],
)
def test_strings(text: str, value: str) -> None:
    assert unquote_string(text) == value


@pytest.mark.parametrize(
    ("sql", "params", "text", "values"),
    [
        ("SELECT  a FROM t\nWHERE id = 5", (), "SELECT a FROM t WHERE id = ?", (5,)),
        ("select 'x', -1.5, 1e3, x'41', 0x0a", (), "select ?,?,?,?,?", ("x", Decimal("-1.5"), 1000.0, b"A", b"\n")),
        ("SELECT ? -- c\n, 2, ?", ("a", None), "SELECT ?,?,?", ("a", 2, None)),
        ("SELECT DATE '2026-01-01' + INTERVAL 1 DAY", (), "SELECT DATE '2026-01-01' + INTERVAL 1 DAY", ()),
        ("SELECT a-1, t1.c2 FROM t1", (), "SELECT a-?,t1.c2 FROM t1", (1,)),
    ],
)
def test_shapes(sql: str, params: tuple[object, ...], text: str, values: tuple[object, ...]) -> None:
    shape = shape_of(sql, params)
    assert shape is not None
    assert (shape.text, shape.values) == (text, values)


def test_rows_of_an_insert_share_the_shape_of_its_first() -> None:
    one = shape_of("INSERT INTO t (a, b) VALUES (1, 'x')", ())
    many = shape_of("INSERT INTO t (a, b) VALUES (1, 'x'), (-2 ,'y'),\n(?, ?);", (3, "z"))
    assert one is not None
    assert many is not None
    assert one.text == many.text
    assert (many.rows, many.values) == (3, (1, "x", -2, "y", 3, "z"))


@pytest.mark.parametrize("params", [(), (1, 2)])
def test_parameters_must_match(params: tuple[object, ...]) -> None:
    with pytest.raises(SqlError) as caught:
        shape_of("SELECT ?", params)
    assert caught.value.code == 1210


def test_a_text_that_comes_again_takes_the_values_it_comes_with() -> None:
    sql = "INSERT INTO t VALUES (?, 7, ?), (?, 7, ?)"
    for given in ((1, "a", 2, "b"), (None, b"", -3, Decimal("0.5"))):
        shape = shape_of(sql, given)
        assert shape is not None
        assert (shape.text, shape.rows) == ("INSERT INTO t VALUES (?,?,?)", 2)
        assert shape.values == (given[0], 7, given[1], given[2], 7, given[3])
    with pytest.raises(SqlError, match="4 parameters, 3 were given"):
        shape_of(sql, (1, 2, 3))


def test_parameters_are_numbered_outside_of_strings() -> None:
    assert number_parameters("SELECT ?, '?', `?`, ?") == ("SELECT :p0, '?', `?`, :p1", 2)


def test_nul_bytes_are_for_strings() -> None:
    assert tokens("SELECT '\0'")[1].text == "'\0'"
    for sql in ("SELECT ?\0", "SELECT * FROM t WHERE id = 1\0\0"):
        with pytest.raises(SqlError) as caught:
            number_parameters(sql)
        assert caught.value.code == 1064


@pytest.mark.parametrize(
    ("sql", "numbered"),
    [("SELECT ?t", "SELECT :p0 t"), ("SELECT ?«, ?", "SELECT :p0 «, :p1"), ("SELECT ?,?+1", "SELECT :p0,:p1+1")],
)
def test_a_parameter_ends_where_its_mark_does(sql: str, numbered: str) -> None:
    assert number_parameters(sql) == (numbered, numbered.count(":p"))


def test_a_parameter_that_is_numbered_already_is_no_mysql() -> None:
    with pytest.raises(SqlError, match="1064"):
        number_parameters("SELECT :p0, ?")
    assert number_parameters("SET @a := ':p0'") == ("SET @a := ':p0'", 0)

"""Comments that are to be run, as dumps have them."""

import pytest

from rutile.parse.executable_comments import with_executed
from rutile.parse.lexer import split_statements


@pytest.mark.parametrize(
    ("sql", "executed"),
    [
        ("a /*! b */ c", "a   b   c"),
        ("a /*!50100 b */ c", "a   b   c"),
        ("a /*!080011 b */ c", "a   b   c"),
        ("a /*!80012 b */ c", "a   c"),
        ("a /*M!100100 b */ c", "a /*M!100100 b */ c"),
        ("a /*T![auto_rand] b */ c", "a   b   c"),
        ("a /*T![ttl] b */ c", "a   c"),
        ("a /*T! b */ c", "a /*T! b */ c"),
        ("'/*! b */' `/*! c */`", "'/*! b */' `/*! c */`"),
        ("/*! '*/' */ x", "  '*/'   x"),
        ("/* /*! b */ c", "/* /*! b */ c"),
        ("-- /*! b\n/*! c */", "-- /*! b\n  c  "),
        ("a /*!99999 never ends", "a  "),
        ("a * /b", "a * /b"),
    ],
)
def test_what_is_run_stands_without_its_marks(sql: str, executed: str) -> None:
    assert with_executed(sql) == executed


def test_a_statement_that_is_all_comment_is_one() -> None:
    dump = "/*!40101 SET NAMES utf8mb4 */;\n/*!99999 SET x = 1 */;\n/* nothing */;\nSELECT 1;"
    assert split_statements(with_executed(dump)) == ["SET NAMES utf8mb4", "SELECT 1"]

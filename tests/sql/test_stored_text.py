"""What the catalogue keeps means the same whatever else the process has loaded."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import rename_func
from sqlglot.dialects.mysql import MySQL

from rutile.parse.stored_text import stored_text


@pytest.mark.parametrize("text", ["LENGTH(s) < 5", "CHAR_LENGTH(s) < 5", "a < LENGTH(CONCAT(s, CHAR_LENGTH(t)))"])
def test_bytes_and_characters_stay_apart(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Ibis changes the generator that all of a process share, as is done here."""
    monkeypatch.setitem(MySQL.Generator.TRANSFORMS, exp.Length, rename_func("char_length"))
    assert stored_text(sqlglot.parse_one(text, dialect="mysql")) == text

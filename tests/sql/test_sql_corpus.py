"""The golden scripts as a corpus: every kind of statement the parser knows is in one of them, and the table is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from goldenscript import parse_script, scripts

from rutile.errors import SqlError
from rutile.parse import statements as st
from rutile.parse.lexer import split_statements, tokens
from rutile.parse.parser import VERBS, parse

SCRIPTS = scripts(__file__)
README = Path(__file__).parent / "scripts" / "README.md"
ELSEWHERE = {
    "ImportInto": "tests/e2e/test_import_into.py", "ShowImportJobs": "tests/e2e/test_import_jobs.py",
    "CancelImportJob": "tests/e2e/test_import_jobs.py", "SelectIntoOutfile": "tests/e2e/test_export.py",
    "SplitTable": "tests/sql/test_split_table.py", "ShowRegions": "tests/sql/test_split_table.py",
}  # fmt: skip
"""Kinds whose answers hold paths, times or regions, and where they are tested."""
VERBS_ELSEWHERE = {"import", "cancel", "split"}


def statements() -> Iterator[str]:
    """Every statement of the corpus."""
    for path in SCRIPTS:
        for block in parse_script(path.read_text(encoding="utf-8")):
            lines = [line.removeprefix("\\calls ") for line in block.input]
            yield from split_statements("\n".join(line for line in lines if not line.startswith("\\")))


@pytest.fixture(scope="module")
def parsed() -> list[tuple[str, st.Statement]]:
    """(first word, statement) of all that parse."""
    found = []
    for sql in statements():
        try:
            found.append((tokens(sql)[0].word, parse(sql).statement))
        except SqlError:
            continue
    return found


def test_every_kind_of_statement_is_in_the_corpus(parsed: list[tuple[str, st.Statement]]) -> None:
    seen = {type(statement).__name__ for _, statement in parsed}
    assert not {kind.__name__ for kind in get_args(st.Statement)} - seen - set(ELSEWHERE)


def test_every_verb_is_in_the_corpus(parsed: list[tuple[str, st.Statement]]) -> None:
    assert not set(VERBS) - {verb for verb, _ in parsed} - VERBS_ELSEWHERE


def test_what_is_explained_is_of_every_kind(parsed: list[tuple[str, st.Statement]]) -> None:
    explained = {type(each.statement) for _, each in parsed if isinstance(each, st.Explain)}
    assert explained >= {st.Query, st.Insert, st.Update, st.Delete}


def test_the_table_names_every_script_once() -> None:
    listed = re.findall(r"^\| `(\w+\.txt)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == sorted(path.name for path in SCRIPTS), f"each script has a row in {README.name}, in their order"

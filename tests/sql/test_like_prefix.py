"""What a LIKE pattern begins with, against matching every text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutile.planner.like_prefix import like_prefix, text_after

TEXTS = st.text(st.sampled_from("ab%_\\ \ud7ff\ue000\U0010ffff"), max_size=6)


def matches(pattern: str, text: str, escape: str) -> bool:
    """LIKE, character by character."""
    parts, at = [], 0
    while at < len(pattern):
        if pattern[at] == escape and at + 1 < len(pattern):
            at += 1
            parts.append(re.escape(pattern[at]))
        else:
            parts.append({"%": ".*", "_": "."}.get(pattern[at], re.escape(pattern[at])))
        at += 1
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


@given(pattern=TEXTS, text=TEXTS, escape=st.sampled_from(["\\", "", "a"]))
def test_what_matches_lies_in_the_range(pattern: str, text: str, escape: str) -> None:
    prefix = like_prefix(pattern, escape)
    assert prefix is not None
    after = text_after(prefix.text)
    within = prefix.text.encode() <= text.encode() and (not after or text.encode() < after.encode())
    if matches(pattern, text, escape):
        assert text.startswith(prefix.text) and within
        assert not prefix.is_whole or text == prefix.text
    elif prefix.is_all and prefix.text:
        assert not within


@pytest.mark.parametrize(
    ("pattern", "text", "is_all"),
    [("ab%", "ab", True), ("a\\%b%", "a%b", True), ("ab", "ab", False), ("ab %", "ab", False), ("a_%", "a", False)],
)
def test_prefixes(pattern: str, text: str, is_all: bool) -> None:
    found = like_prefix(pattern)
    assert found is not None and (found.text, found.is_all) == (text, is_all)


def test_what_is_no_pattern() -> None:
    assert like_prefix(None) is None and like_prefix(7) is None and like_prefix("a", None) is None

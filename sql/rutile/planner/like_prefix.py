"""What a LIKE pattern begins with."""

from __future__ import annotations

from dataclasses import dataclass

_FIRST_SURROGATE, _AFTER_SURROGATES, _LAST = 0xD7FF, 0xE000, 0x10FFFF


@dataclass(frozen=True, slots=True)
class LikePrefix:
    """Every text that matches begins with `text`."""

    text: str
    is_all: bool
    """And every text that begins so matches: the pattern is the text and one %."""
    is_whole: bool
    """And none that goes on matches: the pattern is the text."""


def like_prefix(pattern: object, escape: object = "\\") -> LikePrefix | None:
    """Of a pattern; None for what is no text. Spaces at the end are left out: a key may not have them."""
    if not isinstance(pattern, str) or not isinstance(escape, str) or len(escape) > 1:
        return None
    text, at = "", 0
    while at < len(pattern) and pattern[at] not in "%_":
        at += pattern[at] == escape and at + 1 < len(pattern)
        text += pattern[at]
        at += 1
    known = text.rstrip(" ")
    return LikePrefix(known, pattern[at:] == "%" and known == text, pattern[at:] == "" and known == text)


def text_after(text: str) -> str:
    """The first text, by its characters' numbers, after all that begin with `text`; empty if there is none."""
    while text and ord(text[-1]) == _LAST:
        text = text[:-1]
    if not text:
        return ""
    number = ord(text[-1])
    return text[:-1] + chr(_AFTER_SURROGATES if number == _FIRST_SURROGATE else number + 1)

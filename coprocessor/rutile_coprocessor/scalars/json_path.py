"""JSON paths: `$`, then `.key`, `."any key"`, `.*`, `[n]`, `[last-n]`, `[m to n]`, `[*]`, `**`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from rutile_coprocessor.scalars.json_text import Json, quote, read_json
from rutile_coprocessor.scalars.scalar import ScalarError

ER_INVALID_PATH = 3143
ER_WILDCARD = 3149
_LEG = re.compile(
    r"""\s*(?:
        \.\s*(?:(?P<any>\*) | (?P<quoted>"(?:[^"\\]|\\.)*") | (?P<key>[^\W\d][\w$]*|\$[\w$]*))
      | (?P<ellipsis>\*\*)
      | \[\s*(?:(?P<all>\*) | (?P<start>\d+|last(?:\s*-\s*\d+)?)(?:\s+to\s+(?P<end>\d+|last(?:\s*-\s*\d+)?))?)\s*\]
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Key:
    """`.name`; None is `.*`."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Cells:
    """`[first to last]`; a number counts from 0, a negative one from the end (-1 is `last`)."""

    first: int
    last: int

    @property
    def is_one(self) -> bool:
        return self.first == self.last


@dataclass(frozen=True, slots=True)
class Anywhere:
    """`**`: the value and everything in it."""


Leg: TypeAlias = Key | Cells | Anywhere
ALL_CELLS = Cells(0, -1)


@dataclass(frozen=True, slots=True)
class Path:
    """A path, leg by leg. `is_wild` if it may find several values."""

    legs: tuple[Leg, ...]
    is_wild: bool


@lru_cache(maxsize=512)
def parse_path(text: str) -> Path:
    """Raises 3143."""
    stripped = text.strip()
    position, legs = 1, list[Leg]()
    while stripped.startswith("$") and position < len(stripped):
        match = _LEG.match(stripped, position)
        if match is None:
            raise _invalid(text, position)
        legs.append(_leg(match))
        position = match.end()
    if not stripped.startswith("$") or (legs and isinstance(legs[-1], Anywhere)):
        raise _invalid(text, position)
    wild = any(isinstance(leg, Anywhere) or leg == Key(None) or _is_range(leg) for leg in legs)
    return Path(tuple(legs), wild)


def plain_path(text: str) -> Path:
    """A path that finds one value at most. Raises 3143 or 3149."""
    path = parse_path(text)
    if path.is_wild:
        raise ScalarError(
            ER_WILDCARD, "In this situation, path expressions may not contain the * and ** tokens or an array range."
        )
    return path


def _invalid(text: str, position: int) -> ScalarError:
    return ScalarError(
        ER_INVALID_PATH, f"Invalid JSON path expression. The error is around character position {position} in '{text}'."
    )


def _is_range(leg: Leg) -> bool:
    return isinstance(leg, Cells) and not leg.is_one


def _leg(match: re.Match[str]) -> Leg:
    if match["ellipsis"]:
        return Anywhere()
    if match["any"]:
        return Key(None)
    if match["all"]:
        return ALL_CELLS
    if match["start"]:
        first = _cell(match["start"])
        return Cells(first, _cell(match["end"]) if match["end"] else first)
    key = match["key"] if match["key"] is not None else read_json(match["quoted"])
    return Key(str(key))


def _cell(text: str) -> int:
    return -1 - int(text[4:].strip(" -") or "0") if text.startswith("last") else int(text)


# --- what a path finds ------------------------------------------------------------------------------------------------


def find(document: Json, path: Path) -> list[Json]:
    """The values at the path, in the document's order."""
    found = [document]
    for leg in path.legs:
        found = [value for outer in found for _, value in step(outer, leg)]
    return found


def find_with_paths(document: Json, path: Path) -> list[tuple[str, Json]]:
    """The same, each with the path to it alone."""
    found = [("$", document)]
    for leg in path.legs:
        found = [(at + more, value) for at, outer in found for more, value in step(outer, leg)]
    return found


def step(value: Json, leg: Leg) -> Iterator[tuple[str, Json]]:
    """(the path's next piece, the value there) for whatever one leg leads to."""
    if isinstance(leg, Anywhere):
        yield from everything(value)
    elif isinstance(leg, Key):
        if isinstance(value, dict):
            keys = list(value) if leg.name is None else [leg.name] if leg.name in value else []
            yield from ((member_path(key), value[key]) for key in keys)
    elif isinstance(value, list):
        for place in places(leg, len(value)):
            yield f"[{place}]", value[place]
    elif places(leg, 1):  # what is no array counts as one of itself
        yield "", value


def everything(value: Json) -> Iterator[tuple[str, Json]]:
    """A value and all in it."""
    yield "", value
    inner: list[tuple[str, Json]] = []
    if isinstance(value, dict):
        inner = [(member_path(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [(f"[{place}]", item) for place, item in enumerate(value)]
    for piece, item in inner:
        for more, found in everything(item):
            yield piece + more, found


def member_path(key: str) -> str:
    """`.key`, quoted if it is no plain word."""
    return f".{key}" if re.fullmatch(r"[^\W\d][\w$]*", key) else f".{quote(key)}"


def places(cells: Cells, size: int) -> range:
    """The positions of an array of that size which the leg means."""
    first, last = (place if place >= 0 else size + place for place in (cells.first, cells.last))
    if cells.is_one:
        return range(first, first + 1) if 0 <= first < size else range(0)
    return range(max(first, 0), min(last, size - 1) + 1)

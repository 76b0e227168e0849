"""The JSON functions: what is in a document, and the table of all of them."""

from __future__ import annotations

import re
from typing import TypeAlias

from rutile_coprocessor.scalars import json_changes
from rutile_coprocessor.scalars.json_path import everything, find, find_with_paths, parse_path, plain_path
from rutile_coprocessor.scalars.json_text import (
    Json,
    depth,
    kind,
    pretty,
    quote,
    read_json,
    sorted_keys,
    unquote,
    write_json,
)
from rutile_coprocessor.scalars.scalar import Scalar, ScalarError

Text: TypeAlias = "str | None"
ER_ONE_OR_ALL = 3154


def normalized(text: str) -> str:
    """The document as MySQL shows it. Raises 3141."""
    return write_json(read_json(text, 1, "cast_as_json"))


def valid(text: str) -> bool:
    """JSON_VALID."""
    try:
        read_json(text)
    except ScalarError:
        return False
    return True


def extract(document: str, *paths: str) -> Text:
    """JSON_EXTRACT: the value at one plain path; what several or wild ones find as an array."""
    value, parsed = read_json(document, 1, "json_extract"), [parse_path(path) for path in paths]
    found = [item for path in parsed for item in find(value, path)]
    if not found:
        return None
    return write_json(found if len(parsed) > 1 or parsed[0].is_wild else found[0])


def extract_text(document: str, path: str) -> Text:
    """->>: JSON_UNQUOTE(JSON_EXTRACT(...))."""
    found = extract(document, path)
    return None if found is None else unquote(found)


def value_at(document: str, path: str) -> Text:
    """JSON_VALUE: the scalar at a path as text; NULL for none, for null, and for what is no scalar."""
    found = find(read_json(document, 1, "json_value"), plain_path(path))
    if not found or found[0] is None or isinstance(found[0], dict | list):
        return None
    return found[0] if isinstance(found[0], str) else write_json(found[0])


def _at(document: str, path: Text, name: str) -> list[Json]:
    """The one value at a plain path, or nothing; without a path the document."""
    value = read_json(document, 1, name)
    return [value] if path is None else find(value, plain_path(path))


def length(document: str, path: str = "$") -> int | None:
    """JSON_LENGTH: members of an object, items of an array, 1 for a scalar."""
    found = _at(document, path, "json_length")
    return None if not found else len(found[0]) if isinstance(found[0], dict | list) else 1


def keys(document: str, path: str = "$") -> Text:
    """JSON_KEYS: NULL for what is no object."""
    found = _at(document, path, "json_keys")
    if not found or not isinstance(found[0], dict):
        return None
    names: list[Json] = [*sorted_keys(found[0])]
    return write_json(names)


def contains_value(target: Json, candidate: Json) -> bool:
    """Whether MySQL finds the candidate in the target."""
    if isinstance(target, list):
        wanted = candidate if isinstance(candidate, list) else [candidate]
        return all(any(contains_value(item, each) for item in target) for each in wanted)
    if isinstance(target, dict) and isinstance(candidate, dict):
        return all(key in target and contains_value(target[key], item) for key, item in candidate.items())
    return same(target, candidate)


def same(left: Json, right: Json) -> bool:
    """Equality; true is not 1."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return isinstance(left, bool) is isinstance(right, bool) and left == right


def contains(document: str, candidate: str, path: str = "$") -> int | None:
    """JSON_CONTAINS."""
    found = _at(document, path, "json_contains")
    return int(contains_value(found[0], read_json(candidate, 2, "json_contains"))) if found else None


def _wants_all(word: str, name: str) -> bool:
    if word.lower() not in ("one", "all"):
        raise ScalarError(ER_ONE_OR_ALL, f"The oneOrAll argument to {name} may take these values: 'one' or 'all'.")
    return word.lower() == "all"


def contains_path(document: str, one_or_all: str, *paths: str) -> int:
    """JSON_CONTAINS_PATH."""
    value = read_json(document, 1, "json_contains_path")
    combine = all if _wants_all(one_or_all, "json_contains_path") else any
    return int(combine([bool(find(value, parse_path(path))) for path in paths]))


def overlaps(left: str, right: str) -> int:
    """JSON_OVERLAPS: an item or a member in common; two scalars that are equal."""
    a, b = read_json(left, 1, "json_overlaps"), read_json(right, 2, "json_overlaps")
    if isinstance(a, dict) and isinstance(b, dict):
        return int(any(key in b and same(a[key], b[key]) for key in a))
    first, second = (side if isinstance(side, list) else [side] for side in (a, b))
    return int(any(same(x, y) for x in first for y in second))


def member_of(value: str, array: str) -> int:
    """value MEMBER OF (array)."""
    wanted, found = read_json(value, 1, "member of"), read_json(array, 2, "member of")
    return int(any(same(item, wanted) for item in (found if isinstance(found, list) else [found])))


def search(document: Text, one_or_all: Text, wanted: Text, escape: Text = None, *paths: Text) -> Text:
    """JSON_SEARCH: the paths of strings LIKE a text; one of them, or an array of all."""
    if document is None or one_or_all is None or wanted is None or None in paths:
        return None
    every = _wants_all(one_or_all, "json_search")
    value, pattern = read_json(document, 1, "json_search"), _like(wanted, escape or "\\")
    found: list[Json] = []
    for path in paths or ("$",):
        for start, inner in find_with_paths(value, parse_path(str(path))):
            for at, item in _strings(inner, start):
                if pattern.fullmatch(item) and at not in found:
                    found.append(at)
    if not found:
        return None
    return write_json(found if every and len(found) > 1 else found[0])


def _strings(value: Json, start: str) -> list[tuple[str, str]]:
    return [(start + at, item) for at, item in everything(value) if isinstance(item, str)]


def _like(pattern: str, escape: str) -> re.Pattern[str]:
    pieces, letters = [], iter(pattern)
    for letter in letters:
        if letter == escape:
            pieces.append(re.escape(next(letters, escape)))
        else:
            pieces.append({"%": ".*", "_": "."}.get(letter) or re.escape(letter))
    return re.compile("".join(pieces), re.DOTALL)


def array_of(*items: Text) -> str:
    """JSON_ARRAY of JSON texts."""
    return f"[{', '.join(item if item is not None else 'null' for item in items)}]"


def object_of(*pairs: Text) -> str:
    """JSON_OBJECT of (key, JSON text) pairs; the last of equal keys counts. Raises 3158 for a NULL key."""
    members: dict[str, str] = {}
    for key, item in zip(pairs[::2], pairs[1::2], strict=True):
        if key is None:
            raise ScalarError(3158, "JSON documents may not contain NULL member names.")
        members[key] = item if item is not None else "null"
    names: dict[str, Json] = dict.fromkeys(members)
    return f"{{{', '.join(f'{quote(key)}: {members[key]}' for key in sorted_keys(names))}}}"


SCALARS = (
    Scalar("mysql_json", "VARCHAR", "VARCHAR", normalized),
    Scalar("mysql_json_valid", "VARCHAR", "BOOLEAN", valid),
    Scalar("mysql_json_extract", "*", "VARCHAR", extract),
    Scalar("mysql_json_extract_text", "VARCHAR VARCHAR", "VARCHAR", extract_text),
    Scalar("mysql_json_value", "VARCHAR VARCHAR", "VARCHAR", value_at),
    Scalar("mysql_json_length", "*", "BIGINT", length),
    Scalar("mysql_json_keys", "*", "VARCHAR", keys),
    Scalar("mysql_json_type", "VARCHAR", "VARCHAR", lambda text: kind(read_json(text, 1, "json_type"))),
    Scalar("mysql_json_depth", "VARCHAR", "BIGINT", lambda text: depth(read_json(text, 1, "json_depth"))),
    Scalar("mysql_json_pretty", "VARCHAR", "VARCHAR", lambda text: pretty(read_json(text, 1, "json_pretty"))),
    Scalar("mysql_json_quote", "VARCHAR", "VARCHAR", quote),
    Scalar("mysql_json_unquote", "VARCHAR", "VARCHAR", unquote),
    Scalar("mysql_json_contains", "*", "BIGINT", contains),
    Scalar("mysql_json_contains_path", "*", "BIGINT", contains_path),
    Scalar("mysql_json_overlaps", "VARCHAR VARCHAR", "BIGINT", overlaps),
    Scalar("mysql_json_member_of", "VARCHAR VARCHAR", "BIGINT", member_of),
    Scalar("mysql_json_search", "*", "VARCHAR", search, sees_nulls=True),
    Scalar("mysql_json_array", "*", "VARCHAR", array_of, sees_nulls=True),
    Scalar("mysql_json_object", "*", "VARCHAR", object_of, sees_nulls=True),
    Scalar(
        "mysql_json_set", "*", "VARCHAR", json_changes.changer("json_set", insert=True, replace=True), sees_nulls=True
    ),
    Scalar(
        "mysql_json_insert",
        "*",
        "VARCHAR",
        json_changes.changer("json_insert", insert=True, replace=False),
        sees_nulls=True,
    ),
    Scalar(
        "mysql_json_replace",
        "*",
        "VARCHAR",
        json_changes.changer("json_replace", insert=False, replace=True),
        sees_nulls=True,
    ),
    Scalar("mysql_json_remove", "*", "VARCHAR", json_changes.remove),
    Scalar("mysql_json_array_append", "*", "VARCHAR", json_changes.array_append, sees_nulls=True),
    Scalar("mysql_json_array_insert", "*", "VARCHAR", json_changes.array_insert, sees_nulls=True),
    Scalar("mysql_json_merge_preserve", "*", "VARCHAR", json_changes.merge_preserve),
    Scalar("mysql_json_merge_patch", "*", "VARCHAR", json_changes.merge_patch),
)

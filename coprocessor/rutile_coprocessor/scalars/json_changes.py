"""JSON_SET and its family: documents changed at a path. What is given is changed in place: it was just read."""

from __future__ import annotations

from collections.abc import Callable

from rutile_coprocessor.scalars.json_path import Cells, Key, Leg, Path, find, places, plain_path
from rutile_coprocessor.scalars.json_text import Json, read_json, write_json
from rutile_coprocessor.scalars.scalar import ScalarError

ER_REMOVE_ROOT = 3153
ER_NOT_A_CELL = 3165


def _parents(document: Json, path: Path) -> list[Json]:
    return find(document, Path(path.legs[:-1], path.is_wild))


def put(document: Json, path: Path, value: Json, *, insert: bool, replace: bool) -> Json:
    """The document with the value at the path, where there is none (`insert`) or where there is one (`replace`)."""
    if not path.legs:
        return value if replace else document
    for parent in _parents(document, path):
        if isinstance(parent, dict | list):
            _put_into(parent, path.legs[-1], value, insert, replace)
        else:
            return _put_beside(document, path, value, insert, replace)
    return document


def _put_into(parent: dict[str, Json] | list[Json], leg: Leg, value: Json, insert: bool, replace: bool) -> None:
    if isinstance(parent, dict):
        if isinstance(leg, Key) and leg.name is not None and (replace if leg.name in parent else insert):
            parent[leg.name] = value
        elif isinstance(leg, Cells) and replace and places(leg, 1):
            raise ScalarError(1235, "replacing an object through [0] is not supported: name it without [0]")
    elif isinstance(leg, Cells):
        found = places(leg, len(parent))
        if found and replace:
            parent[found[0]] = value
        elif not found and insert:
            parent.insert(0 if leg.first < 0 else len(parent), value)


def _put_beside(document: Json, path: Path, value: Json, insert: bool, replace: bool) -> Json:
    """At `[n]` of a scalar: it is replaced for n = 0, or becomes an array with the value after it."""
    leg, outer = path.legs[-1], Path(path.legs[:-1], False)
    if not isinstance(leg, Cells):
        return document
    if places(leg, 1):
        return put(document, outer, value, insert=False, replace=True) if replace else document
    scalar = find(document, outer)[0]
    pair: list[Json] = [value, scalar] if leg.first < 0 else [scalar, value]
    return put(document, outer, pair, insert=False, replace=True) if insert else document


def changer(name: str, *, insert: bool, replace: bool) -> Callable[..., str | None]:
    """JSON_SET, JSON_INSERT or JSON_REPLACE: (document, path, JSON value, path, JSON value, ...)."""

    def change(document: str | None, *pairs: str | None) -> str | None:
        if document is None or None in pairs[::2]:
            return None
        value = read_json(document, 1, name)
        for path, new in zip(pairs[::2], pairs[1::2], strict=True):
            value = put(value, plain_path(str(path)), read_json(new or "null"), insert=insert, replace=replace)
        return write_json(value)

    return change


def remove(document: str, *paths: str) -> str:
    """JSON_REMOVE. Raises 3153 for `$`."""
    value = read_json(document, 1, "json_remove")
    for text in paths:
        path = plain_path(text)
        if not path.legs:
            raise ScalarError(ER_REMOVE_ROOT, "The path expression '$' is not allowed in this context.")
        for parent in _parents(value, path):
            _remove_from(parent, path.legs[-1])
    return write_json(value)


def _remove_from(parent: Json, leg: Leg) -> None:
    if isinstance(parent, dict) and isinstance(leg, Key):
        parent.pop(str(leg.name), None)
    elif isinstance(parent, list) and isinstance(leg, Cells):
        for place in places(leg, len(parent)):
            del parent[place]


def array_append(document: str | None, *pairs: str | None) -> str | None:
    """JSON_ARRAY_APPEND: to the array at the path; something else becomes an array first."""
    if document is None or None in pairs[::2]:
        return None
    value = read_json(document, 1, "json_array_append")
    for text, new in zip(pairs[::2], pairs[1::2], strict=True):
        path, added = plain_path(str(text)), read_json(new or "null")
        for found in find(value, path):
            if isinstance(found, list):
                found.append(added)
            else:
                value = put(value, path, [found, added], insert=False, replace=True)
    return write_json(value)


def array_insert(document: str | None, *pairs: str | None) -> str | None:
    """JSON_ARRAY_INSERT: before the cell of the path, or at the end. Raises 3165 if the path ends in no cell."""
    if document is None or None in pairs[::2]:
        return None
    value = read_json(document, 1, "json_array_insert")
    for text, new in zip(pairs[::2], pairs[1::2], strict=True):
        path = plain_path(str(text))
        leg = path.legs[-1] if path.legs else None
        if not isinstance(leg, Cells):
            raise ScalarError(ER_NOT_A_CELL, "A path expression is not a path to a cell in an array.")
        for parent in _parents(value, path):
            if isinstance(parent, list):
                parent.insert(
                    leg.first if leg.first >= 0 else max(len(parent) + leg.first, 0), read_json(new or "null")
                )
    return write_json(value)


def merged(left: Json, right: Json) -> Json:
    """JSON_MERGE_PRESERVE of two: arrays joined, objects united, anything else put into an array."""
    if isinstance(left, dict) and isinstance(right, dict):
        united = dict(left)
        for key, item in right.items():
            united[key] = merged(united[key], item) if key in united else item
        return united
    return [*(left if isinstance(left, list) else [left]), *(right if isinstance(right, list) else [right])]


def patched(target: Json, patch: Json) -> Json:
    """JSON_MERGE_PATCH of two (RFC 7396): members replaced, and removed by null."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, item in patch.items():
        if item is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), item)
    return result


def merge_preserve(*documents: str) -> str:
    return _folded(merged, "json_merge_preserve", documents)


def merge_patch(*documents: str) -> str:
    return _folded(patched, "json_merge_patch", documents)


def _folded(combine: Callable[[Json, Json], Json], name: str, documents: tuple[str, ...]) -> str:
    values = [read_json(text, place + 1, name) for place, text in enumerate(documents)]
    result = values[0]
    for value in values[1:]:
        result = combine(result, value)
    return write_json(result)

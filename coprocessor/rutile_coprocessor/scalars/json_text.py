"""JSON as MySQL reads and writes it: `{"a": 1, "bb": [true, null]}`, keys by length and then by their bytes."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TypeAlias

from rutile_coprocessor.scalars.scalar import ScalarError

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
ER_INVALID_JSON = 3141
MAX_DEPTH = 100
ER_TOO_DEEP = 3157


def read_json(text: str, argument: int = 1, function: str = "json") -> Json:
    """The document. Raises 3141 for text that is none, 3157 for one nested over 100 deep."""
    try:
        return _read(text)
    except RecursionError as error:
        raise ScalarError(ER_TOO_DEEP, "The JSON document exceeds the maximum depth.") from error
    except ValueError as error:
        raise ScalarError(
            ER_INVALID_JSON, f'Invalid JSON text in argument {argument} to function {function}: "{error}"'
        ) from error


def _read(text: str) -> Json:
    value: Json = json.loads(text, parse_int=_integer, parse_constant=_refuse)
    return value


def _integer(digits: str) -> int | float:
    """Integers within 64 bits stay ones."""
    value = int(digits) if len(digits) < 40 else 1 << 200
    return value if -(1 << 63) <= value < 1 << 64 else float(digits)


def _refuse(name: str) -> Json:
    raise ValueError(f"{name} is no JSON value")


def write_json(value: Json) -> str:
    """The text MySQL shows."""
    match value:
        case str():
            return quote(value)
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case int():
            return str(value)
        case float():
            return repr(value).replace("e+", "e")
        case list():
            return f"[{', '.join(map(write_json, value))}]"
    members = (f"{quote(key)}: {write_json(value[key])}" for key in sorted_keys(value))
    return f"{{{', '.join(members)}}}"


def sorted_keys(document: dict[str, Json]) -> list[str]:
    """An object's keys in MySQL's order."""
    return sorted(document, key=_key_order)


@lru_cache(maxsize=4096)
def _key_order(key: str) -> tuple[int, bytes]:
    data = key.encode("utf-8", "surrogatepass")
    return len(data), data


def quote(text: str) -> str:
    """A text as a JSON string."""
    return json.dumps(text, ensure_ascii=False)


def unquote(text: str) -> str:
    """JSON_UNQUOTE: a JSON string's text; anything else as it is."""
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        return text
    value = read_json(text, 1, "json_unquote")
    return value if isinstance(value, str) else text


def pretty(value: Json, indent: str = "") -> str:
    """JSON_PRETTY: two spaces a level."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{quote(key)}: {pretty(value[key], inner)}" for key in sorted_keys(value)]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"{inner}{pretty(item, inner)}" for item in value) + f"\n{indent}]"
    return write_json(value)


def depth(value: Json) -> int:
    """JSON_DEPTH: 1 for a scalar or something empty."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + max(map(depth, inner), default=0)


def kind(value: Json) -> str:
    """JSON_TYPE."""
    match value:
        case dict():
            return "OBJECT"
        case list():
            return "ARRAY"
        case str():
            return "STRING"
        case bool():
            return "BOOLEAN"
        case None:
            return "NULL"
        case int():
            return "INTEGER" if value < 1 << 63 else "UNSIGNED INTEGER"
    return "DOUBLE"

"""MySQL's names of types that sqlglot takes for others, put right before it sees them."""

from __future__ import annotations

from rutile.errors import not_supported
from rutile.parse.lexer import tokens

_TYPE_SYNONYMS = {
    "real": "double", "int1": "tinyint", "int2": "smallint", "int3": "mediumint", "int4": "int", "int8": "bigint",
    "middleint": "mediumint", "float4": "float", "float8": "double", "long": "mediumtext",
}  # fmt: skip
"""Reserved words of MySQL that sqlglot takes for other types than MySQL does."""


def with_plain_types(sql: str) -> str:
    """CREATE TABLE with MySQL's synonyms of types, and TiDB's CLUSTERED, as sqlglot reads them rightly."""
    parts, position = [], 0
    for token in tokens(sql):
        replacement = "" if token.word == "clustered" and token.kind == "word" else _TYPE_SYNONYMS.get(token.word)
        if token.word == "nonclustered":
            raise not_supported("PRIMARY KEY NONCLUSTERED")
        if replacement is not None:
            parts.append(sql[position : token.start] + replacement)
            position = token.end
    return "".join(parts) + sql[position:]

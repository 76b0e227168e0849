"""MySQL's names of types that sqlglot takes for others, put right before it sees them."""

from __future__ import annotations

from rutile.errors import not_supported
from rutile.parse.lexer import tokens
from rutile.parse.sequences import with_sequence_calls

_TYPE_SYNONYMS = {
    "real": "double", "int1": "tinyint", "int2": "smallint", "int3": "mediumint", "int4": "int", "int8": "bigint",
    "middleint": "mediumint", "float4": "float", "float8": "double", "long": "mediumtext",
}  # fmt: skip
"""Reserved words of MySQL that sqlglot takes for other types than MySQL does."""


def _with_auto_random(sql: str) -> str:
    """AUTO_RANDOM[(S[, R])] as ENCODE auto_random_S_R, a constraint that sqlglot knows and MySQL does not."""
    found = tokens(sql)
    for at in range(len(found) - 1, -1, -1):
        if found[at].word != "auto_random" or found[at].kind != "word":
            continue
        end, numbers = at + 1, list[str]()
        if end < len(found) and found[end].text == "(":
            while end < len(found) and found[end].text != ")":
                numbers += [found[end].text] if found[end].kind == "number" else []
                end += 1
            end += 1
        marked = "_".join(["ENCODE auto_random", *numbers])
        sql = sql[: found[at].start] + marked + sql[found[min(end, len(found)) - 1].end :]
    return sql


def with_plain_types(sql: str) -> str:
    """CREATE TABLE with MySQL's synonyms of types, and TiDB's CLUSTERED, as sqlglot reads them rightly."""
    parts, position = [], 0
    sql = with_sequence_calls(_with_auto_random(sql))
    for token in tokens(sql):
        replacement = "" if token.word == "clustered" and token.kind == "word" else _TYPE_SYNONYMS.get(token.word)
        if token.word == "nonclustered":
            raise not_supported("PRIMARY KEY NONCLUSTERED")
        if replacement is not None:
            parts.append(sql[position : token.start] + replacement)
            position = token.end
    return "".join(parts) + sql[position:]

"""CREATE, ALTER and DROP SEQUENCE, and the calls that ask a sequence for values."""

from __future__ import annotations

from sqlglot import exp

from rutile.errors import syntax_error
from rutile.parse import statements as st
from rutile.parse.lexer import tokens, unquote_name
from rutile.parse.mysql_text import mysql_text
from rutile.parse.token_cursor import TokenCursor

CALLS = ("nextval", "lastval", "setval")
_NUMBERS = {"increment": "increment", "minvalue": "low", "maxvalue": "high", "start": "start", "cache": "cache"}
_FLAGS = {"nocache": ("cache", 0), "cycle": ("cycle", 1), "nocycle": ("cycle", 0)}
_OPEN = ("nominvalue", "nomaxvalue")


def with_sequence_calls(sql: str) -> str:
    """The text with NEXT VALUE FOR s as NEXTVAL(s), which sqlglot reads."""
    if "next" not in sql.lower():
        return sql
    found = tokens(sql)
    for at in range(len(found) - 4, -1, -1):
        if [token.word for token in found[at : at + 3]] != ["next", "value", "for"]:
            continue
        last = at + 3
        if last + 2 < len(found) and found[last + 1].text == ".":
            last += 2
        name = sql[found[at + 3].start : found[last].end]
        sql = f"{sql[: found[at].start]}NEXTVAL({name}){sql[found[last].end :]}"
    return sql


def sequence_call(node: exp.Expr) -> tuple[str, st.TableName] | None:
    """(nextval, lastval or setval, the sequence) if the node is such a call. Raises 1064 for one without a name."""
    node = node.unnest() if isinstance(node, exp.Paren) else node
    if not isinstance(node, exp.Anonymous) or node.name.lower() not in CALLS:
        return None
    named = node.expressions[0] if node.expressions else None
    if not isinstance(named, exp.Column) or len(node.expressions) != (2 if node.name.lower() == "setval" else 1):
        raise syntax_error(mysql_text(node))
    return node.name.lower(), st.TableName(named.name, named.table or None)


def sequence_default(node: exp.Expr) -> str:
    """A DEFAULT of NEXTVAL as the catalogue keeps it."""
    called = sequence_call(node)
    assert called is not None
    _, name = called
    quoted = ["`" + part.replace("`", "``") + "`" for part in (name.database, name.name) if part is not None]
    return f"nextval({'.'.join(quoted)})"


def sequence_of_default(default_sql: str) -> st.TableName:
    """The sequence that a kept default names."""
    parts = [unquote_name(token.text) for token in tokens(default_sql)[2:-1] if token.text != "."]
    return st.TableName(parts[-1], parts[0] if len(parts) > 1 else None)


def parse_create_sequence(cursor: TokenCursor) -> st.Statement:
    """[IF NOT EXISTS] name options, from SEQUENCE on."""
    cursor.expect("sequence")
    if_not_exists = cursor.accept_words("if", "not", "exists")
    return st.CreateSequence(cursor.table_name(), _options(cursor), if_not_exists)


def parse_alter_sequence(cursor: TokenCursor) -> st.Statement:
    """[IF EXISTS] name options."""
    cursor.expect("sequence")
    if_exists = cursor.accept_words("if", "exists")
    return st.AlterSequence(cursor.table_name(), _options(cursor), if_exists)


def parse_drop_sequence(cursor: TokenCursor) -> st.Statement:
    """[IF EXISTS] name, ..."""
    cursor.expect("sequence")
    if_exists = cursor.accept_words("if", "exists")
    names = [cursor.table_name()]
    while cursor.accept(","):
        names.append(cursor.table_name())
    cursor.expect_end()
    return st.DropSequence(tuple(names), if_exists)


def _options(cursor: TokenCursor) -> dict[str, int | str | None]:
    """Fields of a SequenceInfo by name; None for one that is left to its default; `restart` by itself."""
    found: dict[str, int | str | None] = {}
    while not cursor.at_end():
        negated = cursor.accept("no")
        word = ("no" if negated else "") + cursor.take().word
        if word in _NUMBERS:
            cursor.accept("by", "with", "=")
            found[_NUMBERS[word]] = _number(cursor)
        elif word in _FLAGS:
            name, value = _FLAGS[word]
            found[name] = value
        elif word in _OPEN:
            found[_NUMBERS[word.removeprefix("no")]] = None
        elif word == "restart":
            given = cursor.accept("with", "=") or not cursor.at_end()
            found["restart"] = _number(cursor) if given else None
        elif word == "comment":
            cursor.accept("=")
            found["comment"] = cursor.string()
        elif word == "engine":
            cursor.accept("=")
            cursor.take()
        else:
            raise cursor.error()
    return found


def _number(cursor: TokenCursor) -> int:
    sign = -1 if cursor.accept("-") else 1
    token = cursor.take()
    if not token.text.isdigit():
        raise cursor.error()
    return sign * int(token.text)

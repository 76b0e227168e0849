"""PARTITION BY of CREATE TABLE, and the definitions of partitions, which ALTER TABLE ... ADD PARTITION has too."""

from __future__ import annotations

from rutile.catalog.partitions import PartitionKind
from rutile.errors import SqlError, not_supported
from rutile.parse import alterations as alter
from rutile.parse.lexer import tokens
from rutile.parse.partition_clause import PartitionClause, PartitionDefinition, Term
from rutile.parse.partition_terms import read_term_at
from rutile.parse.token_cursor import TokenCursor

ER_NO_PARTITIONS = 1504


def take_partitioning(sql: str) -> tuple[str, PartitionClause | None]:
    """The text of a CREATE TABLE without its PARTITION BY, and that. Raises 1064, 1235, 1564."""
    found, depth = tokens(sql), 0
    for at, token in enumerate(found[:-1]):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and token.word == "partition" and found[at + 1].word == "by":
            clause = TokenCursor(sql[token.start :], tokens(sql[token.start :]))
            return sql[: token.start], _read(clause)
    return sql, None


def _read(cursor: TokenCursor) -> PartitionClause:
    cursor.take()
    cursor.take()
    if cursor.at("linear", "key"):
        raise not_supported(f"PARTITION BY {cursor.peek_text().upper()}")
    kind, term, columns = _kind(cursor)
    count = None
    if cursor.accept("partitions"):
        count = _count(cursor)
    if cursor.at("subpartition"):
        raise not_supported("SUBPARTITION BY")
    if cursor.at("interval"):
        raise not_supported("INTERVAL partitioning")
    definitions = read_definitions(cursor) if cursor.at("(") else ()
    if cursor.at("update", "global", "as", "select"):
        raise not_supported(f"PARTITION BY ... {cursor.peek_text().upper()}")
    cursor.expect_end()
    return PartitionClause(kind, term, columns, count, definitions)


def _kind(cursor: TokenCursor) -> tuple[PartitionKind, Term | None, tuple[str, ...]]:
    word = cursor.expect("range", "list", "hash").word.upper()
    if word != "HASH" and cursor.accept("columns"):
        cursor.expect("(")
        columns = [cursor.name()]
        while cursor.accept(","):
            columns.append(cursor.name())
        cursor.expect(")")
        return ("RANGE COLUMNS" if word == "RANGE" else "LIST COLUMNS"), None, tuple(columns)
    cursor.expect("(")
    term = read_term_at(cursor)
    cursor.expect(")")
    return word, term, ()  # type: ignore[return-value]  # one of the three expected


def _count(cursor: TokenCursor) -> int:
    token = cursor.take()
    if not token.text.isdigit():
        raise cursor.error()
    if int(token.text) == 0:
        raise SqlError(ER_NO_PARTITIONS, "Number of partitions = 0 is not an allowed value")
    return int(token.text)


def read_definitions(cursor: TokenCursor) -> tuple[PartitionDefinition, ...]:
    """(PARTITION p VALUES ..., ...). Raises 1064, 1235."""
    cursor.expect("(")
    found = [_definition(cursor)]
    while cursor.accept(","):
        found.append(_definition(cursor))
    cursor.expect(")")
    return tuple(found)


def _definition(cursor: TokenCursor) -> PartitionDefinition:
    cursor.expect("partition")
    name = cursor.name()
    less_than: tuple[Term | None, ...] = ()
    is_last, values = False, tuple[tuple[Term | None, ...], ...]()
    if cursor.accept("values"):
        if cursor.accept("less"):
            cursor.expect("than")
            less_than, is_last = _less_than(cursor)
        else:
            cursor.expect("in")
            values = _values(cursor)
    elif cursor.at("default"):
        raise not_supported("a DEFAULT partition")
    return PartitionDefinition(name, less_than, is_last, values, _options(cursor))


def _less_than(cursor: TokenCursor) -> tuple[tuple[Term | None, ...], bool]:
    if cursor.accept("maxvalue"):
        return (), True
    found, last = list[Term | None](), False
    cursor.expect("(")
    while True:
        if cursor.accept("maxvalue"):
            last = True
        elif last:
            raise not_supported("MAXVALUE before another value")
        else:
            found.append(_value(cursor))
        if not cursor.accept(","):
            break
    cursor.expect(")")
    if last and found:
        raise not_supported("MAXVALUE beside other values")
    return tuple(found), last


def _values(cursor: TokenCursor) -> tuple[tuple[Term | None, ...], ...]:
    cursor.expect("(")
    found = [_listed(cursor)]
    while cursor.accept(","):
        found.append(_listed(cursor))
    cursor.expect(")")
    return tuple(found)


def _listed(cursor: TokenCursor) -> tuple[Term | None, ...]:
    """One value, or (a, b) of several columns."""
    if cursor.at("default"):
        raise not_supported("a DEFAULT partition")
    if not cursor.accept("("):
        return (_value(cursor),)
    found = [_value(cursor)]
    while cursor.accept(","):
        found.append(_value(cursor))
    cursor.expect(")")
    return tuple(found)


def _value(cursor: TokenCursor) -> Term | None:
    return None if cursor.accept("null") else read_term_at(cursor)


def _options(cursor: TokenCursor) -> str:
    """COMMENT; ENGINE, which means nothing here, is stepped over."""
    comment = ""
    while not cursor.at(",", ")"):
        word = cursor.expect("comment", "engine", "storage").word
        if word == "storage":
            cursor.expect("engine")
        cursor.accept("=")
        if word == "comment":
            comment = cursor.string()
        else:
            cursor.take()
    return comment


# --- ALTER TABLE ------------------------------------------------------------------------------------------------------


def take_partition_change(cursor: TokenCursor) -> alter.Alteration | None:
    """ADD, DROP or TRUNCATE PARTITION, which is all of an ALTER TABLE; None if it is something else. Raises 1235."""
    if cursor.accept_words("add", "partition"):
        if not cursor.at("("):
            raise not_supported(f"ALTER TABLE ... ADD PARTITION {cursor.peek_text().upper()}".rstrip())
        change: alter.Alteration = alter.AddPartitions(read_definitions(cursor))
    elif cursor.accept_words("drop", "partition"):
        if cursor.at("if"):
            raise not_supported("ALTER TABLE ... DROP PARTITION IF EXISTS")
        change = alter.DropPartitions(_names(cursor))
    elif cursor.accept_words("truncate", "partition"):
        change = alter.TruncatePartitions(None if cursor.accept("all") else _names(cursor))
    else:
        return None
    cursor.expect_end()
    return change


def _names(cursor: TokenCursor) -> tuple[str, ...]:
    found = [cursor.name()]
    while cursor.accept(","):
        found.append(cursor.name())
    return tuple(found)

"""Fragments: pieces of a query that run beside the data, and the check each passes before it may.

A fragment is one SELECT in DuckDB's dialect over named scans. It comes from the front end, but through a port anybody
may speak to, so the store trusts nothing: the text is parsed, every node and function must be on the whitelist, every
table must be a scan, an input or a CTE, and what runs is the text written out again from the checked tree, never the
text that came. So a difference between sqlglot's parser and DuckDB's cannot smuggle anything past the check.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from sqlglot import Dialect, exp
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from rutile_coprocessor.inputs import Input, check_inputs
from rutile_coprocessor.schema import TableSchema
from rutile_coprocessor.size_bounds import bound_sizes
from rutile_coprocessor.whitelist import (
    FUNCTION_NAMES,
    FUNCTION_NODES,
    QUERY_NODES,
    SYSTEM_NAME_PREFIXES,
    VALUE_NODES,
)
from rutile_coprocessor.whitelist_nested import DUCKDB_NAMES, DUCKDB_NODES, HERE_NAMES, HERE_NODES, NESTED_NODES
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import FragmentRefused, InvalidRequest

MAX_TEXT_LENGTH = 1 << 20
MAX_TABLES = 8_192
"""Tables that one scan reads: MySQL's bound of partitions."""
MAX_NESTING = 200
"""Parentheses within parentheses; deeper ones could overflow the stack of a compiled parser."""
DEFAULT_PAGE_ROWS = 65_536
CHECKED_TEXTS = 1_024
"""How many checked texts are remembered."""
KNOWN_SCHEMAS = 1_024
"""How many schemas that came with fragments are remembered."""
KNOWN_SCHEMA_BYTES = 1 << 14
"""Larger ones are read anew each time."""

DUCKDB = Dialect.get_or_raise("duckdb")
_ALLOWED_NODES = QUERY_NODES | VALUE_NODES | FUNCTION_NODES | NESTED_NODES | DUCKDB_NODES
_ALLOWED_NAMES = FUNCTION_NAMES | DUCKDB_NAMES
_TABLE_PARTS = frozenset({"this", "alias", "joins", "sample"})


@dataclass(frozen=True)
class Scan:
    """One table read by a fragment, under the name its SQL uses."""

    name: str
    schema: TableSchema
    columns: tuple[str, ...]
    """The columns the fragment mentions: all that is decoded."""
    ranges: tuple[tuple[bytes, bytes], ...] = ()
    """[start, end) in user keys."""
    rows_only: bool = False
    """Read from the row store, whatever the mirror has."""
    table_ids: tuple[int, ...] = ()
    """Of the tables its rows lie in, if it is not the one of the schema: a partitioned table's partitions."""

    @property
    def tables(self) -> tuple[TableSchema, ...]:
        """What its rows lie in, in the order of their keys. All are laid out alike."""
        if not self.table_ids:
            return (self.schema,)
        return tuple(replace(self.schema, table_id=each) for each in self.table_ids)


@dataclass(frozen=True)
class Fragment:
    """What a store is asked to run; the wire form is rutilepb.Fragment."""

    sql: str
    scans: tuple[Scan, ...]
    memory_limit_bytes: int = 0
    """0: the store's own limit."""
    page_rows: int = DEFAULT_PAGE_ROWS
    rowwise: bool = False
    """Each result row comes from one row of the one scan, in its order: a page can be resumed behind the last key."""
    here: bool = False
    """It runs in the front end, once: it may look at the clock and roll dice. Never sent to a store."""
    inputs: tuple[Input, ...] = ()
    """Relations that come along with it."""

    def to_proto(self) -> rutilepb.Fragment:
        return rutilepb.Fragment(
            sql=self.sql,
            scans=[_scan_to_proto(scan) for scan in self.scans],
            memory_limit_bytes=self.memory_limit_bytes,
            page_rows=self.page_rows,
            rowwise=self.rowwise,
            inputs=[rutilepb.FragmentInput(name=each.name, arrow_ipc=each.data) for each in self.inputs],
        )

    @staticmethod
    def from_proto(message: rutilepb.Fragment) -> Fragment:
        """Raises InvalidRequest if a scan is malformed, or the inputs are too many or too large."""
        scans = tuple(_scan_from_proto(scan) for scan in message.scans)
        inputs = tuple(Input(each.name, each.arrow_ipc) for each in message.inputs)
        check_inputs(inputs, [scan.name for scan in scans])
        return Fragment(
            sql=message.sql,
            scans=scans,
            memory_limit_bytes=message.memory_limit_bytes,
            page_rows=message.page_rows or DEFAULT_PAGE_ROWS,
            rowwise=message.rowwise,
            inputs=inputs,
        )

    def checked_sql(self) -> str:
        """The text to run. Raises FragmentRefused."""
        names = (*(scan.name for scan in self.scans), *(each.name for each in self.inputs))
        return check_fragment(self.sql, names, here=self.here)


def _scan_to_proto(scan: Scan) -> rutilepb.FragmentScan:
    ranges = [coprocessor.KeyRange(start=start, end=end) for start, end in scan.ranges]
    return rutilepb.FragmentScan(
        name=scan.name,
        schema=scan.schema.to_bytes(),
        columns=scan.columns,
        ranges=ranges,
        rows_only=scan.rows_only,
        table_ids=scan.table_ids,
    )


def _scan_from_proto(message: rutilepb.FragmentScan) -> Scan:
    ranges = tuple((bounds.start, bounds.end) for bounds in message.ranges)
    known = _known_schema if len(message.schema) <= KNOWN_SCHEMA_BYTES else TableSchema.from_bytes
    schema, table_ids = known(message.schema), tuple(message.table_ids)
    if list(table_ids) != sorted(set(table_ids)) or len(table_ids) > MAX_TABLES or any(each < 1 for each in table_ids):
        raise InvalidRequest(f"scan {message.name}: table ids are positive, ascending, and at most {MAX_TABLES}")
    return Scan(message.name, schema, tuple(message.columns), ranges, message.rows_only, table_ids)


@lru_cache(maxsize=KNOWN_SCHEMAS)
def _known_schema(data: bytes) -> TableSchema:
    """The schema that `data` is: the same ones come with every fragment. Raises InvalidRequest."""
    return TableSchema.from_bytes(data)


@lru_cache(maxsize=CHECKED_TEXTS)
def check_fragment(sql: str, scan_names: tuple[str, ...], *, here: bool = False) -> str:
    """The fragment's SQL written anew from its checked tree. Raises FragmentRefused, naming what is not allowed."""
    try:
        query = _parse(sql)
        _check_nodes(query, here)
        _check_tables(query, scan_names)
        bound_sizes(query)
        return query.sql(dialect=DUCKDB, unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise FragmentRefused(f"the fragment does not parse: {_plain(error)}") from error
    except RecursionError as error:
        raise FragmentRefused("the fragment is nested too deeply") from error


def _parse(sql: str) -> exp.Query:
    if len(sql) > MAX_TEXT_LENGTH:
        raise FragmentRefused(f"a fragment of {len(sql)} characters is over the limit of {MAX_TEXT_LENGTH}")
    tokens = DUCKDB.tokenize(sql)
    _check_nesting(tokens)
    statements = [statement for statement in DUCKDB.parser().parse(tokens, sql) if statement is not None]
    if len(statements) != 1:
        raise FragmentRefused(f"a fragment is one statement, not {len(statements)}")
    if not isinstance(statements[0], exp.Query):
        raise FragmentRefused(f"a fragment is a query, not {_name(statements[0])}")
    return statements[0]


def _check_nesting(tokens: Iterable[Token]) -> None:
    depth = 0
    for token in tokens:
        if token.token_type == TokenType.L_PAREN:
            depth += 1
            if depth > MAX_NESTING:
                raise FragmentRefused(f"the fragment is nested deeper than {MAX_NESTING} parentheses")
        elif token.token_type == TokenType.R_PAREN:
            depth -= 1


def _check_nodes(query: exp.Expr, here: bool) -> None:
    nodes = _ALLOWED_NODES | HERE_NODES if here else _ALLOWED_NODES
    names = _ALLOWED_NAMES | HERE_NAMES if here else _ALLOWED_NAMES
    for node in query.walk():
        kind = type(node)
        if kind in (exp.Anonymous, exp.AnonymousAggFunc):
            if node.name.lower() not in names:
                raise FragmentRefused(f"function {node.name} is not allowed in a fragment")
        elif kind not in nodes:
            raise FragmentRefused(f"{_name(node)} is not allowed in a fragment: {node.sql(dialect=DUCKDB)[:80]}")


def _check_tables(query: exp.Expr, scan_names: tuple[str, ...]) -> None:
    ctes = [cte.alias.lower() for cte in query.find_all(exp.CTE)]
    known = {name.lower() for name in scan_names} | set(ctes)
    for name in known:
        if name.startswith(SYSTEM_NAME_PREFIXES):
            raise FragmentRefused(f"{name} is a name of the engine's own")
    for table in query.find_all(exp.Table):
        extras = [part for part, value in table.args.items() if value and part not in _TABLE_PARTS]
        if not isinstance(table.this, exp.Identifier):
            raise FragmentRefused(f"table functions are not allowed in a fragment: {table.sql(dialect=DUCKDB)[:80]}")
        if extras:
            raise FragmentRefused(f"table {table.name}: {extras[0]} is not allowed in a fragment")
        if table.name.lower() not in known:
            raise FragmentRefused(f"table {table.name} is not among the scans and inputs of the fragment")


def _name(node: exp.Expr) -> str:
    return f"function {node.sql_names()[0]}" if isinstance(node, exp.Func) else type(node).__name__


def _plain(error: SqlglotError) -> str:
    """The parser's message without the terminal colours it adds."""
    details = getattr(error, "errors", None)
    return str(details[0]["description"]) if details else str(error)

"""What a fragment may contain."""

from __future__ import annotations

import duckdb
import pytest

from rutile_coprocessor.fragment import MAX_TABLES, MAX_TEXT_LENGTH, Fragment, Scan, check_fragment
from rutile_coprocessor.prelude import install
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_coprocessor.whitelist import FUNCTION_NAMES
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import FragmentRefused, InvalidRequest

ALLOWED = [
    "SELECT a, SUM(b) FROM s0 WHERE c LIKE 'x%' AND d < DATE '2024-01-01' + INTERVAL 3 DAY GROUP BY 1 ORDER BY 2",
    "WITH q AS (SELECT * FROM s0) SELECT COUNT(DISTINCT a) FILTER (WHERE b > 1) FROM q JOIN s0 USING (a)",
    "SELECT ROW_NUMBER() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM s0",
    "SELECT CASE WHEN a IN (SELECT b FROM s0) THEN 1 ELSE a::VARCHAR END FROM s0 WHERE EXISTS (SELECT 1 FROM s0)",
    "SELECT a FROM s0 UNION ALL SELECT x FROM (VALUES (1), (2)) AS v(x)",
    "SELECT a, b, SUM(c) FROM s0 GROUP BY ROLLUP (a, b)",
    "SELECT LIST_TRANSFORM([a, b], x -> x + 1), {'k': a}['k'], MAP {'x': a}['x'] FROM s0",
    "SELECT UNNEST(LIST_DISTINCT([a, b])), CAST(NULL AS STRUCT(x INT, y TEXT[])) FROM s0",
]
REFUSED = [
    ("SELECT * FROM read_csv('/etc/passwd')", "READ_CSV"),
    ("SELECT * FROM 'data.csv'", "data.csv"),
    ("SELECT * FROM glob('*')", "glob"),
    ("SELECT * FROM range(10)", "table functions"),
    ("SELECT * FROM query('SELECT 1')", "query"),
    ("SELECT * FROM query_table('s0')", "query_table"),
    ("COPY s0 TO 'x'", "Copy"),
    ("ATTACH 'x'", "Attach"),
    ("PRAGMA database_list", "Pragma"),
    ("SET threads = 1", "Set"),
    ("INSERT INTO s0 VALUES (1)", "Insert"),
    ("CREATE TABLE x AS SELECT 1", "Create"),
    ("CALL pragma_version()", "Command"),
    ("EXPLAIN SELECT 1", "Command"),
    ("SELECT 1; SELECT 2", "one statement, not 2"),
    ("", "one statement, not 0"),
    ("SELECT getenv('HOME')", "getenv"),
    ("SELECT current_setting('threads')", "current_setting"),
    ("SELECT nextval('x')", "nextval"),
    ("SELECT now() FROM s0", "now"),
    ("SELECT random() FROM s0", "RAND"),
    ("SELECT main.getenv('HOME')", "getenv"),
    ("SELECT * FROM other", "other is not among the scans"),
    ("SELECT * FROM main.s0", "s0: db"),
    ("SELECT * FROM s0 UNION ALL SELECT * FROM pg_tables", "pg_tables"),
    ("WITH duckdb_settings AS (SELECT 1) SELECT * FROM s0", "duckdb_settings"),
    ("SELECT * FROM s0 TABLESAMPLE 10%", "TableSample"),
    ("SELECT list_transform([1], x -> getenv('HOME')) FROM s0", "getenv"),
    ("SELECT ? FROM s0", "Placeholder"),
    ("SELECT COLUMNS('a') FROM s0", "COLUMNS"),
    ("PIVOT s0 ON a USING SUM(b)", "Pivot"),
    ("SELECT FROM WHERE", "does not parse"),
    ("SELECT " + "(" * 300 + "1" + ")" * 300, "nested deeper than 200"),
    ("SELECT " + "NOT " * 5000 + "1", "nested too deeply"),
    ("SELECT '" + "x" * MAX_TEXT_LENGTH + "'", "over the limit"),
]


@pytest.mark.parametrize("sql", ALLOWED)
def test_queries_pass_and_passing_again_changes_nothing(sql: str) -> None:
    checked = check_fragment(sql, ("s0",))
    assert check_fragment(checked, ("s0",)) == checked


@pytest.mark.parametrize(("sql", "named"), REFUSED, ids=[sql[:40] for sql, _ in REFUSED])
def test_everything_else_is_refused_by_name(sql: str, named: str) -> None:
    with pytest.raises(FragmentRefused, match=named):
        check_fragment(sql, ("s0",))


def test_a_scan_may_not_take_the_name_of_a_system_view() -> None:
    with pytest.raises(FragmentRefused, match="pg_tables"):
        check_fragment("SELECT 1 FROM pg_tables", ("pg_tables",))


def test_every_named_function_is_one_of_duckdb_or_the_prelude() -> None:
    with duckdb.connect(":memory:") as database:
        install(database)
        known = {name for (name,) in database.sql("SELECT function_name FROM duckdb_functions()").fetchall()}
    assert sorted(FUNCTION_NAMES - known) == []


def test_fragments_survive_the_wire() -> None:
    schema = TableSchema(1, "t", (Column(1, "a", ColumnType(Kind.INT)),))
    fragment = Fragment("SELECT a FROM s0", (Scan("s0", schema, ("a",), ((b"t1", b"t2"),)),), 1 << 20, 100, True)
    data = fragment.to_proto().SerializeToString()
    assert Fragment.from_proto(rutilepb.Fragment.FromString(data)) == fragment


@pytest.mark.parametrize("table_ids", [[2, 1], [1, 1], [0], list(range(1, MAX_TABLES + 2))])
def test_tables_of_a_scan_are_each_once_in_order_and_few_enough(table_ids: list[int]) -> None:
    message = Fragment("SELECT 1", (Scan("t", TableSchema(7, "t", ()), ()),)).to_proto()
    message.scans[0].table_ids.extend(table_ids)
    with pytest.raises(InvalidRequest, match="table ids"):
        Fragment.from_proto(message)


def test_a_scan_reads_its_own_table_or_those_it_names() -> None:
    scan = Scan("t", TableSchema(7, "t", ()), ())
    assert [table.table_id for table in scan.tables] == [7]
    assert [table.table_id for table in Scan("t", scan.schema, (), table_ids=(8, 9)).tables] == [8, 9]

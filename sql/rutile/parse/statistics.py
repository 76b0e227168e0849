"""ANALYZE TABLE, DROP STATS, and SHOW's statements about statistics."""

from __future__ import annotations

from rutile.errors import not_supported
from rutile.parse import statements as st
from rutile.parse.token_cursor import TokenCursor

SHOWN = {
    "stats_meta": "stats_meta", "stats_histograms": "stats_histograms", "stats_topn": "stats_topn",
    "stats_buckets": "stats_buckets", "stats_healthy": "stats_healthy",
}  # fmt: skip
_MAX = {"topn": 1_024, "buckets": 1_024}
"""TiDB's limits are higher (100,000 and 100,000); here a table's statistics are one value of the catalogue."""


def parse_analyze(cursor: TokenCursor) -> st.Statement:
    """ANALYZE [LOCAL | NO_WRITE_TO_BINLOG] TABLE t, ... [ALL COLUMNS | COLUMNS a, ...] [WITH n TOPN, ...]."""
    cursor.take()
    cursor.accept("local", "no_write_to_binlog")
    cursor.expect("table")
    tables = _tables(cursor)
    columns = _columns(cursor)
    if cursor.at("partition", "index", "incremental", "predicate"):
        raise not_supported(f"ANALYZE TABLE ... {cursor.peek_text().upper()}")
    wishes = _wishes(cursor)
    cursor.expect_end()
    topn, buckets, rate = wishes.get("topn"), wishes.get("buckets"), wishes.get("samplerate")
    return st.AnalyzeTable(
        tables, columns, None if topn is None else int(topn), None if buckets is None else int(buckets), rate
    )


def parse_drop_stats(cursor: TokenCursor) -> st.Statement:
    """What follows DROP STATS."""
    tables = _tables(cursor)
    cursor.expect_end()
    return st.DropStats(tables)


def _tables(cursor: TokenCursor) -> tuple[st.TableName, ...]:
    names = [cursor.table_name()]
    while cursor.accept(","):
        names.append(cursor.table_name())
    return tuple(names)


def _columns(cursor: TokenCursor) -> tuple[str, ...] | None:
    if cursor.accept_words("all", "columns") or not cursor.accept("columns"):
        return None
    names = [cursor.name().lower()]
    while cursor.accept(","):
        names.append(cursor.name().lower())
    return tuple(names)


def _wishes(cursor: TokenCursor) -> dict[str, float]:
    found: dict[str, float] = {}
    if not cursor.accept("with"):
        return found
    while True:
        number = cursor.take()
        kind = cursor.expect("topn", "buckets", "samplerate", "samples").word
        if kind == "samples":
            raise not_supported("ANALYZE TABLE ... WITH n SAMPLES (give a SAMPLERATE)")
        if number.kind != "number" or (kind in _MAX and not number.text.isdigit()):
            raise cursor.error()
        found[kind] = min(float(number.text), _MAX.get(kind, 1))
        if not cursor.accept(","):
            return found

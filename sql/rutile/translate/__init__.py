"""From MySQL's SQL to DuckDB's, without ever changing an answer silently.

    duckdb_sql(query, schemas)     the text of a qualified query in DuckDB's dialect
    to_duckdb(query, schemas)      the same as a tree

The two dialects agree on most text and differ in what it means: `7 / 2` is 3.5000 in MySQL and 3.5 in DuckDB, `LENGTH`
counts bytes in one and characters in the other, `'10' + 1` is 11 or an error. So translation goes by meaning:

1. Each node's children are translated first, and the *type* of each is known (`sql_types`): of columns from the
   schemas, of the rest from MySQL's typing rules. `translator.Translator` does the walk.
2. `rules.RULES` is read from top to bottom: what replaces each kind of node, and the type of the result. Operators,
   comparisons, casts, conditions, dates and aggregates have a rule each.
3. Functions are looked up by their MySQL name in `function_table.FUNCTIONS`: the types of the arguments, the function
   or macro (`rutile_coprocessor.prelude`) of DuckDB, or the function in Python (`rutile_coprocessor.scalars`), that has
   the same meaning, the type of the result. docs/functions.md lists them all, with values.
4. What is in neither is refused by name (error 1235 or 1305). Nothing is passed on in the hope that it means the same.

Text compares byte by byte and case counts, as in TiDB's default collation utf8mb4_bin; trailing spaces count too.

Left out, on purpose: functions of the moment and of the session, which the front end replaces by their values before it
translates (or passes `now` for); RAND with a seed; MATCH; user variables.
"""

from rutile.translate.translator import duckdb_sql, to_duckdb

__all__ = ["duckdb_sql", "to_duckdb"]

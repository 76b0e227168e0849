"""Small MySQL expressions as Python closures: what point statements, VALUES lists and SET need, without DuckDB.

A point statement touches one row; DuckDB costs 1.5 ms to be handed that row, a closure costs a microsecond. So
`compile_expression` covers what such statements contain: columns, literals, arithmetic, comparisons, three-valued logic
and some functions, with MySQL's rules for mixed types (`semantics.py`). What it does not know raises NotCompilable,
and the statement takes the general path through DuckDB; no expression is ever half-evaluated here.

The two paths must agree, and tests/sql compares them. What neither operators nor DuckDB have is one function in Python
for both (`rutile_coprocessor.scalars`, here `scalars.py`).
"""

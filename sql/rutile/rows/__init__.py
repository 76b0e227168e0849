"""Rows between SQL and the store: which keys and values a row becomes, and which values a column accepts.

    values ──► conversion (MySQL's strict mode) ──► row_rules (generated, CHECK) ──► access: rows, index entries

`access.TableAccess` is made once a table definition and holds the codecs; `readings` and `temporal` read a Python value
of one kind where MySQL wants another, exactly as MySQL does, or refuse. `links` are the foreign keys of a table and
those that lead to it, with the way to the rows at either end (`rutile.execution.foreign_keys` follows them).

While a column is becoming another (`rutile.ddl.column_steps`), `changing` makes the new value of the old one, and rows
that hold both.

Of a partitioned table, `partitions.Partitions` tells a row's partition. It is asked where a row becomes a key or an
index entry, and nowhere else: the first nine bytes of a key are the partition's, and what reads keys need not know it.
"""

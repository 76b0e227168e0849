"""Definitions: from the text of a statement to what the catalogue keeps, and back.

    create_table.py, columns.py, types.py     CREATE TABLE to a table schema
    indexes.py, keys.py                       KEY, UNIQUE and CREATE INDEX to indexes; the keys a table has
    foreign_keys.py                           FOREIGN KEY: what is written, what must hold of both tables
      foreign_key_guards.py                   what it forbids of others: DROP, TRUNCATE, changes of its columns
    partitions.py                             PARTITION BY: what is written, what must hold of partitions
      partition_text.py                       as it is printed
      partition_changes.py                    ADD, DROP and TRUNCATE PARTITION
    show_create.py                            a schema back to the text that would make it
    alter.py                                  ALTER TABLE, change by change
      definition_changes.py                   those of the definition alone
      column_changes.py                       columns: a definition to the next one, no row rewritten
      column_rewrites.py                      columns of another type: which there are, and what is refused
      constraints.py                          CHECK, NOT NULL and foreign keys for rows that are there
      alter_jobs.py                           indexes and columns of another type: jobs
      worker.py                               run by the one front end that owns them
        index_steps.py, column_steps.py       F1's states, one step at a time
        fill_snapshot.py                      the rows there were when a fill began
        backfill.py, index_load.py            what they lack: in transactions, and loaded past them
    rename_table.py                           RENAME TABLE
    check_table.py                            ADMIN CHECK TABLE
    delete_ranges.py                          what a DROP leaves to garbage collection

Left out, on purpose: primary keys that come or go, or change otherwise than to wider or narrower integers, other types
for columns that a generated column, a CHECK or a foreign key mentions, and ALTERs made as a whole where one of several
changes is an index's, a CHECK's, a foreign key's, to another type, or takes NULL away; of foreign keys ON DELETE SET
DEFAULT and MATCH. Of partitioned tables: partitions by KEY or within partitions, and what would take rows from one
partition to another (REORGANIZE, COALESCE, EXCHANGE, another type for a column that chooses the partition).
"""

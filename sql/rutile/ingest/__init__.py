"""Rows in bulk: files and Arrow tables into a table, all of them or none; and a table's rows into files.

In:

    import_file (files)   arrow_ingest (Arrow)   statements (IMPORT INTO)
          │                  │                        │
          └── import_source, csv_source, arrow_source ┘     something with a schema and batches
                               │
     importer ── import_job    │     the table hidden, the job written down ... the table published
          └── loading          ▼
                 fitting ──► bulk_rows ──► the client's bulk_load: table files through Raft (decisions/bulk-load.md)
                                │
                                └──► key_check: primary and unique keys that come twice

    remote_ingest         Arrow to a SQL server that is elsewhere: INSERTs in one transaction

Readers see nothing of an import until its last step, one transaction on the catalogue that also ends the job. What was
written before an import failed or was cancelled belongs to nobody and is deleted by range (`removal`). A job whose
process died is gone on with (`rutile import --resume`): all its rows have the two timestamps it began with, hidden row
ids are row numbers, so what is written twice is the same versions. One that nobody goes on with is taken back by any
front end (`abandoned`).

Invariants: only an empty table that no session sees is written to; memory holds a few batches (`loading`); a job has
one owner, who looks at each step whether it still is. Errors name the file, the column, and the line or row.

Out:

    export (rutile export), outfile (INTO OUTFILE) ──► result_stream: rows as of one timestamp
                                                   ──► sinks: Parquet, CSV, MySQL's text

A table, and a query that only filters and computes, is read region by region, and memory holds one region's rows; any
other query's result is held as a whole. A file has its name only once it is complete.

Left out, on purpose: tables that are not empty, generated columns, CHECK and foreign keys (nothing here would look at
them: 8173, 1235), files elsewhere than on this machine's disks, several importers for one file.
"""

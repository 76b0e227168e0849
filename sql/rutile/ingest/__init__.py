"""Rows in bulk: files and Arrow tables into a table, all of them or none.

    importer (files)        import_source ──► batches ──► bulk_rows: encoded committed versions ──► ingest through Raft
    arrow_ingest (Arrow)    small: one transaction of INSERTs; large and new: the same bulk way
    remote_ingest           Arrow to a SQL server that is elsewhere

Readers see nothing of an import until its last step, one transaction on the catalogue; what was written before
an import failed belongs to nobody and is deleted by range.
"""

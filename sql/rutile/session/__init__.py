"""A session, and the way of one statement through it.

    Session.prompt  ──► a point SELECT answered in the turn of the loop it arrives in
    Session.execute ──► shaped: a plan known by the text's shape (points, short ranges, INSERTs)     ──► execution
                   └──► parse ──► privileges ──► queries: planner ──► fragments in stores, DuckDB here ──► result
                                             ├─► definitions, views: the catalogue (rutile.ddl)
                                             └─► show, admin, regions: tables made when asked (rutile.show)

* `temporary` lays a session's temporary tables over the catalogue; `sequences` asks for numbers before a statement
  runs.
* `engine` is what the sessions of one front-end process share: catalogue cache, plan cache, storage.
* `transactions` owns the open transaction: a statement in it is atomic, its locks and writes are undone together.
  `current_reads` is how a pessimistic statement sees rows as of its own moment; `stale_reads` is reading the past.
* `storage` is all that the front end asks of the key-value client, so that tests have a twin of it.
* `streams` gives a result batch by batch; `scan_tickets` knows which queries can be read in parts for it, or by others.
* `variables` are the session's and the cluster's (SET GLOBAL, kept in the catalogue); `counters` is what SHOW STATUS
  adds up, `tracking` what a client is told of changes, `charsets` how texts are written at the edge.
* `queries` has the general path of what reads, `data_changes` of what changes.
* `duckdb_door` takes statements in DuckDB's dialect (Ibis comes in there); everything behind the door is the same.
"""

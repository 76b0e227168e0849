"""Arrow Flight SQL: whole results as Arrow, large scans from all stores at once.

    client                     SQL node (FlightSqlServer)                          stores (FlightEndpoint)
    GetFlightInfo(query) ──►   a scan, filter or projection of one table:
                               planned, not run: a signed ticket for each    ──►   DoGet: the replica's columnar
                               store that leads a part, its location with it       batches, at the tickets' timestamp
                               anything else: run now, the result held       ──►   DoGet at the SQL node
    DoPut(update, ingest) ──►  run in a session; the count goes back
    DoAction(...)         ──►  prepared statements, transactions, cancel

What is true of it:

* All tickets of a query name one timestamp, so the parts fit together however long reading them takes; garbage
  collection is held back at it until the tickets expire, and while anybody reads.
* A ticket says everything its reader needs and is signed with the cluster's secret; bearer tokens likewise. Nodes keep
  no table of either. A ticket goes on being good when its region has moved or been cut
  (`rutile_kv.client.ticket_scan`).
* A query that is cancelled by its FlightInfo ends wherever its parts are being read, and its tickets are refused there.
* A statement has a session of its own, or its transaction's. Transactions, prepared statements and held results are
  bounded in number and age; what is dropped answers with an error that says so.
* Errors are Flight's kinds with MySQL's text (`problems`), never tracebacks.

    wire.py          the protocol's messages in their envelopes
    server.py        Flight's five methods: takes messages apart, calls the rest on the loop
    statements.py    queries and updates;  partitions.py  queries as tickets;  held_results.py  results waiting
    prepared.py      prepared statements, whose parameters are Arrow rows (rutile.ingest.arrow_rows)
    transactions.py  sessions that last longer than a statement
    ingest.py        Arrow streams into tables, by rutile.ingest.arrow_ingest
    cancels.py       queries given up by their FlightInfo, at the stores too
    metadata.py      what tables there are;  sql_info.py  what this server is and which types it has
    problems.py      errors
    node.py          a server with its options, started and stopped

Not done, on purpose: Substrait plans, temporary tables, session options, PollFlightInfo (pyarrow's server has none of
them or Rutile's SQL has not).
"""

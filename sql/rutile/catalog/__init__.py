"""The catalogue: which databases and tables there are, kept in the key-value store it describes.

Everything lies under `m` keys and changes in ordinary transactions, so a definition is as durable and as consistent as
a row, and no process owns it:

    m schema_version                     how often anything below changed; every change rewrites it, so that two
                                         changes at once conflict and one of them runs again
    m next_id                            the next unused database or table id; an id is never used twice
    m database <name>                    JSON: id, name
    m table <database> <name>            JSON: the table schema, its state, comment and indexes (names in lower case
                                         in keys)
    m view <database> <name>             JSON: the text of the query, the columns it had (views are no tables: who looks
                                         for a table finds none)
    m ddl_job <id>, m ddl_history <id>   JSON: jobs that run, and that are over
    m ddl_owner                          JSON: the front end that runs them, and until when
    m front_end <name>                   JSON: a front end in use, until when, and the version it has come to
    m auto_increment <table id>          the next AUTO_INCREMENT value no front end has taken
    m sequence <database> <name>         JSON: a sequence (`sequences.py`)
    m sequence_next <id>                 its next value
    m row_id <table id>                  the same for the hidden row ids of tables without primary key
    m delete_range <start> <end>         keys of a dropped or truncated table, still to be removed by the stores'
                                         garbage collection (`rutile_kv.client.delete_ranges`)

*Reading it.* Each front end keeps the whole catalogue in memory (`cache.py`) and may use it for a lease of 200 ms; then
it reads `schema_version`, one key, and loads everything again if that moved. A name it does not know makes it look
before it says so. DROP and TRUNCATE wait before they return until every front end in use has said that it has come to
the new version, or for a lease (`front_ends.py`), so no other front end still finds the table; CREATE need not wait. A
single front end (the embedded database) never asks and never waits. The rows of a dropped table stay, for readers of
older timestamps, until the safe point has passed the drop.

*Transactions.* A transaction remembers the definition of every table it wrote; COMMIT checks that they are the current
ones as of a timestamp, and may then commit up to a lease after it; otherwise it fails with 8028 (`holds.py`). Whoever
changes a definition waits in the same way before the next step.

*Steps.* What cannot happen at once is a job (`jobs.py`): an index comes and goes through F1's states (`indexes.py`),
one step at a time, taken by the one front end that owns the jobs (`rutile.ddl.worker`).

*Row ids* are handed out from ranges of 30,000 a front end takes at once (`identifiers.py`), so ids are unique and
ascending within a front end, and have gaps.

*Partitions* (`partitions.py`) are in their table's definition, each with an id of its own, under which its rows and
index entries lie; nothing lies under the table's. DROP and TRUNCATE of a partition treat its id as those of a table do.

*Foreign keys* are in their children's definitions; parents list who leads to them (`foreign_keys.py`).
"""

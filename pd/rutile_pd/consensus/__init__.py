"""The group that keeps the placement driver's state: our own Raft core, a log, and the table that the log makes.

    founding   a directory becomes a member's                storage        the table: names, forms, staged changes
    joining    may it found a group, or must it join?        raft_log       the log, in the same engine
    members    who is in the group, and where                replica        log and table as one plain object
    peer_transport   messages between them                   replication    the replica as it lives: rounds and waiters
    write_places     what a batch is, for failpoints         leadership     one term of leading: what may be said

The path of a change: a core *stages* it in `storage.PdStorage`; `leadership.Leadership.settle` takes what is staged
into the log; `replication.Replication` carries it to a majority; every member applies it to its table; only then does
the answer that relied on it leave. The path of a term: who leads loads cores from the table, and throws them away when
the term is over. So there is no state of a leader that could be mistaken for the group's.

Invariants: entries are applied in log order, each with its index in one batch; nobody hears of a promise before it is
committed; nobody is answered by a leader that cannot be certain it still leads; a member that has lost its directory is
not let in under its old name.
"""

"""The placement driver's faces: gRPC in, the cores' answers and refusals out.

    door       what everybody calls at a member's address; followers refuse here all that needs the leader
    service    PdServicer of one leadership: timestamps, stores, ids; the rest from
               region_service, heartbeat_service, gc_service, keyspace_service, admin_service, membership
    members_service, etcd_service   what any member answers
    boundary   checks before a method, header and refusals after it: no exception of a core reaches the wire as one
    answers, admin_answers          messages from what the cores know
    reserves   timestamps and ids below what is committed: waits for the log, so that the cores need not

A method checks the request, asks a core, and lets the answer leave when all it relies on is committed
(`rutile_pd.consensus.leadership`). Here, and in `member`, `node` and `consensus`, live all the clocks, tasks and
sockets.
"""

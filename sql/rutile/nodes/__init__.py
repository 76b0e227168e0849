"""The processes and doors of a cluster as seen from SQL: what holds a `Session`, and where it runs.

local      a front end in this process ──┬── embedded: with placement driver and store, in memory or a directory
                                         └── cluster: stores elsewhere, found by their PD (tikv_only: any TiKV)
remote     a front end elsewhere: `service` (gRPC) is the other end of it
sql_node   a front end as a server: gRPC, MySQL, Flight SQL; of a cluster, or with the data in its own process
playground, standalone_process, demo    whole clusters on loopback, and
child_process, processes                the roles they are made of
"""

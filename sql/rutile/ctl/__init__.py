"""`rutile ctl`: what a person does to a running cluster, by hand.

    rutile ctl [--pd ADDR[,ADDR]] [--json] COMMAND ...

A command is a file here: what it takes, what it asks, what it shows. `console.py` is what they share: the leader of the
placement driver, a table for people or JSON for programs, always of the same records. `keys.py` reads keys as people
write them. Nothing here decides anything: the placement driver refuses what it should not do, and says why.

    stores        list, labels, weights, limits, remove (with progress), cancel
    regions       list, by key, id, table; the largest and the hottest; what is wrong with them
    operators     what is being done, was done, and is to be done: transfer, move, split, merge, scatter
    schedulers    list, add, remove, pause, resume
    rules         placement rules as JSON
    config        settings of the placement driver
    members       the placement driver's own members
    mvcc          the versions and the lock of a key
    consistency   the replicas of regions are told to compare their data
    unsafe        what loses data: a store is told to go on without others that are lost for good
"""

from rutile.ctl.command import COMMANDS, TEXT, run

__all__ = ["COMMANDS", "TEXT", "run"]

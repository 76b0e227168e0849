"""Transactions on one store: Percolator's commands, and the scheduler that runs them (TiKV's design).

A transaction spans many regions, yet no store knows it as a whole. Its client writes locks on all keys (prewrite), each
naming one of them, the primary. Then it commits the primary: that single write decides. Whoever meets a lock left
behind asks the primary (CheckTxnStatus) and carries the answer out (ResolveLock).

    command          is refused when                                         leaves
    ---------------  ------------------------------------------------------  -----------------------------------------
    Prewrite         locked by another; newer commit; rolled back before     locks (and long values)
    Commit           no lock; commit_ts below the lock's min_commit_ts       commit records, no locks
    BatchRollback    committed                                               rollback records, no locks
    Cleanup          lock still alive                                        as BatchRollback, or nothing if committed
    CheckTxnStatus   nothing known and asked not to roll back                min_commit_ts pushed, or a rollback
    ResolveLock      -                                                       what the transaction's fate demands
    TxnHeartBeat     no lock                                                 a longer time to live
    Pessimistic-     locked by another; newer commit than for_update_ts      locks that block writers, not readers
    Lock, -Rollback
    CheckSecondary-  -                                                       rollback records where a lock is missing
    Locks
    PersistLocks     -                                                       pessimistic locks that were in memory only

The pieces: `commands/` decide (pure, one verb a file); `settle` and `changes` are the steps they share; `latches` order
commands on common keys; `scheduler` is the core that leads each command through latches, view and write; `shell` gives
it views and writes; `max_ts` and `guards` make async commit safe for readers. A pessimistic lock request that meets a
lock waits: `lock_waits` is the core of that (queues, times), `lock_waiting` its shell, `deadlock` the graph of waits
that the detector of the cluster keeps. Pessimistic locks are not written as a rule: `memory_locks` keeps them at the
leader, under its term.

Invariants: a command runs alone on its keys; it reads what the last one on them wrote; its reply is given after its
writes are applied, or noted in memory if they may be lost; a lock in memory counts only while nobody else can have let
the key be written; a request that waits holds no latch. Left out: shared locks, locking with conflict (wake-up mode 1),
pipelined locks and pipelined flush.
"""

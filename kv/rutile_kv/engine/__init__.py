"""The storage engine: an ordered map of bytes per column family, with atomic batches and snapshots.

    default   versions too long to stand in `write`            }
    lock      at most one lock a key                           } the data families: what regions hold
    write     commit and rollback records, newest first        }
    raw, raw_lock, raw_write   raw data, see `raw`             }
    raft      log entries, hard states, region states            what the store holds for itself

There are two of them, and one conformance suite (tests/engine) that both pass:

* `rocks.RocksEngine`: RocksDB through rocksdict, one database a store. What was written survives a killed process at
  once, and a power cut after `sync`.
* `memory.MemoryEngine`: a sorted list of keys, each with a chain of versions. For tests, the simulation and databases
  that are not meant to outlive their process.

What the layers above may rely on:

1. A batch is seen whole or not at all, in all families.
2. A snapshot shows all families at one moment, for as long as it is open, from any thread.
3. After a crash the batches that survive are a prefix of those written, and it reaches at least to the last `sync`.
4. A scan shows the engine as it was when `scan` was called, whatever is written while it runs.

`api` holds the protocols, `options` what memory an engine may take, `estimate` how many bytes lie in a range. Left out
on purpose: merge operators, time to live and compaction filters (garbage collection is a scan, see `mvcc`), and
more than one writer.
"""
